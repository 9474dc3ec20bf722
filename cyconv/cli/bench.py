"""``cyconv bench``: cyconv beside other libraries, layer by layer or call by call."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

from . import report
from .calls import CALLS
from .common import (
    INSTALL_EXTRA,
    CommandError,
    add_device,
    check_device,
    dtype,
    positive_int,
    select,
    whole_file,
)
from .contestants import CONTESTANTS, PEERS
from .graph import WHOLE, chain, whole
from .layer import Layer
from .networks import NETS
from .progress import progress

_DESCRIPTION = """\
Measure cyconv beside other libraries on every layer of a network, on images of
one channel, on signals, on volumes, or on the gradients of training; and the
calls that users type: cyconv.filters beside OpenCV (filters), cyconv.ndimage
beside scipy.ndimage (faces). Quantised layers beside ONNX Runtime's, and beside
the same numbers in float32 (integers). The layers of two networks stored in 16
bits are set beside our own float32 (halves), channels last beside PyTorch's
(nhwc).

Each contestant runs in a process of its own, with its threads set before it
starts, by its best layout, and with its weights prepared. They take turns in
rounds, so only one computes at a time. Times are medians. GFLOP/s are those of
direct summation, whatever the algorithm. The error is the largest one, relative
to the largest output, against float64. The ratio is the best peer's time over
cyconv's. OpenCV's filter2D and scipy.ndimage.correlate take the kernel as it
is; SciPy's and NumPy's convolutions get it turned beforehand. A call has
nothing prepared: every contestant makes its result anew. A peer's result that
is off by more than 1e-4, and by more than a hundred times our error, is told,
but is no best peer.
"""

_EPILOG = """\
examples:
  cyconv bench resnet50 --threads 1 --json resnet50.json --chart resnet50.png
  cyconv bench images --against opencv --layers "@1024"
  cyconv bench filters --threads 1 --layers "gaussian 2) u8"
  cyconv bench vgg16 --chain 6 --threads 1 --against ncnn,mnn,openvino
  cyconv bench mobilenet_v2 --whole

in a notebook, the table of a --json file:
  from cyconv.cli.report import Report
  Report.read("resnet50.json")
"""


def _peers(text):
    names = [] if text == "none" else text.split(",")
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown {unknown[0]!r}: any of {', '.join(PEERS)} with commas between them, or none"
        )
    return tuple(dict.fromkeys(names))


def add_parser(subparsers):
    """Describe the command."""
    parser = subparsers.add_parser(
        "bench",
        help="measure cyconv beside other libraries",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add = parser.add_argument
    nets = (*NETS, *CALLS)
    add("net", metavar="NET", choices=nets, help=", ".join(nets))
    add(
        "--against",
        type=_peers,
        default=PEERS,
        metavar="PEERS",
        help=f"with commas between them: {', '.join(PEERS)}; or none (default: all; one that is "
        "not installed is left out)",
    )
    add_device(parser)
    add("--threads", type=positive_int, metavar="N", help="threads to use (default: all cores)")
    add("--rounds", type=positive_int, default=11, metavar="N", help="turns of each (default: 11)")
    add(
        "--cpu-time",
        action="store_true",
        help="processor time in place of wall time: of one thread, on a machine with other work",
    )
    add("--layers", metavar="TEXT", help="only the layers with this in their name")
    runs = parser.add_mutually_exclusive_group()
    runs.add_argument(
        "--chain",
        type=positive_int,
        metavar="N",
        help="N equal layers in a row, of each layer that keeps its input's shape: contestants may "
        "have layouts of their own between them",
    )
    runs.add_argument(
        "--whole",
        action="store_true",
        help="the whole network in one run, with biases, activations, residuals and pools, as far "
        f"as its dense layers ({', '.join(WHOLE)})",
    )
    add("--dtype", type=dtype, help="float32 or float64 (default: float32); calls have their own")
    add("--one-shot", action="store_true", help="measure the functions too, nothing prepared")
    add("--json", metavar="FILE", help="write all figures there; - for stdout, without the table")
    add("--chart", metavar="FILE", help="draw the ratios, in the format of its extension")
    parser.set_defaults(run=run, parser=parser)


def run(args):
    """Check, measure, write, and print the table."""
    import cyconv

    from .contest import Contest

    _check_calls(args)
    if args.cpu_time and (args.threads != 1 or args.device != "cpu"):
        args.parser.error("argument --cpu-time: only with --threads 1, on the CPU")
    check_device(args)
    layers = _rows(args)
    kind = _check_files(args)
    names = _contestants(args, layers)
    threads = args.threads or cyconv.get_num_threads()
    rows = []
    with (
        progress(len(layers)) as step,
        Contest(
            names, threads, args.rounds, args.dtype or "float32", args.device, args.cpu_time
        ) as contest,
    ):
        for layer in layers:
            step(layer.name)
            rows.append(report.row(layer, contest.measure(layer)))
    found = {
        "net": args.net,
        "dtype": args.dtype or ("several types" if args.net in CALLS else "float32"),
        "device": args.device,
        "rounds": args.rounds,
        "clock": "processor time" if args.cpu_time else "wall time",
        "machine": report.machine(threads),
        "versions": report.versions(names),
        "rows": rows,
        "summary": report.summary(rows),
    }
    if args.chart:
        with whole_file(args.chart) as file:
            report.chart(found, file, kind)
    if args.json == "-":
        print(json.dumps(found, indent=2))
        return
    if args.json:
        with whole_file(args.json) as file:
            Path(file).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(report.text(found))


def _rows(args):
    """The layers, chains of them, or the network."""
    error = args.parser.error
    for option, value in ("--chain N", args.chain), ("--whole", args.whole):
        for other, given in ("--one-shot", args.one_shot), ("--device", args.device != "cpu"):
            if value and given:
                error(f"argument {option}: not with {other}: it is measured packed, on the CPU")
    if args.whole:
        if args.net not in WHOLE or args.layers:
            error(f"argument --whole: for {', '.join(WHOLE)}, without --layers, got {args.net}")
        return [whole(args.net)]
    layers = select(args)
    if not args.chain:
        return layers
    chains = [chain(layer, args.chain) for layer in layers if isinstance(layer, Layer)]
    found = [row for row in chains if row]
    if not found:
        error(f"argument --chain: no layer of {args.net} keeps its input's shape")
    return found


def _contestants(args, layers):
    """Names of those that are asked for, installed, and know how to compute one of `layers`."""
    names, absent = [], {}
    for name, contestant in CONTESTANTS.items():
        if contestant.peer is None:
            wanted = name == report.OURS or args.one_shot
        else:
            wanted = contestant.peer in args.against
        if not (wanted and any(map(contestant.takes, layers))):
            continue
        missing = [module for module in contestant.needs if not _installed(module)]
        if missing:
            absent[contestant.peer] = missing[0]
        else:
            names.append(name)
    for peer, module in absent.items():
        needs = "" if module == peer else f" ({module})"
        print(f"{args.parser.prog}: {peer}{needs} is not installed, left out", file=sys.stderr)
    return names


def _installed(module):
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _check_calls(args):
    """Refuse what nets of calls don't have."""
    for option, value, default in (
        ("--dtype", args.dtype, None),
        ("--device", args.device, "cpu"),
        ("--one-shot", args.one_shot, False),
    ):
        if args.net in CALLS and value != default:
            args.parser.error(
                f"argument {option}: not for {args.net}: its calls have types of their own, on "
                "the CPU, with nothing prepared; --layers chooses among them"
            )


def _check_files(args):
    """Refuse before any work what can't be written; the chart's format."""
    if args.json and args.json != "-":
        with whole_file(args.json, check=True):
            pass
    if not args.chart:
        return None
    if not _installed("matplotlib"):
        raise CommandError(f"--chart needs matplotlib: {INSTALL_EXTRA}")
    from matplotlib.backend_bases import FigureCanvasBase

    kind = Path(args.chart).suffix.lower().removeprefix(".")
    if kind not in FigureCanvasBase.get_supported_filetypes():
        raise CommandError(f"cannot write {args.chart}: charts of type .{kind}; try .png")
    with whole_file(args.chart, check=True):
        pass
    return kind
