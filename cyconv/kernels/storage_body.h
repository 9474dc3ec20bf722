/* Rows of cells between the storage types and `real`. Each loop is plain: one conversion a cell. */
#include "chain.h"
#include <math.h>
#if REAL_BYTES == 4 && defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#define VECTORIZED __attribute__((noinline, optimize("O3")))
#else
#define VECTORIZED __attribute__((noinline))
#endif

/* Code, type, the integer type that a cell goes through, least and greatest. What C's cast leaves
 * undefined in a narrow type is defined in a wider one. */
#define INTEGER_TYPES(TYPE)                                  \
    TYPE(CYCONV_U8, uint8_t, int32_t, 0, UINT8_MAX)          \
    TYPE(CYCONV_I8, int8_t, int32_t, INT8_MIN, INT8_MAX)     \
    TYPE(CYCONV_U16, uint16_t, int32_t, 0, UINT16_MAX)       \
    TYPE(CYCONV_I16, int16_t, int32_t, INT16_MIN, INT16_MAX) \
    TYPE(CYCONV_U32, uint32_t, int64_t, 0, UINT32_MAX)       \
    TYPE(CYCONV_I32, int32_t, int64_t, INT32_MIN, INT32_MAX) \
    TYPE(CYCONV_U64, uint64_t, uint64_t, 0, UINT64_MAX)      \
    TYPE(CYCONV_I64, int64_t, int64_t, INT64_MIN, INT64_MAX)

#if REAL_BYTES == 4
#define NEAREST(v) rintf(v)
#else
#define NEAREST(v) rint(v)
#endif

/* Of 64 unsigned bits a negative number is what is missing to 2^64. NaN saturates to the least. */
#define INTEGER_CELLS(CODE, T, WIDE, LEAST, GREATEST)                                          \
    VECTORIZED static void load_##T(const T *from, ptrdiff_t n, real *to) {                    \
        for (ptrdiff_t i = 0; i < n; i++) to[i] = (real)from[i];                               \
    }                                                                                          \
    VECTORIZED static void truncate_##T(const real *from, ptrdiff_t n, T *to) {                \
        for (ptrdiff_t i = 0; i < n; i++)                                                      \
            to[i] = (WIDE) - 1 > 0 && from[i] < 0 ? (T) - (WIDE) - from[i] : (T)(WIDE)from[i]; \
    }                                                                                          \
    VECTORIZED static void saturate_##T(const real *from, ptrdiff_t n, T *to) {                \
        for (ptrdiff_t i = 0; i < n; i++) {                                                    \
            const real v = NEAREST(from[i]);                                                   \
            const T inside = v > (real)LEAST ? (T)(WIDE)v : LEAST;                             \
            to[i] = v >= (real)GREATEST ? GREATEST : inside;                                   \
        }                                                                                      \
    }
INTEGER_TYPES(INTEGER_CELLS)

VECTORIZED static void load_float(const float *from, ptrdiff_t n, real *to) {
    for (ptrdiff_t i = 0; i < n; i++) to[i] = (real)from[i];
}
VECTORIZED static void load_double(const double *from, ptrdiff_t n, real *to) {
    for (ptrdiff_t i = 0; i < n; i++) to[i] = (real)from[i];
}
VECTORIZED static void store_float(const real *from, ptrdiff_t n, float *to) {
    for (ptrdiff_t i = 0; i < n; i++) to[i] = (float)from[i];
}
VECTORIZED static void store_double(const real *from, ptrdiff_t n, double *to) {
    for (ptrdiff_t i = 0; i < n; i++) to[i] = (double)from[i];
}

INLINE ptrdiff_t storage_size(storage_t type) {
    static const char size[] = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
    return size[type];
}

/* to[i] = from[i], i < n */
static void load_cells(storage_t type, const void *from, ptrdiff_t n, real *to) {
    switch (type) {
#define LOAD(CODE, T, WIDE, LOW, HIGH) \
    case CODE:                         \
        load_##T(from, n, to);         \
        return;
        INTEGER_TYPES(LOAD)
    case CYCONV_F32:
        load_float(from, n, to);
        return;
    case CYCONV_F64:
        load_double(from, n, to);
        return;
    }
}

/* The bytes nearest to the first of n cells: returns of how many. Beyond 255, and of NaN, the
 * conversion gives the least integer, which saturates to 0: what is too large is cut before. */
static ptrdiff_t nearest_bytes(const real *from, ptrdiff_t n, uint8_t *to) {
    ptrdiff_t j = 0;
#if REAL_BYTES == 4 && defined(__AVX2__)
    const __m256 most = _mm256_set1_ps(255);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (; j + 32 <= n; j += 32) {
        __m256i part[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            part[i] = _mm256_cvtps_epi32(_mm256_min_ps(most, _mm256_loadu_ps(from + j + 8 * i)));
        const __m256i low = _mm256_packs_epi32(part[0], part[1]);
        const __m256i high = _mm256_packs_epi32(part[2], part[3]);
        const __m256i bytes = _mm256_packus_epi16(low, high);
        _mm256_storeu_si256((__m256i *)(to + j), _mm256_permutevar8x32_epi32(bytes, order));
    }
#else
    (void)from, (void)n, (void)to;
#endif
    return j;
}

static void store_cells(storage_t type, int saturate, const real *from, ptrdiff_t n, void *to) {
    if (saturate && type == CYCONV_U8) {
        const ptrdiff_t done = nearest_bytes(from, n, to);
        from += done, n -= done, to = (uint8_t *)to + done;
    }
    switch (type) {
#define STORE(CODE, T, WIDE, LOW, HIGH) \
    case CODE:                          \
        if (saturate)                   \
            saturate_##T(from, n, to);  \
        else                            \
            truncate_##T(from, n, to);  \
        return;
        INTEGER_TYPES(STORE)
    case CYCONV_F32:
        store_float(from, n, to);
        return;
    case CYCONV_F64:
        store_double(from, n, to);
        return;
    }
}
