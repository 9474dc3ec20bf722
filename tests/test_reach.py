"""No algorithm touches memory beyond the arrays it is given."""

import sys

import pytest

from . import variants
from .variants import by_every_way

VARIANTS = variants.__file__

# Arrays that end, or begin, at a page that cannot be read: a touch there ends the process.
FENCE = '''
import ctypes
import faulthandler
import mmap
import runpy
import sys
from math import prod

import numpy as np

import cyconv

faulthandler.enable()
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
PAGE, NOTHING = mmap.PAGESIZE, 0


def fenced(shape, dtype, at_end):
    """Zeros between two pages that cannot be touched, close to the one or to the other."""
    size = prod(shape) * np.dtype(dtype).itemsize
    room = -(-size // PAGE) * PAGE
    memory = np.frombuffer(mmap.mmap(-1, room + 2 * PAGE), np.uint8)
    for offset in (0, PAGE + room):
        assert libc.mprotect(memory.ctypes.data + offset, PAGE, NOTHING) == 0
    first = PAGE + (room - size if at_end else 0)
    return memory[first : first + size].view(dtype).reshape(shape)


def moved(array, at_end, last=False):
    """`array` between such pages; with its channels last in memory, if asked."""
    if last:
        return np.moveaxis(moved(np.moveaxis(array, 1, -1), at_end), -1, 1)
    place = fenced(array.shape, array.dtype, at_end)
    place[...] = array
    return place

'''

EVERY_PROBLEM = """
PROBLEMS = [  # x, w, then stride, padding, dilation, groups
    *(((1, c, *pixels), (7, c, 1, 1)) for c in (1, 5, 257)
      for pixels in ((1, 1), (3, 5), (1, 17), (7, 7), (14, 14))),
    ((2, 12, 3, 5), (10, 6, 1, 1), 1, 0, 1, 2),
    ((2, 5, 3, 3, 5), (7, 5, 1, 1, 1)),
    ((1, 5, 9, 9), (6, 5, 1, 1), 2),
    *(((2, 3, h, h + 3), (4, 3, 3, 3), 1, padding) for h in (3, 4, 6, 9, 17, 30)
      for padding in (0, 1)),
    *(((1, 2, 12, width), (k, 2, 3, 3), 1, 1) for width in (1, 2, 3, 5, 8) for k in (1, 3, 4)),
    *(((1, 3, 7, width), (3, 1, 5, 5), 1, 2, 1, 3) for width in (1, 2, 3, 7)),
    ((1, 40, 14, 14), (33, 40, 3, 3), 1, 1),
    ((1, 6, 13, 15), (8, 3, 3, 3), 1, 1, 1, 2),
    ((2, 5, 13, 18), (7, 5, 3, 3), 2, 1),
    ((1, 3, 32, 41), (8, 3, 7, 7), 2, 3),
    ((1, 3, 17, 18), (4, 3, 3, 5), 1, 0, (3, 1)),
    ((2, 13, 9, 17), (13, 1, 3, 3), 1, 1, 1, 13),
    ((1, 8, 15, 16), (8, 1, 5, 5), 2, 0, 1, 8),
    ((2, 3, 50), (4, 3, 5)),
    ((1, 2, 3000), (3, 2, 9), 3, 4),
    ((2, 3, 6, 9, 10), (4, 3, 3, 3, 3), 1, 1),
]
name, variant = {name!r}, {variant!r}
variants = runpy.run_path({variants!r})
variants["forced"](variants["Way"](name, variant)).__enter__()
rng = np.random.default_rng(0)
ran = 0
for x_shape, w_shape, *geometry in PROBLEMS:
    for dtype in ("float32", "float64"):
        x, w, bias = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape, w_shape[0]))
        shape = *geometry, *(1, 0, 1, 1)[len(geometry) :]
        problem = cyconv.Problem(x_shape, w_shape, dtype, *shape)
        if cyconv.algorithms(problem)[name]:
            continue
        ran += 1
        print(x_shape, w_shape, dtype, geometry, file=sys.stderr)
        expected = cyconv.conv(x, w, bias, *shape, algorithm=name)
        for at_end in (True, False):
            for last in (False, True):
                arrays = moved(x, at_end, last), moved(w, at_end), moved(bias, at_end)
                out = moved(np.full_like(expected, np.nan), at_end, last)
                y = cyconv.conv(*arrays, *shape, algorithm=name, out=out)
                assert y is out
                np.testing.assert_array_equal(out, expected)
        # Every other column of a wider image, whose last cell is the last before the page.
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1] - 1), dtype)
        wide[..., ::2] = x
        if x.ndim == 4:
            flat = fenced((wide.size,), dtype, True)
            flat[...] = wide.ravel()
            seen = flat.reshape(wide.shape)[..., ::2]
            np.testing.assert_array_equal(
                cyconv.conv(seen, w, bias, *shape, algorithm=name), expected)
assert ran > 10
print("done", ran)
"""


linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect")


@linux_only
@pytest.mark.parametrize(("at_end", "beside"), [(True, "x.nbytes"), (False, "-1")])
def test_a_touch_beyond_the_fence_ends_a_process(at_end, beside, child):
    """So that the test below sees one."""
    read = "ctypes.string_at(x.ctypes.data + {}, 1)"
    code = f"{FENCE}\nx = fenced((5, 7), 'f4', {at_end})\n{read}\nprint('done')\n"
    assert child(code.format("0")).stdout == "done\n"
    assert child(code.format(beside), check=False).returncode != 0


@linux_only
@by_every_way
def test_nothing_beyond_the_arrays_is_touched(algorithm, child, isa):
    code = FENCE + EVERY_PROBLEM.format(
        name=str(algorithm), variant=algorithm.variant, variants=VARIANTS
    )
    assert child(code, CYCONV_ISA=isa).stdout.startswith("done")
