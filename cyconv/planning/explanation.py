"""Why a plan is as it is: every algorithm beside the one chosen, as text and as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from cyconv import notebook
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

    def _repr_html_(self):
        taken = [c for c in self.candidates if not c.reason]
        measured = any(c.measured_seconds is not None for c in taken)
        names = [c.name for c in taken]
        rows = [
            [
                c.name,
                f"{c.seconds * 1e3:.3f}",
                f"{c.workspace_bytes / 2**20:.2f}",
                f"{c.error:g}",
            ]
            + ["" if c.measured_seconds is None else f"{c.measured_seconds * 1e3:.3f}"] * measured
            for c in taken
        ]
        one = " on one thread" if self.device == "cpu" else ""
        head = ["algorithm", f"ms predicted{one}", "MiB workspace", "error, x direct"]
        head += ["ms measured for one image"] * measured
        chosen = names.index(self.algorithm) if self.algorithm in names else None
        refused = [(c.name, c.reason) for c in self.candidates if c.reason]
        return notebook.card(
            self.problem.title,
            notebook.text(self._cost()),
            notebook.text(self._choice()),
            notebook.text(self._tuned()) if self.tunables else "",
            notebook.table(head, rows, numbers=range(1, len(head)), chosen=chosen),
            notebook.details(f"rewritten: {len(self.chain)}", notebook.bullets(self.chain)),
            notebook.details(
                f"not possible: {len(refused)}", notebook.table(("algorithm", "why"), refused)
            ),
        )

    def _cost(self):
        p = self.problem
        span = " x ".join(map(str, p.receptive_field))
        return f"{p.parameters:,} parameters, {p.flops:,} FLOPs, receptive field {span}"

    def _choice(self):
        over = f" over {', '.join(self.over)}" if self.over else ""
        where = f"{self.threads} thread(s)" if self.device == "cpu" else f"on {self.device}"
        return f"chosen: {self.algorithm}{over} ({self.source}), {where}"

    def _tuned(self):
        values = ", ".join(f"{name}={value}" for name, value in self.tunables.items())
        return f"tuned: {values} (tuning file)"

    def __str__(self):
        lines = [self.problem.title, f"  {self._cost()}"]
        lines += [f"  rewritten: {sentence}" for sentence in self.chain]
        lines.append(f"  {self._choice()}")
        if self.tunables:
            lines.append(f"  {self._tuned()}")
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
