# One item of work: `context` is the algorithm's own, `scratch` this thread's share of workspace.
ctypedef void (*item_function)(const void *context, ptrdiff_t item, char *scratch) noexcept nogil

# Sizes of one piece of work.
cdef struct piece_t:
    ptrdiff_t columns, filters

cdef piece_t divide(ptrdiff_t items, ptrdiff_t columns, ptrdiff_t step, ptrdiff_t most,
                    ptrdiff_t filters, ptrdiff_t unit, int lanes, double gather, double stream,
                    int threads, double seconds) noexcept nogil

cdef parallel_for(item_function run, const void *context, ptrdiff_t items, int threads,
                  size_t scratch, double seconds)
