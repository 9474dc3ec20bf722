"""Queues of one context: a call on one of them runs after what the others were given before it."""

from contextlib import contextmanager

from cyconv.opencl.device import pyopencl
from cyconv.problem.operands import is_on_device


def marker(queue):
    """An event that comes when the work which `queue` has now is done."""
    event = pyopencl().enqueue_marker(queue)
    queue.flush()  # who waits for an event on another queue does not start this one
    return event


@contextmanager
def ordered(target, arrays, events=()):
    """Work that is enqueued meanwhile follows what the arrays' queues have, and precedes the rest.

    The rest as well, because a caller may overwrite an operand on its own queue.
    """
    arrays = [a for a in arrays if is_on_device(a)]
    others = []
    for a in arrays:
        if a.queue != target.queue and a.queue not in others:
            others.append(a.queue)
    # In-order queues wait for their own events by themselves.
    foreign = [e for a in arrays for e in a.events if e.command_queue != target.queue]
    waits = [*events, *foreign]
    with target.errors("waiting for other queues"):
        waits += [marker(queue) for queue in others]
        if waits:
            pyopencl().enqueue_barrier(target.queue, wait_for=waits)
    yield
    if others:
        with target.errors("making other queues wait"):
            done = [marker(target.queue)]
            for queue in others:
                pyopencl().enqueue_barrier(queue, wait_for=done)
