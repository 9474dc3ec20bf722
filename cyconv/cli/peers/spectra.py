"""Products of spectra by hand, of the libraries that have fast Fourier transforms."""

import numpy as np

from . import Made


def _transforms(library, threads):
    """The real transforms over axes, there and back, of arrays of NumPy's kind or torch's."""
    if library == "torch":
        import torch

        torch.set_num_threads(threads)
        return torch.fft.rfftn, torch.fft.irfftn
    if library == "mkl_fft":
        import mkl_fft

        return mkl_fft.rfftn, mkl_fft.irfftn
    import pyfftw

    pyfftw.interfaces.cache.enable()
    from pyfftw.interfaces import scipy_fft

    both = scipy_fft.rfftn, scipy_fft.irfftn
    return tuple(lambda *args, f=f: f(*args, workers=threads) for f in both)


def spectra_by(library):
    """One product of spectra of the whole array, the filters' prepared, as written by hand."""

    def make(task):
        from scipy.fft import next_fast_len

        there, back = _transforms(library, task.threads)
        layer, axes = task.layer, tuple(range(2, task.w.ndim))
        x, w = task.x, np.swapaxes(task.w, 0, 1)
        if library == "torch":
            import torch

            x, w = torch.from_numpy(x), torch.from_numpy(np.ascontiguousarray(w))
        p, sizes = layer.padding, layer.y[2:]
        lengths = [next_fast_len(n + p, real=True) for n in x.shape[2:]]
        spectra = there(w, lengths, axes).conj()
        # Outputs before the image's first cell lie at the end of the circle.
        head = [
            np.r_[length - p : length, : n - p] for length, n in zip(lengths, sizes, strict=True)
        ]

        def call():
            y = back(there(x, lengths, axes) * spectra, lengths, axes)
            if p == 0:
                return y[(..., *map(slice, sizes))]
            for axis, cells in zip(axes, head, strict=True):
                y = y[(slice(None),) * axis + (cells,)]
            return y

        return Made(call, lambda y: (np.asarray(y),))

    return make
