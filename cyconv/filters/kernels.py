"""The classic kernels: constants where they are fixed, functions where they have parameters."""

import inspect
import math
from types import MappingProxyType

import numpy as np

# ---- kernels that are data ----------------------------------------------------------------------


def _fixed(rows):
    array = np.array(rows, np.float32)
    array.flags.writeable = False
    return array


SOBEL_X = _fixed([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
SOBEL_Y = _fixed(SOBEL_X.T)
PREWITT_X = _fixed([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
PREWITT_Y = _fixed(PREWITT_X.T)
SCHARR_X = _fixed([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]])
SCHARR_Y = _fixed(SCHARR_X.T)
#: Roberts' cross looks along the two diagonals: "x" down to the right, "y" down to the left.
ROBERTS_X = _fixed([[1, 0], [0, -1]])
ROBERTS_Y = _fixed([[0, 1], [-1, 0]])
LAPLACIAN_4 = _fixed([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
LAPLACIAN_8 = _fixed([[1, 1, 1], [1, -8, 1], [1, 1, 1]])
GAUSSIAN_3 = _fixed(np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16)
#: Identity minus the 4-neighbour Laplacian.
SHARPEN = _fixed([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
EMBOSS = _fixed([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])

# ---- kernels with parameters --------------------------------------------------------------------


def _offsets(name, size, odd=True):
    """The cells of one axis, counted from the kernel's centre."""
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
        raise TypeError(f"{name}: size must be an int, got {size!r}")
    if size < 1 or (odd and size % 2 == 0):
        rule = "odd and >= 1" if odd else ">= 1"
        raise ValueError(f"{name}: size must be {rule}, got {size}")
    return np.arange(size) - (size - 1) / 2


def _positive(name, argument, value):
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: {argument} must be positive and finite, got {value!r}")
    return float(value)


def _span(sigma):
    """The odd size that holds four standard deviations on either side, as SciPy's truncate=4."""
    return 2 * int(4 * sigma + 0.5) + 1


def _bell(offsets, sigma):
    """Samples of exp(-t² / 2σ²), scaled to the sum 1."""
    samples = np.exp(-0.5 * (offsets / sigma) ** 2)
    return samples / samples.sum()


def identity(size=3, *, dtype=np.float32):
    """One in the middle, zero elsewhere: the output is the input.

    Examples
    --------
    >>> cyconv.filters.identity(3)
    array([[0., 0., 0.],
           [0., 1., 0.],
           [0., 0., 0.]], dtype=float32)
    """
    delta = (_offsets("identity", size) == 0).astype(dtype)
    return np.outer(delta, delta)


def box(size=3, *, dtype=np.float32):
    """The mean of a size × size window.

    Examples
    --------
    >>> cyconv.filters.box(2)
    array([[0.25, 0.25],
           [0.25, 0.25]], dtype=float32)
    """
    _offsets("box", size, odd=False)
    return np.full((size, size), 1 / size**2, dtype)


def gaussian(size=None, sigma=None, *, dtype=np.float32):
    """A Gaussian of sum 1.

    Without `sigma` it is the binomial one, ``outer(b, b)`` with b = C(size - 1, i) / 2^(size - 1):
    size 3, the default, is the classic [[1, 2, 1], [2, 4, 2], [1, 2, 1]] / 16. With `sigma` it
    is sampled from exp(-t² / 2 sigma²); `size` then defaults to four sigma on either side.

    Examples
    --------
    >>> cyconv.filters.gaussian(3) * 16
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]], dtype=float32)
    >>> cyconv.filters.gaussian(sigma=2).shape
    (17, 17)
    """
    if sigma is None:
        size = 3 if size is None else size
        n = len(_offsets("gaussian", size, odd=False)) - 1
        line = np.array([math.comb(n, i) / 2**n for i in range(n + 1)])
    else:
        sigma = _positive("gaussian", "sigma", sigma)
        line = _bell(_offsets("gaussian", _span(sigma) if size is None else size, odd=False), sigma)
    return np.outer(line, line).astype(dtype)


def laplacian_of_gaussian(size=None, sigma=1.4, *, dtype=np.float32):
    """The Laplacian of a Gaussian (Marr and Hildreth, 1980), shifted to the sum 0.

    ``G(x, y) * ((x² + y²) / sigma⁴ - 2 / sigma²)`` with G of sum 1; what sampling and truncation
    leave of the sum is taken off every cell alike, so that a flat image gives 0.

    Examples
    --------
    >>> bool(abs(cyconv.filters.laplacian_of_gaussian(9).sum()) < 1e-6)
    True
    """
    sigma = _positive("log", "sigma", sigma)
    t = _offsets("log", _span(sigma) if size is None else size)
    line = _bell(t, sigma)
    log = np.outer(line, line) * (np.add.outer(t**2, t**2) / sigma**4 - 2 / sigma**2)
    return (log - log.mean()).astype(dtype)


def unsharp(size=5, sigma=None, amount=1.0, *, dtype=np.float32):
    """Unsharp masking: ``(1 + amount) * identity - amount * gaussian(size, sigma)``.

    Examples
    --------
    >>> cyconv.filters.unsharp(3, amount=1) * 16
    array([[-1., -2., -1.],
           [-2., 28., -2.],
           [-1., -2., -1.]], dtype=float32)
    """
    blur = gaussian(size, sigma, dtype=np.float64)
    return ((1 + amount) * identity(len(blur), dtype=np.float64) - amount * blur).astype(dtype)


def motion(size=9, angle=0.0, *, dtype=np.float32):
    """The blur of a camera that moves `size` pixels along a line, sum 1.

    `angle` is in degrees, counter-clockwise from the x axis. `size` points one pixel apart each
    share their weight bilinearly among the four cells around them.

    Examples
    --------
    >>> cyconv.filters.motion(3) * 3
    array([[0., 0., 0.],
           [1., 1., 1.],
           [0., 0., 0.]], dtype=float32)
    """
    t = _offsets("motion", size)
    radians = math.radians(angle)

    def tent(points):
        return np.maximum(0, 1 - np.abs(points[:, None] - t))

    return (tent(-t * math.sin(radians)).T @ tent(t * math.cos(radians)) / size).astype(dtype)


def gabor(
    size=None, sigma=2.0, angle=0.0, wavelength=None, aspect=0.5, phase=0.0, *, dtype=np.float32
):
    """A wave under a Gaussian (Daugman, 1985): answers to stripes of one width and direction.

    ``exp(-(u² + aspect² v²) / 2 sigma²) * cos(2 pi u / wavelength + phase)``, where u runs along
    the wave, `angle` degrees counter-clockwise from the x axis, and v across it. It is scaled so
    that the Gaussian alone has the sum 1. `wavelength` defaults to 2 sigma, in pixels; `phase` is
    in radians; `size` defaults to three of the longer standard deviation on either side.

    Examples
    --------
    >>> stripes = cyconv.filters.gabor(9, angle=90, dtype=float)  # of lines that run across
    >>> stripes.shape, bool(np.allclose(stripes, stripes[::-1]))
    ((9, 9), True)
    """
    sigma, aspect = _positive("gabor", "sigma", sigma), _positive("gabor", "aspect", aspect)
    wavelength = _positive("gabor", "wavelength", 2 * sigma if wavelength is None else wavelength)
    if size is None:
        size = 2 * math.ceil(3 * sigma / min(aspect, 1)) + 1
    t, radians = _offsets("gabor", size), math.radians(angle)
    x, y = t[None, :], -t[:, None]
    u = x * math.cos(radians) + y * math.sin(radians)
    v = y * math.cos(radians) - x * math.sin(radians)
    bell = np.exp(-(u**2 + (aspect * v) ** 2) / (2 * sigma**2))
    wave = np.cos(2 * np.pi * u / wavelength + phase)
    return (bell / bell.sum() * wave).astype(dtype)


#: name -> array, or the function that makes it
KERNELS = MappingProxyType(
    {
        "identity": identity,
        "box": box,
        "gaussian": gaussian,
        "sharpen": SHARPEN,
        "unsharp": unsharp,
        "emboss": EMBOSS,
        "motion": motion,
        "laplacian": LAPLACIAN_4,
        "laplacian_8": LAPLACIAN_8,
        "log": laplacian_of_gaussian,
        "gabor": gabor,
        "sobel_x": SOBEL_X,
        "sobel_y": SOBEL_Y,
        "prewitt_x": PREWITT_X,
        "prewitt_y": PREWITT_Y,
        "scharr_x": SCHARR_X,
        "scharr_y": SCHARR_Y,
        "roberts_x": ROBERTS_X,
        "roberts_y": ROBERTS_Y,
    }
)

#: name -> its x and y kernels
GRADIENTS = MappingProxyType(
    {
        "sobel": (SOBEL_X, SOBEL_Y),
        "prewitt": (PREWITT_X, PREWITT_Y),
        "scharr": (SCHARR_X, SCHARR_Y),
        "roberts": (ROBERTS_X, ROBERTS_Y),
    }
)


def get_kernel(name, *, dtype=np.float32, **parameters):
    """The kernel `name` of ``KERNELS`` as an array of `dtype`, made with `parameters`.

    Raises
    ------
    ValueError
        For an unknown name, and for a parameter that this kernel does not have.

    Examples
    --------
    >>> get_kernel("gaussian", size=3) * 16
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]], dtype=float32)
    """
    if name not in KERNELS:
        raise ValueError(f"get_kernel: name must be one of {', '.join(KERNELS)}, got {name!r}")
    made = KERNELS[name]
    known = () if isinstance(made, np.ndarray) else inspect.signature(made).parameters
    for parameter in parameters:
        if parameter not in known:
            raise ValueError(f"get_kernel: {name} has no {parameter}")
    return made.astype(dtype) if isinstance(made, np.ndarray) else made(dtype=dtype, **parameters)
