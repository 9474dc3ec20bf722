"""How cyconv and its peers compute a `Call`: as its user types it, with nothing prepared."""

import importlib

from .peers import Made

_MADE = ("weights", "gaussian", "box")  # the kernels that a user makes; others have a name


def typed(module, call, x, w):
    """A function of no arguments: `call`, to a function of `module`."""
    function, options = getattr(module, call.function), dict(call.options)
    second = ()
    if call.function.startswith("generic"):
        second = (_derivative(module, call.function),)
    elif call.kernel is not None:
        second = (w if call.kernel in _MADE else call.kernel,)
    elif call.size is not None:
        second = (call.size,)
    return lambda: function(x, *second, **options)


def _derivative(module, function):
    """What the generic `function` takes: Sobel's derivative, or the second difference."""
    if function == "generic_gradient_magnitude":
        return module.sobel

    def second_difference(x, axis, output, mode, cval):
        return module.correlate1d(x, [1, -2, 1], axis, output, mode, cval, 0)

    return second_difference


def results(y):
    """What a call returned, as a tuple of arrays."""
    return y if isinstance(y, tuple) else (y,)


def by_cyconv(task):
    """The call itself."""
    import cyconv

    cyconv.set_num_threads(task.threads)
    module = importlib.import_module(f"cyconv.{task.layer.door}")
    return Made(typed(module, task.layer, task.x, task.w), results)


def by_scipy(task):
    """SciPy's function of the same name."""
    from scipy import ndimage

    return Made(typed(ndimage, task.layer, task.x, task.w), results)


def by_opencv(task):
    """OpenCV's function for it; its border is `cyconv.filters`' by default."""
    import cv2

    cv2.setNumThreads(task.threads)
    call, x, w = task.layer, task.x, task.w
    depth = {"uint8": cv2.CV_8U, "float32": cv2.CV_32F, "float64": cv2.CV_64F}
    to = depth[call.result_dtype.name]
    size = None if w is None else w.shape[::-1]

    def blurred():
        if to == depth[call.dtype]:
            return cv2.GaussianBlur(x, size, call.size)
        line = cv2.getGaussianKernel(size[0], call.size, to)
        return cv2.sepFilter2D(x, to, line, line)

    def gradient(to=to):
        return cv2.Sobel(x, to, 1, 0), cv2.Sobel(x, to, 0, 1)

    def magnitude():
        if to == cv2.CV_8U:
            return cv2.convertScaleAbs(cv2.magnitude(*gradient(cv2.CV_32F)))
        return cv2.magnitude(*gradient())

    return Made(
        {
            "weights": lambda: cv2.filter2D(x, to, w),
            "gaussian": blurred,
            "box": lambda: cv2.boxFilter(x, to, size),
            "sobel_x": lambda: cv2.Sobel(x, to, 1, 0),
            "laplacian": lambda: cv2.Laplacian(x, to),
            "gradient": gradient,
            "gradient_magnitude": magnitude,
        }[call.kernel or call.function],
        results,
    )
