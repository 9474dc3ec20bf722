"""Which algorithms fit a problem, the cheapest first: what a plan goes through to choose."""

from cyconv.planning.rates cimport constants
from cyconv.problem.sizes cimport Sizes

from cyconv.planning.cost import one_image

cdef enum:
    MOST = 16  # algorithms

cdef double NEAR = 1.3  # of the time that any call takes: to find a better one costs more

cdef enum state_t:
    LEAST, EXACT, GONE  # what an algorithm's seconds are


def seconds_of(cls, problem, one, allowed):
    """What an algorithm takes for `one` image of `problem`, on one thread, where its channels lie.

    Of :class:`cyconv.lowering.views.ChannelsLast` each image has them last, whatever the batch.
    """
    seconds = cls.cost(one, 1, allowed)
    if getattr(problem, "channels_lie_last", False):
        seconds *= getattr(cls, "channels_last", 1.0)
    return seconds


cdef class Candidates:
    """The algorithms that keep the accuracy and the limit of `plan`, laid out, the cheapest first.

    Each with its seconds: one thread's, for one image. The order decides the result's bits, and
    those may depend neither on the number of threads nor on the batch an image is in. One that says
    what it costs at least is asked more only where that is the lowest; where one takes little more
    than any call does, those after it are asked only if it cannot.
    """

    cdef object plan, problem, one, allowed
    cdef list classes
    cdef double[MOST] seconds
    cdef state_t[MOST] state

    def __init__(self, plan, problem, allowed):
        self.plan, self.problem, self.one, self.allowed = plan, problem, one_image(problem), allowed
        cdef Sizes s = self.one.sizes
        cdef double any_call = constants.call_seconds + s.bytes / constants.bandwidth, found = 0
        self.classes = plan._classes(problem)
        assert len(self.classes) <= MOST
        for i, cls in enumerate(self.classes):
            if found:
                self.seconds[i], self.state[i] = found, LEAST
            elif cls.least is not None:
                self.seconds[i], self.state[i] = cls.least(self.one), LEAST
            else:
                self.ask(cls, i)
                if (self.state[i] == EXACT and self.seconds[i] < NEAR * any_call
                        and plan.device == "cpu"):
                    found = self.seconds[i]

    cdef ask(self, cls, Py_ssize_t i):
        """What it costs, if it can."""
        self.state[i] = GONE
        if cls.supports(self.problem) is None:
            self.seconds[i] = seconds_of(cls, self.problem, self.one, self.allowed)
            self.state[i] = EXACT

    def __iter__(self):
        return self

    def __next__(self):
        cdef Py_ssize_t i, best
        while True:
            best = -1
            for i in range(len(self.classes)):
                if self.state[i] != GONE and (best < 0 or self.seconds[i] < self.seconds[best]):
                    best = i
            if best < 0:
                raise StopIteration
            cls = self.classes[best]
            if self.state[best] == LEAST:
                self.ask(cls, best)
                continue
            self.state[best] = GONE
            if cls.error_bound(self.problem, self.allowed) <= self.allowed:
                algorithm, _, _ = self.plan._made(cls, self.problem, self.allowed)
                if algorithm is not None:
                    return self.seconds[best], algorithm
