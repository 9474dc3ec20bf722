cdef check_room(int threads, size_t others)
cdef void gemm(bint f64, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *A, ptrdiff_t lda,
               const void *B, ptrdiff_t ldb, void *C, ptrdiff_t ldc) noexcept nogil
