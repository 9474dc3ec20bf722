"""Calls that take turns, so that what else the machine does meets all of them."""

from random import Random
from statistics import median
from time import perf_counter, sleep, thread_time

import torch

IDLE = 0.02  # seconds after which no one's threads still spin, waiting for more


def medians(calls, turns, cpu_time=False):
    """{name: milliseconds} of `calls`, by name, after one turn that is not counted.

    Each turn has an order of its own, with a pause before each call: threads that wait for more
    work would take a processor from whoever comes next.
    """
    clock, order = thread_time if cpu_time else perf_counter, list(calls)
    times, random = {name: [] for name in calls}, Random(0)
    for turn in range(turns + 1):
        random.shuffle(order)
        for name in order:
            call = calls[name]
            sleep(IDLE)
            begin = clock()
            call()
            if turn:
                times[name].append(1e3 * (clock() - begin))
    return {name: median(each) for name, each in times.items()}


def add_arguments(parser):
    """The options that the scripts have in common."""
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="processor time in place of wall time: for one thread on a machine with other work",
    )


def begin(args):
    """Set the threads and the seed, and say what is measured."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    kind = "processor time of the calling thread" if args.cpu_time else "wall time"
    print(f"torch {torch.__version__}, {args.threads} thread(s), {args.turns} turns, {kind}")
