"""``cyconv tune``: measure the algorithms on every layer of a net, and remember the fastest."""

import json
import os
from contextlib import contextmanager

from . import model
from .common import (
    CommandError,
    add_device,
    aligned,
    bad_input,
    check_device,
    dtype,
    positive_int,
    select,
)
from .networks import NETS
from .progress import progress

_DESCRIPTION = """\
Time the algorithms on every layer of a network and write the fastest to the
tuning file, where cyconv.plan(..., effort="measure") finds it. Each layer is
written when it is done: what an interrupted run has measured is kept, and the
next run goes on from there. The table sets the algorithm that the cost model
would choose beside the fastest one; the ratio is how much faster that is.

On an OpenCL device the tunables of its kernels (sizes of tiles) come first:
each algorithm's are tried on some of the layers, and the fastest are used from
then on by all plans on that device with that driver.

With --model instead of NET, random convolutions are timed on one thread, and
the constants of the cost model are fitted to them: cyconv chooses by these on
this machine where CYCONV_MODEL names the file.
"""

_EPILOG = """\
examples:
  cyconv tune resnet50 --threads 2
  cyconv tune resnet50 --device opencl
  cyconv tune --model here.json && CYCONV_MODEL=here.json cyconv doctor
"""


def add_parser(subparsers):
    """Describe the command."""
    parser = subparsers.add_parser(
        "tune",
        help="measure which algorithm is fastest, and remember it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("net", metavar="NET", nargs="?", choices=tuple(NETS), help=", ".join(NETS))
    add("--threads", type=positive_int, metavar="N", help="threads to use (default: all cores)")
    add_device(parser)
    add("--layers", metavar="TEXT", help="only the layers with this in their name")
    add("--dtype", type=dtype, help="float32 or float64 (default: float32)")
    add(
        "--file",
        metavar="FILE",
        help="the tuning file (default: CYCONV_TUNING_FILE, else one in the user's cache folder)",
    )
    add("--again", action="store_true", help="measure again what is in the file already")
    add("--model", metavar="FILE", help="fit the cost model to this machine and write it there")
    add(
        "--problems",
        type=positive_int,
        metavar="N",
        help=f"random convolutions to fit it to (default: {model.PROBLEMS})",
    )
    add("--json", action="store_true", help="print the table as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(args):
    """Measure layer by layer, then print the table; or fit the cost model."""
    from cyconv.planning import tuning

    model.check_arguments(args)
    if args.model is not None:
        model.run(args)
        return
    args.dtype = args.dtype or "float32"
    check_device(args)
    layers = select(args)
    with _tuning_file(args.file) as file, tuning.anew(args.again), progress(len(layers)) as step:
        try:
            tuning.write(file, {})
        except tuning.TuningFileError as error:
            raise CommandError(f"cannot use the tuning file {file}: {error}") from None
        kernels = list(_tunables(layers, args)) if args.device != "cpu" else []
        rows = []
        for layer in layers:
            step(layer.name)
            rows += _rows(layer, args)
    if args.json:
        found = {"file": file, "net": args.net, "tunables": kernels, "layers": rows}
        print(json.dumps(found, indent=2))
    else:
        print(_text(file, kernels, rows))


@contextmanager
def _tuning_file(named):
    """The file's path; `named` takes the place of the environment's."""
    from cyconv.planning import tuning

    before = os.environ.get("CYCONV_TUNING_FILE")
    if named:
        os.environ["CYCONV_TUNING_FILE"] = named
    try:
        file = tuning.path()
        if file is None:
            raise CommandError("there is no home folder: give the tuning file by --file")
        yield file
    finally:
        if named:
            del os.environ["CYCONV_TUNING_FILE"]
            if before is not None:
                os.environ["CYCONV_TUNING_FILE"] = before


def _tunables(layers, args):
    """One row for each algorithm's kernels on the device."""
    import cyconv
    from cyconv.opencl.plan import opened
    from cyconv.opencl.tune import tune
    from cyconv.planning import cost

    with bad_input():
        given = [problem for layer in layers for problem in layer.problems]
        problems = [cyconv.Problem(dtype=args.dtype, **arguments) for arguments in given]
        device = opened("tune", args.device, "auto")
        yield from tune(device, problems, cost.WORKSPACE_LIMIT)


def _rows(layer, args):
    """One row for each result of the layer: its output, or its two gradients."""
    import cyconv

    for given in layer.problems:
        with bad_input():
            problem = cyconv.Problem(dtype=args.dtype, **given)
        estimated, measured = (
            cyconv.plan(problem, device=args.device, threads=args.threads, effort=effort)
            for effort in ("estimate", "measure")
        )
        fastest, instead = measured.measured_seconds(), measured.measured_seconds(estimated)
        yield {
            "layer": layer.name + {"forward": ""}.get(problem.direction, f" {problem.direction}"),
            "device": args.device,
            "threads": measured.threads,
            "estimated": estimated.algorithm,
            "measured": measured.algorithm,
            "seconds": fastest,
            "ratio": instead / fastest if fastest and instead else None,
            "source": measured.explain().source,
        }


def _text(file, kernels, rows):
    return "\n".join([*_kernels(kernels), *_layers(rows), "", f"tuning file: {file}"])


def _kernels(rows):
    if not rows:
        return
    lines = [["kernels", "tunables", "ratio", "from"]]
    for row in rows:
        choice = " ".join(f"{macro}={value}" for macro, value in row["choice"].items())
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append([f"{row['algorithm']} {row['dtype']}", choice, ratio, row["source"]])
    yield from aligned(lines, left=(0, 1, 3))
    yield ""


def _layers(rows):
    lines = [["layer", "estimated", "measured", "ms", "ratio", "from"]]
    for row in rows:
        ms = "-" if row["seconds"] is None else f"{1e3 * row['seconds']:.3f}"
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append([row["layer"], row["estimated"], row["measured"], ms, ratio, row["source"]])
    yield from aligned(lines, left=(0, 1, 2, 5))
