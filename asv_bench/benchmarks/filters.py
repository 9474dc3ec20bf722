"""Filters of images in one call each, as a user types them."""

import importlib

import cyconv

from . import common

KERNELS = {
    "7 x 7": ("apply", "gabor", {"size": 7}),
    "gaussian 2": ("apply", "gaussian", {"sigma": 2}),
    "gaussian 10": ("apply", "gaussian", {"sigma": 10}),
    "box 9": ("apply", "box", {"size": 9}),
    "box 101": ("apply", "box", {"size": 101}),
    "laplacian": ("apply", "laplacian", {}),
    "magnitude": ("gradient_magnitude", None, {}),
}
SHAPES = {"mono": (512, 512), "RGB": (512, 512, 3)}


def filter_call(name, shape, dtype, out_dtype):
    """A call without arguments, or a skip where this version has no such function or argument."""
    try:
        filters = importlib.import_module("cyconv.filters")
    except ImportError as error:
        raise NotImplementedError(str(error)) from None
    function, kernel, parameters = KERNELS[name]
    run, image = getattr(filters, function), common.image(shape, dtype)
    options = {"out_dtype": out_dtype} if out_dtype else {}
    arguments = (filters.get_kernel(kernel, **parameters),) if kernel else ()
    try:
        run(common.image((32, 32), dtype), *arguments, **options)
    except TypeError as error:
        raise NotImplementedError(str(error)) from None
    return lambda: run(image, *arguments, **options)


class Filters:
    """Results in the type of the sums."""

    params = (list(KERNELS), list(SHAPES), ["float32", "float64", "uint8"])
    param_names = ("filter", "image", "dtype")
    rounds = 1
    warmup_time = 0.05
    out_dtype = None

    def setup(self, name, image, dtype):
        cyconv.set_num_threads(1)
        self.call = filter_call(name, SHAPES[image], dtype, self.out_dtype)

    def time_filter(self, name, image, dtype):
        self.call()


class BytesOut(Filters):
    """A photograph in bytes, in and out."""

    params = (list(KERNELS), list(SHAPES), ["uint8"])
    out_dtype = "uint8"
