"""Who takes part in ``cyconv bench``: cyconv and its peers, each by its best means.

A contestant is made for one task in a process of its own, with its thread count set beforehand. It
gives a function of no arguments that computes the result once, as fast as it can with all that can
be prepared prepared, and one that turns what that returns into arrays like the reference's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import doors, integers, ours
from .calls import Call
from .graph import Graph
from .integers import Quantised
from .layer import Layer
from .peers import Made, Task, images
from .peers.ncnn_net import make_ncnn
from .peers.onnx_engines import make_onnxruntime, make_opencv_dnn, make_openvino, mnn_by
from .peers.pytorch import torch_in
from .peers.spectra import spectra_by


def _layer(row):
    return isinstance(row, Layer)


@dataclass(frozen=True)
class Contestant:
    """One way to compute layers or calls.

    `peer` is the name that ``--against`` knows it by, None for cyconv's own; `needs` the modules to
    import; `takes` says whether it knows how to compute a row.
    """

    peer: str | None
    make: Callable[[Task], Made]
    takes: Callable[[Any], bool] = _layer
    needs: tuple[str, ...] = ()


def _plain(row):
    return _layer(row) and row.plain


def _net(row):
    """What runs forward: a layer or several."""
    return isinstance(row, Graph) or (_plain(row) and row.direction != "backward")


def _engines(row):
    """Layers of networks, not an image or a signal under one filter."""
    return _net(row) and not row.one_channel


def _single(row):
    """Layers of networks on one image."""
    return _engines(row) and row.x[0] == 1


def _dense(row):
    """What torch computes, in the layout that its arrays have."""
    return isinstance(row, Graph) or _plain(row)


def _planes(row):
    if isinstance(row, Graph):
        return len(row.x) == 4
    return _layer(row) and row.cells is None and len(row.w) == 4


def _one_channel(row):
    return _plain(row) and row.one_channel


def _rows(row):
    return _plain(row) and row.by_channel


def _image(row):
    return _one_channel(row) and _planes(row)


def _call_of(door):
    return lambda row: isinstance(row, Call) and row.door == door


def _quantised(row):
    return isinstance(row, Quantised)


CONTESTANTS = {
    "cyconv": Contestant(None, ours.prepared, lambda row: True),
    "cyconv one-shot": Contestant(None, ours.one_shot, lambda row: _layer(row) and not row.last),
    "cyconv float32": Contestant(
        "float32", ours.float32, lambda row: _layer(row) and bool(row.cells)
    ),
    "torch": Contestant("torch", torch_in("nchw"), _dense, ("torch",)),
    "torch channels_last": Contestant("torch", torch_in("channels_last"), _planes, ("torch",)),
    "torch prepacked": Contestant(
        "torch",
        torch_in("prepacked"),
        lambda row: _planes(row) and (isinstance(row, Graph) or row.direction != "backward"),
        ("torch",),
    ),
    "onnxruntime": Contestant("onnxruntime", make_onnxruntime, _net, ("onnxruntime", "onnx")),
    "onnxruntime QLinearConv": Contestant(
        "onnxruntime", integers.by_onnxruntime, _quantised, ("onnxruntime", "onnx")
    ),
    "cyconv unquantised": Contestant("float32", integers.by_float32, _quantised),
    "openvino": Contestant("openvino", make_openvino, _engines, ("openvino", "onnx")),
    "ncnn": Contestant("ncnn", make_ncnn, _single, ("ncnn",)),
    "mnn": Contestant("mnn", mnn_by("any"), _engines, ("MNN", "onnx")),
    "mnn F(2,3)": Contestant("mnn", mnn_by("small"), _engines, ("MNN", "onnx")),
    "opencv dnn": Contestant("opencv", make_opencv_dnn, _engines, ("cv2", "onnx")),
    "opencv filter2D": Contestant("opencv", images.make_opencv, _image, ("cv2",)),
    "scipy ndimage.correlate": Contestant("scipy", images.make_ndimage, _image, ("scipy",)),
    "scipy fftconvolve": Contestant(
        "scipy", images.signal_by("fftconvolve"), _one_channel, ("scipy",)
    ),
    "scipy oaconvolve": Contestant(
        "scipy", images.signal_by("oaconvolve"), _one_channel, ("scipy",)
    ),
    "scipy correlate": Contestant("scipy", images.signal_by("correlate"), _one_channel, ("scipy",)),
    "numpy convolve": Contestant(
        "scipy",
        images.make_numpy,
        lambda row: _one_channel(row) and len(row.w) == 3,
        ("numpy",),
    ),
    "torch.fft": Contestant("torch", spectra_by("torch"), _rows, ("torch",)),
    "mkl_fft": Contestant("mkl_fft", spectra_by("mkl_fft"), _rows, ("mkl_fft",)),
    "pyfftw": Contestant("pyfftw", spectra_by("pyfftw"), _rows, ("pyfftw",)),
    "opencv": Contestant("opencv", doors.by_opencv, _call_of("filters"), ("cv2",)),
    "scipy": Contestant("scipy", doors.by_scipy, _call_of("ndimage"), ("scipy",)),
}
"""By name. Halves and quantised layers have our own float32 as a peer.

NumPy's function is one of the ways that SciPy's users have.
"""

PEERS = tuple(dict.fromkeys(c.peer for c in CONTESTANTS.values() if c.peer))
