"""Images and signals of one channel by OpenCV, SciPy and NumPy."""

import numpy as np

from . import Made


def make_opencv(task):
    """``filter2D``: it correlates, as layers do, so the kernel is not turned."""
    import cv2

    cv2.setNumThreads(task.threads)
    image, kernel = task.x[0, 0], task.w[0, 0]
    y = np.empty_like(image)

    def call():
        return cv2.filter2D(image, -1, kernel, y, borderType=cv2.BORDER_CONSTANT)

    return Made(call, _batched)


def make_ndimage(task):
    """``scipy.ndimage.correlate``: the kernel as it is, zeros beyond the border."""
    from scipy import ndimage

    image, kernel = task.x[0, 0], task.w[0, 0]
    y = np.empty_like(image)

    def call():
        ndimage.correlate(image, kernel, output=y, mode="constant")
        return y

    return Made(call, _batched)


def signal_by(name):
    """`scipy.signal`'s function on the array, the same size for images, the valid part else."""

    def make(task):
        import scipy.fft
        from scipy import signal

        a, kernel = task.x[0, 0], task.w[0, 0]
        mode = "same" if task.layer.padding else "valid"
        function, options = getattr(signal, name), {"mode": mode}
        if name == "correlate":
            options["method"] = signal.choose_conv_method(a, kernel, mode)
        else:
            kernel = np.ascontiguousarray(np.flip(kernel))  # these convolve

        def call():
            with scipy.fft.set_workers(task.threads):
                return function(a, kernel, **options)

        return Made(call, _batched, options.get("method"))

    return make


def make_numpy(task):
    """``numpy.convolve``, which turns the kernel back."""
    a, kernel = task.x[0, 0], np.ascontiguousarray(np.flip(task.w[0, 0]))
    return Made(lambda: np.convolve(a, kernel, mode="valid"), _batched)


def _batched(y):
    return (y[None, None],)
