"""The plan, how a problem is computed: chosen algorithms, packed weights; the cache of plans."""

from __future__ import annotations

import threading
from itertools import count as counter

import numpy as np

import cyconv.kernels
from cyconv import lowering
from cyconv.lowering.tree import Branch, Leaf, seen_by_leaf
from cyconv.planning import cost, registry, tuning
from cyconv.planning.candidates import Candidates, seconds_of
from cyconv.planning.estimates import estimates_of
from cyconv.planning.explanation import Candidate, Explanation
from cyconv.problem import Problem, as_int
from cyconv.problem.operands import (
    Residual,
    check_activation,
    check_add,
    check_bias,
    check_operand,
    check_out,
    deliver,
    strided,
)
from cyconv.runtime import forks
from cyconv.runtime.parallel import SLICE, check_threads

EFFORTS = ("estimate", "measure")


class Plan:
    """How a problem is computed; made by :func:`plan`, immutable, usable from many threads.

    A pickled one is planned again where it arrives, for that machine; a copy is the same plan.

    Attributes
    ----------
    problem : Problem
    algorithm : str
        Name of the algorithm chosen for the primitive problems.
    workspace_bytes : int
        Scratch of one call on the plan's threads, without the packed weights.

    Examples
    --------
    >>> plan = cyconv.plan(cyconv.Problem((1, 3, 8, 8), (4, 3, 3, 3)), algorithm="direct")
    >>> plan.algorithm
    'direct'
    >>> print(str(plan.explain()).splitlines()[0])
    forward (1, 3, 8, 8) * (4, 3, 3, 3) -> (1, 4, 6, 6), float32
    """

    def __init__(
        self, problem, algorithm, threads, accuracy, workspace_limit, isa, effort="estimate"
    ):
        values = self.__dict__  # frozen for others
        values.update(
            problem=problem,
            threads=threads,
            accuracy=accuracy,
            effort=effort,
            workspace_limit=workspace_limit,
            _isa=isa,
            _count=check_threads(problem.operation, threads),
            _requested=algorithm,
        )
        with estimates_of(isa):
            values["_root"] = root = self._build(problem)
        leaves, calls = root.leaves(), root.calls()
        # One kernel call that Ctrl-C cannot stop: nothing can fail once it writes.
        values["_all_or_nothing"] = (
            len(calls) == 1 and calls[0].all_or_nothing and self.seconds < SLICE
        )
        if len(leaves) > 1:
            leaves = [leaf for leaf in leaves if leaf.problem.sizes.flops] or leaves
        names = dict.fromkeys([leaf.algorithm.name for leaf in leaves])
        values["algorithm"] = "+".join(names) or "none"  # nothing to compute

    device = "cpu"
    _leaf, _branch, _registry = Leaf, Branch, registry

    def __setattr__(self, name, value):
        raise AttributeError(f"Plan is immutable: cannot set {name!r}")

    def _key(self):
        return (
            self.problem,
            self._requested,
            self.threads,
            self.accuracy,
            self.workspace_limit,
            self._isa,
            self.effort,
            self.algorithm,
        )

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, Plan) else NotImplemented

    def __hash__(self):
        return hash(self._key())

    def __reduce__(self):
        return plan, (
            self.problem,
            self._requested,
            self.device,
            self.threads,
            self.accuracy,
            self.workspace_limit,
            self.effort,
        )

    def __copy__(self):
        return self

    def __deepcopy__(self, _):
        return self

    def _lower(self, problem):
        return lowering.lower(problem, self.accuracy == "strict")

    def _build(self, problem):
        rule = self._lower(problem)
        if rule is not None:
            children = [self._build(child) for child in rule.children]
            return self._branch(rule, self._in_one_pass(rule, children) or children)
        allowed = cost.allowed(problem, self.accuracy)
        if self._requested != "auto":
            cls = self._class(self._requested, problem)
            algorithm, kind, reason = self._laid_out(cls, problem)
            if algorithm is None:
                raise kind(f"{problem.operation}: algorithm={cls.name!r}: {reason}")
            return self._leaf(problem, algorithm, cls.cost(problem, 1, allowed))
        fitting, measured, source = Candidates(self, problem, allowed), {}, "estimate"
        one = cost.one_image(problem)
        # Nothing to compute is nothing to measure, and of one there is no choice.
        if self.effort == "measure" and one.flops and len(fitting := [*fitting]) > 1:
            names = [algorithm.name for _, algorithm in fitting]
            measured, source = tuning.seconds(
                one, names, self._count, self.accuracy, self.workspace_limit, self._isa, type(self)
            )
            best = min(measured, key=measured.get, default=names[0])
            fitting = fitting[names.index(best) :]
        seconds, algorithm = next(iter(fitting), (None, None))
        if algorithm is None:
            raise self._refusal(problem)
        if one is not problem:
            seconds = algorithm.cost(problem, 1, allowed)
        leaf = self._leaf(problem, algorithm, seconds)
        leaf.measured, leaf.source = measured, source if measured else "estimate"
        return leaf

    def _in_one_pass(self, rule, children):
        """The children of a rule that interleaves their results, by an algorithm that solves all
        of them in one call, if that is cheaper; else None.
        """
        if self._requested != "auto" or not rule.phases:
            return None
        if not all(isinstance(child, Leaf) for child in children):
            return None
        allowed = cost.allowed(rule.problem, self.accuracy)
        apart = cost.scatter_seconds(rule.problem)
        for leaf in children:
            apart += type(leaf.algorithm).cost(cost.one_image(leaf.problem), 1, allowed)
        for cls in self._classes(rule.problem):
            seconds = getattr(cls, "phases_cost", lambda _: None)(rule)
            if seconds is None or seconds > apart:
                continue
            laid_out = [self._made(cls, leaf.problem, allowed)[0] for leaf in children]
            if None not in laid_out:
                share = seconds * rule.problem.batch / len(children)
                return [
                    self._leaf(leaf.problem, one, share)
                    for leaf, one in zip(children, laid_out, strict=True)
                ]
        return None

    def _class(self, name, problem):
        return self._registry.get(name, problem.dtype)

    def _classes(self, problem):
        return self._registry.every(problem.dtype)

    def _laid_out(self, cls, problem):
        """(the algorithm for the problem, None, None), or (None, kind of error, reason)."""
        reason = cls.supports(problem)
        if reason is not None:
            return None, ValueError, reason
        return self._made(cls, problem, cost.allowed(problem, self.accuracy))

    def _made(self, cls, problem, allowed):
        """As :meth:`_laid_out`, of an algorithm that supports the problem."""
        try:
            return cls(problem, self.workspace_limit, self._isa, allowed), None, None
        except MemoryError as error:
            reason = str(error).removeprefix(f"{problem.operation}: ")
            return None, MemoryError, reason or "no memory to plan"

    def _refusal(self, problem):
        """The error where no algorithm keeps both the accuracy and the limit."""
        found = [self._laid_out(cls, problem) for cls in self._classes(problem)]
        if any(algorithm is not None for algorithm, _, _ in found):
            return ValueError(
                f"{problem.operation}: accuracy={self.accuracy!r} is beyond every algorithm for "
                f"this problem in {problem.dtype}"
            )
        _, kind, reason = max(found, key=lambda one: one[1] is MemoryError)
        return kind(f"{problem.operation}: {reason}")

    def _candidate(self, cls, leaf):
        """What is told of an algorithm beside the leaf's."""
        problem, allowed = leaf.problem, cost.allowed(leaf.problem, self.accuracy)
        algorithm, _, reason = self._laid_out(cls, problem)
        if algorithm is None:
            return Candidate(cls.name, reason)
        return Candidate(
            cls.name,
            None,
            seconds_of(cls, problem, problem, allowed),
            algorithm.workspace(self._count),
            cls.error_bound(problem, allowed),
            leaf.measured.get(cls.name),
        )

    @property
    def workspace_bytes(self):
        """Scratch of one call, in bytes: the largest of its parts, which run one after another."""
        return max((call.workspace(self._count) for call in self._root.calls()), default=0)

    @property
    def reads_borders(self):
        """Whether packed weights have :meth:`PackedConv.of_bordered`."""
        return getattr(getattr(self._root, "algorithm", None), "reads_borders", False)

    @property
    def seconds(self):
        """Predicted time of one call on one thread, in seconds."""
        return sum([leaf.seconds for leaf in self._root.leaves()])

    def measured_seconds(self, other=None):
        """Time of one image on the plan's threads, where it was measured, else None.

        Parameters
        ----------
        other : Plan, optional
            Of the same problem: what its algorithms would take instead.

        Returns
        -------
        float or None
            The sum of the parts that the problem is rewritten into.
        """
        pairs = zip(self._root.leaves(), (other or self)._root.leaves(), strict=True)
        parts = [mine.measured.get(its.algorithm.name) for mine, its in pairs if mine.problem.flops]
        return sum(parts) if parts and None not in parts else None

    def explain(self):
        """What was chosen, over what, and why.

        Returns
        -------
        Explanation
            Print it, or take ``to_dict()``.
        """
        leaf, candidates, over = next(iter(self._root.leaves()), None), (), ()
        if leaf is not None:  # else nothing to compute
            with estimates_of(self._isa):
                classes = self._classes(leaf.problem)
                candidates = tuple(self._candidate(cls, leaf) for cls in classes)
                if self._requested == "auto":
                    allowed = cost.allowed(leaf.problem, self.accuracy)
                    fitting = Candidates(self, leaf.problem, allowed)
                    names = (algorithm.name for _, algorithm in fitting)
                    over = tuple(name for name in names if name != leaf.algorithm.name)
        return Explanation(
            self.problem,
            self._root.chain(),
            self.algorithm,
            candidates,
            self._count,
            self.workspace_limit,
            (leaf or Leaf).source,
            over,
        )

    def pack(self, w, bias=None, activation=None):
        """Transform or pack the weights once, for many calls.

        Parameters
        ----------
        w : array of the problem's w_shape
        bias : array of K, optional
        activation : {None, 'relu', 'relu6'} or (low, high), optional

        Returns
        -------
        PackedConv
            ``packed(x, out=None, add=None)``. It keeps no reference to `w` or `bias`.
        """
        problem = self.problem
        if problem.operation == "plan":
            problem = problem.named("pack")
        w, bias = check_operand(problem, 1, w), check_bias(problem, bias)
        return PackedConv(self, w, bias, check_activation(problem, activation))

    def __call__(self, x, w, bias=None, out=None, activation=None, threads=None, add=None):
        """Compute the problem for these arrays.

        Parameters
        ----------
        x, w : arrays of the problem's dtype
            Its two operands: x and w forward, the output's gradient and w for the input's
            gradient, x and the output's gradient for the weights'.
        bias : array of K, optional
        out : array of the output's shape and dtype, optional
        activation : {None, 'relu', 'relu6'} or (low, high), optional
        threads : int, optional
            Default the plan's.
        add : array of the output's shape, optional
            A residual: added to the result before the activation.

        Returns
        -------
        ndarray
            `out` if it was given.
        """
        problem = self.problem
        op = problem.operation
        x, w = check_operand(problem, 0, x), check_operand(problem, 1, w)
        bias = None if bias is None else check_bias(problem, bias)
        clamp = None if activation is None else check_activation(problem, activation)
        count = self._count if threads is None else check_threads(op, threads)
        add = None if add is None else check_add(problem, add)
        out, target = check_out(problem, out, self._all_or_nothing, x, w, bias, add=add)
        add = None if add is None else Residual(add, target)
        self._root.run(x, self._root.pack(w, once=True), target, bias, clamp, count, add)
        return deliver(out, target)

    def __repr__(self):
        return f"<Plan {self.algorithm} for {self.problem}>"


class PackedConv:
    """A plan with its weights packed: ``packed(x, out=None, add=None)``.

    One that is pickled is packed again where it arrives, from the weights as they were given. Most
    algorithms need these anyway, to mend what is not finite; beside `implicit_gemm`'s and
    `batch_gemm`'s panels they are a second copy. Immutable: a copy is the same object.

    Examples
    --------
    >>> plan = cyconv.plan(cyconv.Problem((1, 3, 8, 8), (4, 3, 3, 3)))
    >>> packed = plan.pack(np.ones((4, 3, 3, 3), "f"), activation="relu")
    >>> out = np.empty((1, 4, 6, 6), "f")
    >>> packed(np.ones((1, 3, 8, 8), "f"), out=out) is out
    True
    """

    def __init__(self, plan, w, bias, clamp):
        self.plan = plan
        self._bias = None if bias is None else bias.copy()
        self._clamp = clamp
        self._w = w.copy()  # the caller may change his
        self._packed = plan._root.pack(self._w)

    def __reduce__(self):
        return _pack_again, (self.plan, self._w, self._bias, self._clamp)

    def __copy__(self):
        return self

    def __deepcopy__(self, _):
        return self

    def __call__(self, x, out=None, threads=None, add=None):
        """Compute the plan's problem for `x`, with the packed weights.

        Parameters
        ----------
        x : array of the problem's shape and dtype
        out : array of the output's shape and dtype, optional
        threads : int, optional
            Default the plan's.
        add : array of the output's shape, optional
            A residual: added to the result before the activation.
        """
        plan = self.plan
        problem = plan.problem
        x = check_operand(problem, 0, x)
        count = plan._count if threads is None else check_threads(problem.operation, threads)
        add = None if add is None else check_add(problem, add)
        out, target = check_out(problem, out, plan._all_or_nothing, x, add=add)
        add = None if add is None else Residual(add, target)
        plan._root.run(x, self._packed, target, self._bias, self._clamp, count, add)
        return deliver(out, target)

    def of_stored(self, x, zero, y, target=None):
        """Fill `y` for an x of integers, of which `zero` stands for 0, as it is stored.

        Parameters
        ----------
        x : array of the problem's shape, of uint8, int8 or int16
        zero : int, or None
            None for an x of any integers, less its zero point, that any algorithm takes.
        y : array of the output's shape
        target : (zero, factor), optional
            What y's type is requantised with: y = clip(round(sum * factor) + zero).

        Returns
        -------
        bool
            Whether the plan's algorithm can: nothing is written where not.
        """
        plan = self.plan
        if zero is None:
            plan._root.run(x, self._packed, y, self._bias, None, plan._count)
            return True
        seen = seen_by_leaf(plan._root, self._packed, x, y)
        if seen is None or x.dtype not in seen[0].algorithm.stored:
            return False
        leaf, packed, x, y = seen
        if y.size:
            leaf.algorithm.run(
                strided(x),
                packed,
                y,
                self._bias,
                None,
                plan._count,
                leaf.seconds,
                None,
                zero,
                target,
            )
        return True

    @property
    def bytes(self):
        """Of the packed weights, and the weights, about."""
        packed = self._packed
        return self._w.nbytes + getattr(packed, "bytes", 0)

    def of_bordered(self, x, border, out, saturate=False):
        """Fill `out` for the image within the first operand's border, as it is stored.

        Parameters
        ----------
        x : array (N, C, *spatial) of integers, bool, float32 or float64
        border : (widths, mode, cval)
            What makes the operand of `x`: see :func:`cyconv.lowering.borders.extended`, of the
            spatial axes alone.
        out : array of the output's shape, of those types
        saturate : bool
            Round integers to the nearest and clip, instead of C's cast.
        """
        plan = self.plan
        target = out if plan._all_or_nothing else np.empty_like(out)
        plan._root.algorithm.run_bordered(
            strided(x), self._packed, target, plan._count, plan.seconds, border, saturate
        )
        deliver(out, target)

    def repeated(self, x, out):
        """A function of no arguments that computes the same again, to be timed."""
        return lambda: self(x, out=out)

    def __repr__(self):
        return f"<PackedConv of {self.plan!r}>"


def _pack_again(plan, w, bias, clamp):
    return PackedConv(plan, w, bias, clamp)


class _Cache:
    """The `size` plans used last, and at most as many others, by what they were asked for."""

    def __init__(self, size):
        self.size, self._plans, self._lock = size, {}, threading.Lock()
        self._clock = counter()

    def get(self, key):
        """The plan for `key`, or None."""
        entry = self._plans.get(key)
        if entry is None:
            return None
        entry[1] = next(self._clock)
        return entry[0]

    def put(self, key, plan):
        """Keep `plan`, and give it back, or the one that another thread kept for `key` meanwhile.

        Those used longest ago go, many at a time.
        """
        kept, _ = self._plans.setdefault(key, [plan, next(self._clock)])
        if len(self._plans) > 2 * self.size:
            with self._lock:
                by_use = sorted(self._plans, key=lambda key: self._plans[key][1])
                for old in by_use[: -self.size]:
                    del self._plans[old]
        return kept

    def drop(self, unwanted):
        """Forget the plans of which `unwanted` is true."""
        with self._lock:
            for key, (plan, _) in list(self._plans.items()):  # others may add some meanwhile
                if unwanted(plan):
                    del self._plans[key]

    def __len__(self):
        return len(self._plans)


cache = _Cache(256)
forks.in_child(lambda: setattr(cache, "_lock", threading.Lock()))


def plan(
    problem,
    algorithm="auto",
    device="cpu",
    threads=None,
    accuracy="balanced",
    workspace_limit=None,
    effort="estimate",
):
    """Decide how `problem` is computed.

    Parameters
    ----------
    problem : Problem
    algorithm : str, default 'auto'
        A name from :func:`algorithms`, or the library's choice.
    device : str, default 'cpu'
        Or an OpenCL device: 'opencl', 'opencl:1' by its number or 'opencl:PoCL' by part of a name.
    threads : int, optional
        Default :func:`get_num_threads` at this moment.
    accuracy : {'strict', 'balanced', 'fast'} or float
        Error within 1.5 times direct summation's, within 4 times, any; or a bound on the relative
        error. Asks the choice; an algorithm that was named is used.
    workspace_limit : int, optional
        Bytes of scratch a call may take, all threads together. Default 256 MiB.
    effort : {'estimate', 'measure'}
        Choose by the cost model: always the same, no file is read but, on an OpenCL device, for the
        tunables of its kernels. Or time the algorithms that keep
        `accuracy` and `workspace_limit`, for one image on these threads, about half a second for
        each primitive problem, and remember the fastest in the file `CYCONV_TUNING_FILE`, else in
        the user's cache folder: the next plan, in any process, finds it there.

    Returns
    -------
    Plan
        The same object for the same question, while it is among the last 256.

    Raises
    ------
    ValueError
        For a wrong argument, or an algorithm that does not support the problem (with the reason).
    MemoryError
        If no algorithm fits the workspace limit.

    Examples
    --------
    >>> problem = cyconv.Problem((1, 64, 56, 56), (64, 64, 3, 3), padding=1)
    >>> cyconv.plan(problem, algorithm="im2col").algorithm
    'im2col'
    >>> plan = cyconv.plan(problem)
    >>> plan(np.ones(problem.x_shape, "f"), np.ones(problem.w_shape, "f")).shape
    (1, 64, 56, 56)
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"plan: problem must be a Problem, got {type(problem).__name__}")
    if problem.operation == "Problem":
        problem = problem.named("plan")
    op = problem.operation
    if not isinstance(effort, str) or effort not in EFFORTS:
        raise ValueError(f"{op}: effort must be one of {EFFORTS}, got {effort!r}")
    kind, asked = _question(problem, algorithm, device, threads, accuracy, workspace_limit)
    file = tuning.path() if effort == "measure" else None
    key = (op, *asked, effort, file)
    found = cache.get(key)
    if found is None:
        found = cache.put(key, kind(*asked, effort))
    return found


def planned(problem, *how):
    """A new Plan, for a caller that keeps it: `how` is :func:`plan`'s, from `algorithm` on."""
    kind, asked = _question(problem, *how)
    return kind(*asked)


def _question(problem, algorithm, device, threads, accuracy, workspace_limit):
    """The class of plans, and what one is asked, checked."""
    op = problem.operation
    kind, hardware = _hardware(op, algorithm, device)
    accuracy = cost.check_accuracy(op, accuracy)
    count = check_threads(op, threads)
    if workspace_limit is None:
        workspace_limit = cost.WORKSPACE_LIMIT
    else:
        workspace_limit = min(as_int(op, "workspace_limit", workspace_limit, 0), 2**62)
    return kind, (problem, algorithm, count, accuracy, workspace_limit, hardware)


def _hardware(operation, algorithm, device):
    """The class of plans for `device`, and what the cache knows it by."""
    if not isinstance(device, str) or device != "cpu":
        if isinstance(device, str) and device.partition(":")[0] == "opencl":
            devices = registry.devices()
            return devices.DevicePlan, devices.opened(operation, device, algorithm)
        raise ValueError(
            f"{operation}: device must be 'cpu', 'opencl', 'opencl:<number>' or "
            f"'opencl:<part of a name>', got {device!r}"
        )
    registry.check_name(operation, algorithm)
    return Plan, cyconv.kernels.isa()


def algorithms(problem):
    """Every algorithm, and why it cannot solve `problem`.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    dict of str to (None or str)
        None where the algorithm can; else the reason, in one sentence.

    Examples
    --------
    >>> can = cyconv.algorithms(cyconv.Problem((1, 3, 8, 8), (4, 3, 3, 3), dtype="int32"))
    >>> can["direct"] is None
    True
    >>> print(can["fft"])
    fft needs a float dtype, got int64
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"algorithms: problem must be a Problem, got {type(problem).__name__}")
    reasons = dict.fromkeys(registry.names())
    for primitive in lowering.primitives(problem):
        for name in registry.names():
            cls = registry.get(name, primitive.dtype)
            reasons[name] = reasons[name] or cls.supports(primitive)
    return reasons
