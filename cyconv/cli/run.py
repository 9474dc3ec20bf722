"""``cyconv run``: an ONNX model on arrays from files."""

import json
from statistics import median
from time import perf_counter

import numpy as np

from .common import CommandError, add_accuracy, bad_input, positive_int, whole_file
from .images import shown

_DESCRIPTION = """\
Run an ONNX model on arrays from .npy files, one for each of its inputs, its
convolutions packed and computed by cyconv. Says what was packed, joined and
left, and the type, shape and range of every output.
"""

_EPILOG = """\
example:
  cyconv run resnet50.onnx image.npy -o scores.npy --repeat 20
"""


def add_parser(subparsers):
    """Describe the command."""
    parser = subparsers.add_parser(
        "run", help="run an ONNX model", description=_DESCRIPTION, epilog=_EPILOG
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="an .onnx file")
    add("inputs", metavar="INPUT", nargs="*", help=".npy files, in the order of its inputs")
    add("-o", "--output", metavar="OUT", help="where its output goes: .npy, or .npz if many")
    add("--threads", type=positive_int, metavar="N", help="threads to use (default: all cores)")
    add_accuracy(parser)
    add(
        "--repeat",
        type=positive_int,
        metavar="N",
        help="run N times more and give the median of their times",
    )
    add("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(args):
    """Load, prepare, run, write, and say what came."""
    model = _prepared(args)
    if args.output:
        _check_target(args.output, model.output_names)
    arrays = [_array(path) for path in args.inputs]
    with bad_input(RuntimeError, operation="run"):
        outputs, first = _timed(model, arrays)
        times = [_timed(model, arrays)[1] for _ in range(args.repeat or 0)]
    named = dict(zip(model.output_names, outputs, strict=True))
    if args.output:
        _write(args.output, named)
    milliseconds = {"first": first} | ({"median": median(times)} if times else {})
    if args.json:
        rows = [
            {"name": name, "dtype": str(y.dtype), "shape": list(y.shape)}
            for name, y in named.items()
        ]
        print(json.dumps({"outputs": rows, "milliseconds": milliseconds}, indent=2))
        return
    print(model)
    for name, y in named.items():
        print(f"{shown(name)}: {_described(y)}")
    spent = f"{first:.1f} ms with packing"
    spent += f", then {median(times):.1f} ms, median of {len(times)}" if times else ""
    print(f"ran in {spent}" + (f"; wrote {shown(args.output)}" if args.output else ""))


def _prepared(args):
    try:
        import cyconv.onnx
    except ImportError as error:
        raise CommandError(str(error)) from None
    from google.protobuf.message import DecodeError
    from onnx.checker import ValidationError

    try:
        return cyconv.onnx.prepare(args.model, args.accuracy, args.threads)
    except OSError as error:
        raise CommandError(f"cannot read {shown(args.model)}: {error.strerror}") from error
    except (RuntimeError, TypeError, ValueError, DecodeError, ValidationError) as error:
        reason = str(error).strip().partition("\n")[0].removeprefix("prepare: ")
        raise CommandError(f"{shown(args.model)} is no model that can be run: {reason}") from error


def _array(path):
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        text = getattr(error, "strerror", None) or error
        raise CommandError(f"cannot read {shown(path)}: {text}") from error


def _timed(model, arrays):
    """The outputs, and the milliseconds that they took."""
    begin = perf_counter()
    outputs = model.run(arrays)
    return outputs, 1000 * (perf_counter() - begin)


def _check_target(path, names):
    wanted = ".npy" if len(names) == 1 else ".npz"
    if not path.endswith(wanted):
        raise CommandError(
            f"--output must end in {wanted} for {len(names)} output{'s' * (len(names) > 1)}, "
            f"got {shown(path)}"
        )
    with whole_file(path, check=True):
        pass


def _write(path, named):
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        if path.endswith(".npz"):
            np.savez(file, **named)
        else:
            np.save(file, *named.values())


def _described(y):
    """Type, shape and range of an output."""
    if not isinstance(y, np.ndarray):
        return type(y).__name__
    limits = f", {y.min():.6g} to {y.max():.6g}" if y.size and y.dtype.kind in "iuf" else ""
    return f"{y.dtype} {y.shape}{limits}"
