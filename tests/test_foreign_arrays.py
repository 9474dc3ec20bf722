"""Arrays of other libraries: those in the CPU's memory come without a copy, others are refused."""

import numpy as np
import pytest

import cyconv
from cyconv.problem.operands import as_array

X = np.random.default_rng(0).integers(-4, 5, (2, 3, 6, 7)).astype("f4")
W = np.random.default_rng(1).integers(-4, 5, (4, 3, 3, 3)).astype("f4")


class Foreign:
    """An array that only DLPack can read."""

    def __init__(self, array, device=(1, 0)):
        self._array, self._device = array, device

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._device


class Converting(Foreign):
    """One that NumPy can convert, and that tells how often it was asked."""

    asked = 0

    def __array__(self, dtype=None, copy=None):
        self.asked += 1
        return self._array


def views():
    """Arrays of several strides."""
    return {
        "plain": X,
        "channels last": np.moveaxis(np.ascontiguousarray(np.moveaxis(X, 1, 3)), 3, 1),
        "every other column": np.repeat(X, 2, 3)[..., ::2],
    }


@pytest.mark.parametrize("view", views())
@pytest.mark.parametrize("kind", [Foreign, Converting])
def test_no_copy_is_made(kind, view):
    x = views()[view]
    found = as_array("conv", "x", kind(x))
    assert np.shares_memory(found, x)
    assert found.strides == x.strides


@pytest.mark.parametrize("kind", [Foreign, Converting])
def test_functions_plans_and_packed_weights(kind):
    x, w = kind(X), kind(W)
    expected = cyconv.conv2d(X, W, padding=1)
    plan = cyconv.plan(cyconv.Problem(X.shape, W.shape, padding=1))
    for y in (cyconv.conv2d(x, w, padding=1), plan(x, w), plan.pack(w)(x)):
        assert type(y) is np.ndarray
        np.testing.assert_array_equal(y, expected)
    g = kind(expected)
    np.testing.assert_array_equal(
        cyconv.conv_grad_input(X.shape, w, g, padding=1),
        cyconv.conv_grad_input(X.shape, W, expected, padding=1),
    )
    bias = kind(np.arange(4, dtype="f4"))
    np.testing.assert_array_equal(cyconv.conv2d(x, w, bias)[:, 3], cyconv.conv2d(X, W)[:, 3] + 3)


def test_what_is_read_only_is_read():
    x = X.copy()
    x.flags.writeable = False
    np.testing.assert_array_equal(cyconv.conv2d(Converting(x), W), cyconv.conv2d(X, W))


@pytest.mark.parametrize("kind", [Foreign, Converting])
def test_a_device_array_is_refused_before_it_is_copied(kind):
    x = kind(X, device=(2, 1))
    with pytest.raises(
        TypeError,
        match=r"^conv2d: x must be in the CPU's memory, got \w+ on device 1 of DLPack's kind 2: ",
    ):
        cyconv.conv2d(x, W)
    assert getattr(x, "asked", 0) == 0


def test_a_model_takes_them():
    pytest.importorskip("onnx")
    from onnx import helper

    from cyconv.onnx import Backend

    node = helper.make_node("Conv", ["x", "w"], ["y"])
    (y,) = Backend.run_node(node, [Foreign(X), Converting(W)])
    np.testing.assert_array_equal(y, cyconv.conv2d(X, W))
    with pytest.raises(TypeError, match=r"^run: w must be in the CPU's memory, got Foreign on"):
        Backend.run_node(node, [X, Foreign(W, device=(2, 0))])


def test_tensors():
    torch = pytest.importorskip("torch")
    x, w = torch.from_numpy(X), torch.from_numpy(W)
    assert np.shares_memory(as_array("conv", "x", x), X)
    last = x.to(memory_format=torch.channels_last)
    for tensor in (x, last, x[:, :, ::2]):
        y = cyconv.conv2d(tensor, w)
        np.testing.assert_array_equal(y, torch.nn.functional.conv2d(tensor, w).numpy())
    with pytest.raises(RuntimeError, match=r"requires grad"):  # its own words
        cyconv.conv2d(x, w.requires_grad_())
    with pytest.raises((RuntimeError, TypeError)):
        cyconv.conv2d(x.to("meta"), W)


def test_arrays_of_jax():
    jax = pytest.importorskip("jax")
    x = jax.numpy.asarray(X)
    found = as_array("conv", "x", x)
    assert np.shares_memory(found, as_array("conv", "x", x))  # twice the same memory
    np.testing.assert_array_equal(cyconv.conv2d(x, jax.numpy.asarray(W)), cyconv.conv2d(X, W))
