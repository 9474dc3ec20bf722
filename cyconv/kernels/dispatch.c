/* Which tables this machine can run: the portable one first in the list of candidates, each
 * instruction set after it guarded by what the processor says of itself. */
#include "kernel_table.h"
#include <string.h>

#define TABLE(isa)                                                                        \
    extern const kernels_t kernels_##isa##_f32, kernels_##isa##_f64, kernels_##isa##_u32, \
        kernels_##isa##_u64;                                                              \
    static const kernel_table_t isa = {#isa, &kernels_##isa##_f32, &kernels_##isa##_f64,  \
                                       &kernels_##isa##_u32, &kernels_##isa##_u64};

TABLE(baseline)
#if defined(__x86_64__)
TABLE(avx2)
TABLE(avx512)
#elif defined(__aarch64__)
TABLE(neon)
#endif

const kernel_table_t **kernel_tables(void) {
    static const kernel_table_t *found[4];
    size_t n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        found[n++] = &avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found[n++] = &avx2;
#elif defined(__aarch64__)
    found[n++] = &neon;
#endif
    found[n++] = &baseline;
    return found;
}

const kernel_table_t *kernel_table(const char *name) {
    for (const kernel_table_t **table = kernel_tables(); *table; table++)
        if (!strcmp((*table)->name, name)) return *table;
    return NULL;
}
