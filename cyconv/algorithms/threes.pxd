from cyconv.kernels.kernels cimport epilogue_t, geometry_t, kernels_t
from cyconv.planning.estimates cimport core_t
from cyconv.problem.sizes cimport Sizes

cimport numpy as cnp


cdef bint run_image(const kernels_t *k, const geometry_t *g, cnp.ndarray x, const char *w,
                    cnp.ndarray y, const epilogue_t *e, int threads, double seconds) except -1
cdef Py_ssize_t gradient_workspace(const kernels_t *k, const geometry_t *g) noexcept
cdef run_gradient(const kernels_t *k, const geometry_t *g, cnp.ndarray x, cnp.ndarray w,
                  cnp.ndarray y, const epilogue_t *e, int threads, size_t scratch, double seconds)
cdef bint few_on_a_plane(Sizes s, int most) noexcept
cdef bint is_gradient(Sizes s) except -1
cdef double image_seconds(Sizes s, const core_t *core, int threads) except -2
cdef double gradient_seconds(Sizes s, const core_t *core, int threads) except -2
