/* Which tables this machine can run, best first: of those that were built (CYCONV_<isa>, from
 * setup.py), each for which the processor says it can. Every processor can run the baseline.
 * What has run: the baseline and AVX2 on processors; NEON and the baseline of 64-bit Arm only under
 * qemu, kernel by kernel (tests/test_kernels.py). AVX-512 has been compiled and not run: no machine
 * at hand has it; its code has run only with its vectors made of two of AVX2. */
#include "kernel_table.h"
#include <string.h>

#define TABLE(isa)                                                                        \
    extern const kernels_t kernels_##isa##_f32, kernels_##isa##_f64, kernels_##isa##_u32, \
        kernels_##isa##_u64;                                                              \
    static const kernel_table_t isa = {#isa, &kernels_##isa##_f32, &kernels_##isa##_f64,  \
                                       &kernels_##isa##_u32, &kernels_##isa##_u64};

TABLE(baseline)
#ifdef CYCONV_avx2
TABLE(avx2)
#endif
#ifdef CYCONV_avx512
TABLE(avx512)
#endif
#ifdef CYCONV_neon
TABLE(neon)
#endif

const kernel_table_t **kernel_tables(void) {
    static const kernel_table_t *found[5];
    size_t n = 0;
#if defined(CYCONV_avx2) || defined(CYCONV_avx512)
    __builtin_cpu_init();
#endif
#ifdef CYCONV_avx512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        found[n++] = &avx512;
#endif
#ifdef CYCONV_avx2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found[n++] = &avx2;
#endif
#ifdef CYCONV_neon
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
