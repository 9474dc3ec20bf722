"""``cyconv tune --model``: measure this machine, and write the constants of its cost model."""

import json
import shlex
from pathlib import Path

from .common import whole_file
from .progress import progress

PROBLEMS = 300
SEED = 0


def check_arguments(args):
    """Refuse arguments that mean nothing beside ``--model``, or without it."""
    error = args.parser.error
    if args.model is None:
        if args.net is None:
            error("the following arguments are required: NET, or --model FILE")
        if args.problems is not None:
            error("argument --problems: only with --model")
        return
    others = {
        "NET": args.net,
        "--threads": args.threads,
        "--layers": args.layers,
        "--file": args.file,
        "--again": args.again or None,
        "--dtype": args.dtype,
        "--device": None if args.device == "cpu" else args.device,
    }
    for name, value in others.items():
        if value is not None:
            error(f"argument {name}: not allowed with --model")
    if args.problems is not None and args.problems < 2:
        error("argument --problems: must be at least 2: one to fit and one to judge by")


def run(args):
    """Measure, fit, write, and print what has changed."""
    import numpy as np

    from cyconv.planning import cost

    from . import fitting

    count = args.problems or PROBLEMS
    command = shlex.join(["cyconv", "tune", "--model", args.model, "--problems", str(count)])
    with whole_file(args.model, check=True):
        pass
    rng = np.random.default_rng(SEED)
    with progress(count + 1) as step:
        results = fitting.measure(count, rng, step)
        step("fitting")
        constants, before, after = fitting.refit(results, rng, command)
    write(args.model, constants)
    if args.json:
        print(_json(args.model, constants))
        return
    print(changes(cost.constants, constants))
    print(f"\nwithin 10% of the best on the other half: {before:.1%} before, {after:.1%} now")
    print(f"model file: {args.model}; cyconv uses it where CYCONV_MODEL names it")


def write(path, constants):
    """Write the record, whole or not at all."""
    from cyconv.planning import model

    with whole_file(path) as temporary:
        Path(temporary).write_text(model.text(constants), encoding="utf-8")


def changes(before, after):
    """Each number before and after, its unit, and what it means."""
    from .numbers import numbers

    lines, last = [], None
    for old, new in zip(numbers(before), numbers(after), strict=True):
        if new.name != last:
            lines += [f"{new.name}, {new.unit}", f"    {new.means}"]
        last = new.name
        part = f"{new.part}: " if new.part else ""
        changed = f" -> {new.value:.4g}" if new.value != old.value else ""
        lines.append(f"    {part}{old.value:.4g}{changed}")
    return "\n".join(lines)


def _json(path, constants):
    from .numbers import numbers

    keys = "name", "part", "unit", "means", "origin", "value"
    listed = [{key: getattr(number, key) for key in keys} for number in numbers(constants)]
    found = {"file": path, "measured_on": vars(constants.measured_on), "numbers": listed}
    return json.dumps(found, indent=2)
