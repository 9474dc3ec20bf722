"""What became of a model: layer by layer what was replaced, joined, and left, and why."""

from dataclasses import dataclass, field


@dataclass
class Layer:
    """One convolution of a model.

    Attributes
    ----------
    name, was : str
        Where it is in the model, and its class there.
    packed : PackedConvolution or None
        What took its place.
    joined : list of str
        Layers that are computed with it.
    note : str
        Why it was left, or what could not join it.
    """

    name: str
    was: str
    packed: object = None
    joined: list = field(default_factory=list)
    note: str = ""

    @property
    def algorithm(self):
        """Name of the algorithm for the example, or None for a layer that was left."""
        return self.packed and self.packed.algorithm

    def cells(self):
        """Its row: name, class, algorithm, what joined it, remark."""
        now = (self.algorithm or "not called") if self.packed is not None else "left"
        return self.name, self.was, now, " + ".join(self.joined) or "-", self.note


@dataclass
class Report:
    """What :func:`cyconv.torch.optimize` did; print it.

    Attributes
    ----------
    layers : list of Layer
    others : dict of str to int
        How many layers of each other class were left alone.
    untraced : str or None
        Why the model could not be traced, so that nothing was fused.
    difference : float
        Largest difference from the model's own result for the example, relative to its largest
        value.
    """

    layers: list
    others: dict
    untraced: str | None = None
    difference: float = 0.0

    @property
    def replaced(self):
        """The layers that cyconv computes now."""
        return [layer for layer in self.layers if layer.packed is not None]

    def __str__(self):
        rows = [("layer", "was", "computed by", "joined by", ""), *(r.cells() for r in self.layers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(c.ljust(n) for c, n in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        count = f"{len(self.replaced)} of {len(self.layers)} convolutions replaced"
        lines.append(f"{count}; largest relative difference on the example {self.difference:.1e}")
        if self.untraced is not None:
            lines.append(f"nothing was fused: torch.fx cannot trace the model ({self.untraced})")
        if self.others:
            names = ", ".join(f"{n} {name}" for name, n in sorted(self.others.items()))
            lines.append(f"left alone, no convolutions: {names}")
        return "\n".join(lines)
