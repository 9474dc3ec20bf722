"""Most problems, checked and settled in C: the arguments of a new shape cost no more than a call's.

Nothing is refused here: what is not plain, or breaks a rule, goes the long way through ``Problem``,
which says what is wrong.
"""

cimport numpy as cnp

from cyconv.problem.geometry import pad_pairs
from cyconv.problem.names import DATA_FORMATS, PADDING_MODES, ROLES, native_dtypes, sum_dtype
from cyconv.problem.sizes import derive

cnp.import_array()

cdef enum:
    MOST = 1 << 30  # of a plain number: products of two and sums of a few are exact
    RANK = 8

cdef double BYTES = 2.0 ** 62  # of a plain array, at most


cdef bint number(value, ptrdiff_t least) except -1:
    """Whether it is a plain int."""
    return type(value) is int and least <= value <= MOST


cdef bint numbers(value, ptrdiff_t least) except -1:
    """Whether it is a tuple of plain ints."""
    if type(value) is not tuple:
        return False
    for one in <tuple>value:
        if not number(one, least):
            return False
    return True


cdef tuple each_axis(value, int rank):
    """A plain int of at least 1, or one for each axis, as a tuple; else None."""
    if number(value, 1):
        return (value,) * rank
    return value if numbers(value, 1) and len(<tuple>value) == rank else None


cdef bint moderate(tuple shape, double size) except -1:
    """Whether an array, its empty axes left out, is far from the limit on bytes."""
    for n in shape:
        size *= max(<ptrdiff_t>1, <ptrdiff_t>n)
    return size < BYTES


def settle(dict values):
    """Bring a problem's fields into their final form, with what follows from them.

    Parameters
    ----------
    values : dict
        The fields, as the caller gave them; unchanged unless all are plain and keep all rules.

    Returns
    -------
    bool
        Whether they do.
    """
    cdef tuple x_shape, w_shape, stride, dilation, spatial
    cdef object padding
    cdef ptrdiff_t channels, groups, span, padded
    cdef int rank, batched, i
    if not numbers(values["x_shape"], 0) or not numbers(values["w_shape"], 0):
        return False
    x_shape, w_shape = values["x_shape"], values["w_shape"]
    rank = len(w_shape) - 2
    batched = len(x_shape) - rank - 1
    if not 1 <= rank <= RANK or not 0 <= batched <= 1:
        return False

    given, flip, direction = values["dtype"], values["flip"], values["direction"]
    mode, letters = values["padding_mode"], values["data_format"]
    if not (type(given) is str or isinstance(given, cnp.dtype)) or type(flip) is not bool:
        return False
    if type(mode) is not str or type(letters) is not str or type(direction) is not str:
        return False
    if mode not in PADDING_MODES or letters not in DATA_FORMATS or direction not in ROLES:
        return False
    if not letters.startswith("channels") and len(letters) != rank + 2:
        return False
    last = DATA_FORMATS[letters]
    dtype, out = native_dtypes.get(given), values["out_dtype"]
    if dtype is None or (out is not None and out is not dtype):
        return False
    if (<cnp.dtype>dtype).kind in (c"i", c"u"):
        if out is not None:
            return False
        out = sum_dtype(dtype)

    stride, dilation = each_axis(values["stride"], rank), each_axis(values["dilation"], rank)
    if stride is None or dilation is None or not number(values["groups"], 1):
        return False
    groups = values["groups"]
    channels = x_shape[batched + rank] if last else x_shape[batched]
    spatial = x_shape[batched:batched + rank] if last else x_shape[batched + 1:]
    if channels % groups or <ptrdiff_t>w_shape[0] % groups or w_shape[1] != channels // groups:
        return False
    if not numbers(w_shape[2:], 1):
        return False

    padding = values["padding"]
    if number(padding, 0):
        padding = ((padding, padding),) * rank
    else:
        padding = pad_pairs(values["operation"], padding, spatial, w_shape[2:], stride, dilation)
    y_size = max(1.0, <double>w_shape[0]) * max(1, x_shape[0] if batched else 1)
    for i in range(rank):
        lo, hi = padding[i]
        if not number(lo, 0) or not number(hi, 0):
            return False
        padded = <ptrdiff_t>spatial[i] + <ptrdiff_t>lo + <ptrdiff_t>hi
        span = <ptrdiff_t>dilation[i] * (<ptrdiff_t>w_shape[i + 2] - 1) + 1
        if span > padded or (spatial[i] == 0 and mode != "zeros"):
            return False
        y_size *= (padded - span) // <ptrdiff_t>stride[i] + 1
    cell = max(8, cnp.PyDataType_ELSIZE(dtype))
    if not moderate(x_shape, cell) or not moderate(w_shape, cell) or y_size * cell >= BYTES:
        return False

    values["dtype"], values["out_dtype"] = dtype, dtype if out is None else out
    values["stride"], values["dilation"], values["padding"] = stride, dilation, padding
    values["data_format"] = "channels_last" if last else "channels_first"
    derive(values)
    return True
