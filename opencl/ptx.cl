/* NVIDIA's instructions that OpenCL C has no name for, from compute capability 8.0 on: copies to
   local memory that nobody waits for, and products of small matrices by a warp of 32 work items.

   A kernel that uses them has ASYNC or MATRICES defined. */

/* What a model of these instructions keeps in a kernel, and hands to functions. */
#define PTX_STATE
#define PTX_GIVES
#define PTX_TAKES

#ifdef ASYNC
/* Of `bytes` (4, 8 or 16), `given` are copied and the rest is zero: see ASYNC_WAIT. */
#define ASYNC_COPY(to, from, bytes, given)                                                \
    __asm__ volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"l"((size_t)(to)), \
                     "l"((size_t)(from)), "n"(bytes), "r"(given)                          \
                     : "memory")
/* The copies since the last of these are one batch. */
#define ASYNC_BATCH() __asm__ volatile("cp.async.commit_group;" ::: "memory")
/* Until this work item's batches have arrived but for the last `count`. */
#define ASYNC_WAIT(count) __asm__ volatile("cp.async.wait_group %0;" ::"n"(count) : "memory")
#endif

#ifdef MATRICES
/* d = a b + c of a warp, a 16 x 8, b 8 x 8. Work item 4 g + t of the warp has, of a, rows g and
   g + 8 of column t, then those of column t + 4; of b, rows t and t + 4 of column g; of c and d,
   columns 2 t and 2 t + 1 of row g, then those of row g + 8. a and b are floats whose last 13 bits
   are left out. */
#define MULTIPLY(d, a, b, c)                                                               \
    __asm__ volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "                 \
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};" \
                     : "=f"((d)[0]), "=f"((d)[1]), "=f"((d)[2]), "=f"((d)[3])              \
                     : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"((b)[0]),    \
                       "r"((b)[1]), "f"((c)[0]), "f"((c)[1]), "f"((c)[2]), "f"((c)[3]))
#endif
