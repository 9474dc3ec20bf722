# One item of work: `context` is the algorithm's own, `scratch` this thread's share of workspace.
ctypedef void (*item_function)(const void *context, ptrdiff_t item, char *scratch) noexcept nogil

cdef parallel_for(item_function run, const void *context, ptrdiff_t items, int threads,
                  size_t scratch, double seconds)
