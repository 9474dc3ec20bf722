"""The door to the kernels: which instruction sets this machine has, and which one is used."""

import os

cimport numpy as cnp
from cpython.unicode cimport PyUnicode_AsUTF8

from cyconv.kernels.kernels cimport (
    chains_t,
    kernel_table_t,
    kernels_t,
    last_t,
    last_table,
    pairs,
    spectra_t,
    spectra_table,
)


cnp.import_array()


cdef extern from "kernel_table.h" nogil:
    const kernel_table_t **kernel_tables()
    const kernel_table_t *kernel_table(const char *)
    void cpuid_caches_of "cpuid_caches"(size_t *)


cdef extern from *:
    """
    /* The table in use: one thread may choose another while others ask. */
    static const kernel_table_t *in_use;
    static void use_table(const kernel_table_t *table) {
        __atomic_store_n(&in_use, table, __ATOMIC_RELEASE);
    }
    static const kernel_table_t *table_in_use(void) {
        return __atomic_load_n(&in_use, __ATOMIC_ACQUIRE);
    }
    """
    void use_table(const kernel_table_t *) nogil
    const kernel_table_t *table_in_use() nogil


def available():
    """Names of the instruction sets this machine can run, best first."""
    cdef const kernel_table_t **table = kernel_tables()
    names = []
    while table[0] != NULL:
        names.append(table[0].name.decode())
        table += 1
    return tuple(names)


def cpuid_caches():
    """Bytes of the data caches, the first level's first, as the processor tells them; or none."""
    cdef size_t sizes[3]
    cpuid_caches_of(sizes)
    return [int(size) for size in sizes[:3] if size]


_isa = None


def isa():
    """Name of the instruction set in use: ``CYCONV_ISA``, else the best available."""
    return _isa


def set_isa(name):
    """Use another instruction set for the plans made from now on.

    Parameters
    ----------
    name : str
        One of :func:`available`.

    Raises
    ------
    ValueError
        If this machine cannot run it, or it is unknown.
    """
    global _isa
    if name not in available():
        raise ValueError(
            f"CYCONV_ISA: must be one of {', '.join(available())} on this machine, got {name!r}"
        )
    _isa = name
    use_table(kernel_table(name.encode()))


set_isa(os.environ.get("CYCONV_ISA") or available()[0])


cdef const kernels_t *kernels_for(str isa, dtype) except NULL:
    """The kernels of instruction set `isa` for a float or integer dtype of 4 or 8 bytes, or for
    integers of fewer, whose sums have 4."""
    cdef const kernel_table_t *table = kernel_table(PyUnicode_AsUTF8(isa))
    cdef char kind = (<cnp.dtype>dtype).kind
    cdef cnp.npy_intp size = cnp.PyDataType_ELSIZE(dtype)
    cdef bint integer = kind == c"i" or kind == c"u"
    if table != NULL and integer and size < 4:
        return table.u32
    if table == NULL or not (integer or kind == c"f") or not (size == 4 or size == 8):
        raise ValueError(f"kernels: no table {isa!r} for {dtype}")
    if kind == c"f":
        return table.f32 if size == 4 else table.f64
    return table.u32 if size == 4 else table.u64


cdef const chains_t *chains_for(bint double_precision) except NULL:
    """The image filters of the instruction set in use, summed in float32 or float64."""
    cdef const kernel_table_t *table = table_in_use()
    return table.chains_f64 if double_precision else table.chains_f32


cdef const pairs *pairs_for(str isa) except NULL:
    """What instruction set `isa` has for products of 16-bit integers."""
    cdef const kernel_table_t *table = kernel_table(isa.encode())
    if table == NULL:
        raise ValueError(f"kernels: no table {isa!r}")
    return <const pairs *>table.pairs


cdef const last_t *last_for(str isa, dtype) noexcept:
    """Those for channels that lie last, of a float dtype; NULL for others."""
    name = isa.encode()
    return last_table(name, dtype.itemsize) if dtype.kind == "f" else NULL


cdef const spectra_t *spectra_for(str isa, dtype) noexcept:
    """Those of products of spectra, of a float dtype."""
    name = isa.encode()
    return spectra_table(name, dtype.itemsize)


def lanes(isa, dtype):
    """Elements of `dtype` in one vector register of instruction set `isa`."""
    return kernels_for(isa, dtype).lanes
