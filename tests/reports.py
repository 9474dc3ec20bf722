"""A report of ``cyconv bench``, as small as one can be, with names that must be escaped."""

from cyconv.cli.report import Report

EVIL = "<script>alert('&')</script>"


def report():
    result = {"seconds": 0.002, "gflops": 50.0, "error": 1e-7, "algorithm": EVIL}
    row = {
        "layer": EVIL,
        "repeats": 2,
        "results": {"cyconv": result, "torch": {"seconds": 0.003}, "scipy": {"failed": EVIL}},
        "best_peer": "torch",
        "ratio": 1.5,
        "one_shot_ratio": None,
    }
    return Report(
        net="tiny",
        dtype="float32",
        rounds=3,
        machine={"threads": 1, "cpu": EVIL, "isa": "avx2"},
        versions={"cyconv": "1"},
        rows=[row],
        summary={
            "geomean": 1.5,
            "least": 1.5,
            "least_layer": EVIL,
            "one_shot_geomean": None,
            "total_seconds": {"cyconv": 0.004, "torch": 0.006},
            "total_best_peer": "torch",
            "total_ratio": 1.5,
        },
    )
