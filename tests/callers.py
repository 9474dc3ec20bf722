"""Python threads that call the library at the same time."""

import threading
from itertools import cycle, islice

CALLERS, ROUNDS = 8, 4


def at_once(*works):
    """Run each work, CALLERS of them by turns, on a thread of its own; raise what any raised."""
    start, failed = threading.Barrier(CALLERS), []

    def run(work):
        start.wait()
        try:
            for _ in range(ROUNDS):
                work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(w,)) for w in islice(cycle(works), CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error
