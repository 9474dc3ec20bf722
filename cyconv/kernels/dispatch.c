/* Which tables this machine can run, best first: of those that were built (CYCONV_<isa>, from
 * setup.py), each for which the processor says it can. Every processor can run the baseline.
 * What has run: the baseline, AVX2 and AVX-512 on processors; NEON and the baseline of 64-bit Arm
 * only under qemu, kernel by kernel (tests/test_kernels.py). */
#include "kernel_table.h"
#include "last.h"
#include "spectra.h"
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#include <string.h>

#define TABLE(isa)                                                                        \
    extern const kernels_t kernels_##isa##_f32, kernels_##isa##_f64, kernels_##isa##_u32, \
        kernels_##isa##_u64;                                                              \
    extern const chains_t chains_##isa##_f32, chains_##isa##_f64;                         \
    extern const pairs_t pairs_##isa##_u32;                                               \
    static const kernel_table_t isa = {#isa,                                              \
                                       &kernels_##isa##_f32,                              \
                                       &kernels_##isa##_f64,                              \
                                       &kernels_##isa##_u32,                              \
                                       &kernels_##isa##_u64,                              \
                                       &chains_##isa##_f32,                               \
                                       &chains_##isa##_f64,                               \
                                       &pairs_##isa##_u32};

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

#ifdef CYCONV_avx2
/* Whether there are conversions of f16: a bit that not every compiler's question knows. */
static int has_f16c(void) {
    unsigned a, b, c = 0, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c >> 29 & 1;
}
#endif

/* Filled by the first call, which is that of the import: threads only read it. */
const kernel_table_t **kernel_tables(void) {
    static const kernel_table_t *found[5];
    size_t n = 0;
    if (found[0]) return found;
#if defined(CYCONV_avx2) || defined(CYCONV_avx512)
    __builtin_cpu_init();
#endif
#ifdef CYCONV_avx512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        found[n++] = &avx512;
#endif
#ifdef CYCONV_avx2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
        found[n++] = &avx2;
#endif
#ifdef CYCONV_neon
    found[n++] = &neon;
#endif
    found[n++] = &baseline;
    return found;
}

/* A function that gives a part's table for an element of so many bytes. */
#define ONE_OF(part, isa)                                                                          \
    {                                                                                              \
        extern const part##_t part##_##isa##_f32;                                                  \
        extern const part##_t part##_##isa##_f64;                                                  \
        if (!strcmp(name, #isa)) return itemsize == 4 ? &part##_##isa##_f32 : &part##_##isa##_f64; \
    }
#ifdef CYCONV_avx2
#define OF_AVX2(part) ONE_OF(part, avx2)
#else
#define OF_AVX2(part)
#endif
#ifdef CYCONV_avx512
#define OF_AVX512(part) ONE_OF(part, avx512)
#else
#define OF_AVX512(part)
#endif
#ifdef CYCONV_neon
#define OF_NEON(part) ONE_OF(part, neon)
#else
#define OF_NEON(part)
#endif
#define FLOAT_TABLE(part)                                          \
    const part##_t *part##_table(const char *name, int itemsize) { \
        ONE_OF(part, baseline)                                     \
        OF_AVX2(part) OF_AVX512(part) OF_NEON(part) return NULL;   \
    }

FLOAT_TABLE(last)
FLOAT_TABLE(spectra)

const kernel_table_t *kernel_table(const char *name) {
    for (const kernel_table_t **table = kernel_tables(); *table; table++)
        if (!strcmp((*table)->name, name)) return *table;
    return NULL;
}

/* Bytes of the data caches of levels 1 to 3, as the processor tells them; 0 where it does not.
 * Leaf 4 of Intel and leaf 0x8000001D of AMD have one layout: in eax the kind (1 data, 3 unified)
 * and from bit 5 the level; ways, partitions and bytes of a line, each less one, in ebx; sets less
 * one in ecx. */
void cpuid_caches(size_t sizes[3]) {
    memset(sizes, 0, 3 * sizeof *sizes);
#if defined(__x86_64__) || defined(__i386__)
    static const unsigned leaves[] = {0x8000001D, 4};
    for (int l = 0; l < 2 && !sizes[0]; l++) {
        unsigned a, b, c, d;
        for (unsigned i = 0; i < 16 && __get_cpuid_count(leaves[l], i, &a, &b, &c, &d); i++) {
            const unsigned kind = a & 31, level = a >> 5 & 7;
            if (!kind) break;
            if ((kind == 1 || kind == 3) && level >= 1 && level <= 3)
                sizes[level - 1] = (size_t)((b >> 22) + 1) * ((b >> 12 & 1023) + 1) *
                                   ((b & 4095) + 1) * ((size_t)c + 1);
        }
    }
#endif
}
