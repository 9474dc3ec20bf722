"""``cyconv explain``: what a convolution costs, and how it would be computed."""

import json

from cyconv.planning.plan import EFFORTS
from cyconv.problem import PADDING_MODES

from .common import (
    add_accuracy,
    add_device,
    bad_input,
    byte_count,
    int_or_ints,
    ints,
    padding,
    positive_int,
)

_DESCRIPTION = """\
Explain a convolution without running it: the shape of its output, its
parameters, its floating-point operations (a multiplication and an addition
count as two), how it is rewritten into simpler ones, and for every algorithm
the predicted time and the scratch memory, or why it can't do it. With --effort
measure also the measured time, for one image, by which it is then chosen.
"""

_EPILOG = """\
example:
  cyconv explain --input 1,64,56,56 --weight 64,64,3,3 --padding 1
"""


def add_parser(subparsers):
    """Describe the command."""
    parser = subparsers.add_parser(
        "explain",
        help="show what a convolution costs and how it is computed",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("--input", type=ints, required=True, metavar="N,C,H,W", help="shape of the input")
    add("--weight", type=ints, required=True, metavar="K,C,R,S", help="shape of the weights")
    add(
        "--padding",
        type=padding,
        default=0,
        metavar="P",
        help="cells added around the input: 1; 1,1 (axis by axis); 0:1,0:1 (start and end of each "
        "axis); valid, same or same_lower (default: 0)",
    )
    add(
        "--stride",
        type=int_or_ints,
        default=1,
        metavar="S",
        help="step of the window: 2; 2,1 (default: 1)",
    )
    add(
        "--dilation",
        type=int_or_ints,
        default=1,
        metavar="D",
        help="step between its taps: 2; 2,1 (default: 1)",
    )
    add("--groups", type=int, default=1, metavar="G", help="groups of channels (default: 1)")
    add(
        "--padding-mode",
        choices=PADDING_MODES,
        default="zeros",
        metavar="MODE",
        help=f"what they hold: {', '.join(PADDING_MODES)} (default: zeros)",
    )
    add("--dtype", default="float32", help="type of the numbers (default: float32)")
    add(
        "--algorithm",
        default="auto",
        metavar="NAME",
        help="plan for this one instead of the best (default: auto)",
    )
    add_accuracy(parser)
    add_device(parser)
    add("--threads", type=positive_int, metavar="N", help="threads to use (default: all cores)")
    add(
        "--workspace-limit",
        type=byte_count,
        metavar="BYTES",
        help="scratch memory allowed, like 64M (default: 256M)",
    )
    add(
        "--effort",
        choices=EFFORTS,
        default="estimate",
        help="choose by the cost model, or by measuring once and remembering (default: estimate)",
    )
    add("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(args):
    """Plan and print."""
    import cyconv

    with bad_input(MemoryError, operation="explain"):
        problem = cyconv.Problem(
            args.input,
            args.weight,
            args.dtype,
            args.stride,
            args.padding,
            args.dilation,
            args.groups,
            padding_mode=args.padding_mode,
            operation="explain",
        )
        plan = cyconv.plan(
            problem,
            algorithm=args.algorithm,
            device=args.device,
            threads=args.threads,
            accuracy=args.accuracy,
            workspace_limit=args.workspace_limit,
            effort=args.effort,
        )
        explanation = plan.explain()
    if args.json:
        print(json.dumps(explanation.to_dict(), indent=2))
        return
    print(explanation)
