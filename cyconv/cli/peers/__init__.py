"""How each peer computes a row, by its best means; `contestants` says who takes part.

- `pytorch`: PyTorch in three layouts, convolutions and what follows them in one call where it can.
- `onnx_model`: the rows as ONNX models; `onnx_engines`: ONNX Runtime, OpenVINO, MNN and OpenCV of
  such a model.
- `ncnn_net`: ncnn of a net in its own format.
- `images`: images and signals of one channel by OpenCV, SciPy and NumPy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cyconv.cli.graph import Graph, of_layer


@dataclass
class Task:
    """A row with its data: what a contestant is given. `w` is all the parameters of a graph."""

    layer: Any
    x: np.ndarray
    w: np.ndarray | None
    gradient: np.ndarray | None
    threads: int
    device: str = "cpu"

    @property
    def forward(self):
        """Whether the output is asked for, not the gradients."""
        return self.gradient is None

    @property
    def graph(self):
        """The row as a graph: a layer is one step."""
        return self.layer if isinstance(self.layer, Graph) else of_layer(self.layer)

    @property
    def parameters(self):
        """(weights, bias or None) of each step of the graph."""
        return self.graph.parameters(self.w.ravel())

    def check_float32(self, engine):
        """Refuse, for an `engine` that computes in one type only, another one."""
        if self.x.dtype != np.float32:
            raise TypeError(f"{engine} computes in float32, not {self.x.dtype}")


@dataclass
class Made:
    """What a contestant made of a task."""

    call: Callable[[], Any]
    arrays: Callable[[Any], tuple] = lambda y: (y,)
    algorithm: str | None = None
