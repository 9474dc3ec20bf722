"""Why a plan is as it is: every algorithm beside the one chosen, as text and as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from cyconv.problem import Problem


@dataclass(frozen=True)
class Candidate:
    """One algorithm beside the others: why not, or what it would cost."""

    name: str
    reason: str | None
    seconds: float | None = None
    workspace_bytes: int | None = None
    error: float | None = None
    measured_seconds: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Why a plan is as it is; ``str()`` is the text, :meth:`to_dict` is for programs.

    Examples
    --------
    >>> plan = cyconv.plan(cyconv.Problem((1, 3, 8, 8), (4, 3, 3, 3)), algorithm="direct")
    >>> plan.explain().to_dict()["algorithm"]
    'direct'
    """

    problem: Problem
    chain: tuple[str, ...]
    algorithm: str
    candidates: tuple[Candidate, ...]
    threads: int
    workspace_limit: int
    source: str = "estimate"
    over: tuple[str, ...] = ()
    device: str = "cpu"
    tunables: dict[str, int] = field(default_factory=dict)

    def to_dict(self):
        """The explanation as JSON-ready values."""
        return {
            "problem": {
                "x_shape": list(self.problem.x_shape),
                "w_shape": list(self.problem.w_shape),
                "dtype": str(self.problem.dtype),
                "stride": list(self.problem.stride),
                "padding": [list(pair) for pair in self.problem.padding],
                "dilation": list(self.problem.dilation),
                "groups": self.problem.groups,
                "padding_mode": self.problem.padding_mode,
                "data_format": self.problem.data_format,
                "flip": self.problem.flip,
                "direction": self.problem.direction,
            },
            "output_shape": list(self.problem.output_shape),
            "parameters": self.problem.parameters,
            "flops": self.problem.flops,
            "chain": list(self.chain),
            "algorithm": self.algorithm,
            "source": self.source,
            "over": list(self.over),
            "device": self.device,
            "tunables": dict(self.tunables),
            "threads": self.threads,
            "workspace_limit": self.workspace_limit,
            "candidates": [asdict(candidate) for candidate in self.candidates],
        }

    def __str__(self):
        p = self.problem
        lines = [f"{p.direction} {p.x_shape} * {p.w_shape} -> {p.output_shape}, {p.dtype}"]
        field = " x ".join(map(str, p.receptive_field))
        lines.append(f"  {p.parameters:,} parameters, {p.flops:,} FLOPs, receptive field {field}")
        lines += [f"  rewritten: {sentence}" for sentence in self.chain]
        over = f" over {', '.join(self.over)}" if self.over else ""
        where = f"{self.threads} thread(s)" if self.device == "cpu" else f"on {self.device}"
        lines.append(f"  chosen: {self.algorithm}{over} ({self.source}), {where}")
        if self.tunables:
            values = ", ".join(f"{name}={value}" for name, value in self.tunables.items())
            lines.append(f"  tuned: {values} (tuning file)")
        width = max((len(c.name) for c in self.candidates), default=0)
        one = " on one thread" if self.device == "cpu" else ""
        for c in self.candidates:
            if c.reason:
                lines.append(f"    {c.name:{width}} no: {c.reason}")
            else:
                lines.append(
                    f"    {c.name:{width}} {c.seconds * 1e3:10.3f} ms predicted{one}, "
                    f"{c.workspace_bytes / 2**20:8.2f} MiB workspace, error {c.error:g} x direct"
                )
                if c.measured_seconds is not None:
                    lines[-1] += f", {c.measured_seconds * 1e3:.3f} ms measured for one image"
        return "\n".join(lines)
