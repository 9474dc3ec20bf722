/* Pairs of 16-bit integers: see pairs.h. `real` is u32, the type of an element and of a sum. */
#include "pairs.h"
#include "simd.h"
#include "widen.h"
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

/* sum + a0 b0 + a1 b1 of each lane. */
INLINE vec multiply_add(vec a, vec b, vec sum) {
#if VECTOR_BYTES == 64 && defined(__AVX512BW__)
    return sum + (vec)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif VECTOR_BYTES == 32 && defined(__AVX2__)
    return sum + (vec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif VECTOR_BYTES == 16 && defined(__SSE2__)
    return sum + (vec)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif VECTOR_BYTES == 16 && defined(__ARM_NEON) && defined(__aarch64__)
    const int16x8_t x = (int16x8_t)a, y = (int16x8_t)b;
    const int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
    return sum + (vec)vpaddq_s32(low, vmull_high_s16(x, y));
#else
    const lane_mask x = (lane_mask)a, y = (lane_mask)b;
    const vec second = (vec)(x >> 16) * (vec)(y >> 16);
    return sum + second + (vec)((lane_mask)(a << 16) >> 16) * (vec)((lane_mask)(b << 16) >> 16);
#endif
}

#include "halves.h"
#include "multiply_body.h"

#if defined(__GNUC__) && !defined(__clang__)
#define VECTORIZED __attribute__((noinline, optimize("O3")))
#else
#define VECTORIZED __attribute__((noinline))
#endif

#define PAIR_TYPES(TYPE)     \
    TYPE(CYCONV_U8, uint8_t) \
    TYPE(CYCONV_I8, int8_t)  \
    TYPE(CYCONV_I16, int16_t)

/* to[i] = from[i * step] - zero, i < n */
#define WIDEN(CODE, T)                                                                             \
    VECTORIZED static void widen_##T(const T *restrict from, ptrdiff_t step, int zero,             \
                                     ptrdiff_t n, int16_t *restrict to) {                          \
        if (step == 1)                                                                             \
            for (ptrdiff_t i = 0; i < n; i++) to[i] = (int16_t)((int16_t)from[i] - (int16_t)zero); \
        else                                                                                       \
            for (ptrdiff_t i = 0; i < n; i++) to[i] = (int16_t)(from[i * step] - zero);            \
    }
PAIR_TYPES(WIDEN)

INLINE void widen(storage_t type, const char *plane, ptrdiff_t at, ptrdiff_t step, int zero,
                  ptrdiff_t n, int16_t *to) {
    switch (type) {
#define WIDEN_CASE(CODE, T)                                                \
    case CODE:                                                             \
        widen_##T((const T *)(const void *)plane + at, step, zero, n, to); \
        return;
        PAIR_TYPES(WIDEN_CASE)
    default:
        return;
    }
}

typedef float floats __attribute__((vector_size(VECTOR_BYTES)));

INLINE floats limited(floats v, floats low, floats high) {
#if VECTOR_BYTES == 64 && defined(__AVX512F__)
    return (floats)_mm512_min_ps(_mm512_max_ps((__m512)v, (__m512)low), (__m512)high);
#elif VECTOR_BYTES == 32 && defined(__AVX__)
    return (floats)_mm256_min_ps(_mm256_max_ps((__m256)v, (__m256)low), (__m256)high);
#elif VECTOR_BYTES == 16 && defined(__SSE__)
    return (floats)_mm_min_ps(_mm_max_ps((__m128)v, (__m128)low), (__m128)high);
#elif VECTOR_BYTES == 16 && defined(__ARM_NEON)
    return (floats)vminq_f32(vmaxq_f32((float32x4_t)v, (float32x4_t)low), (float32x4_t)high);
#else
    v = (floats)choose(v < low, (vec)low, (vec)v);
    return (floats)choose(v > high, (vec)high, (vec)v);
#endif
}

/* The low halves of lanes beside each other in memory. */
INLINE vec paired(vec first, vec second) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return first << 16 | (second & 0xFFFFu);
#else
    return (first & 0xFFFFu) | second << 16;
#endif
}

/* The first and the second halves of two vectors' elements, by turns. */
#if VECTOR_BYTES == 64
#define MERGE_LOW                                                                                 \
    0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, \
        13, 45, 14, 46, 15, 47
#define MERGE_HIGH                                                                              \
    16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55, 24, 56, 25, 57, 26, 58, 27, \
        59, 28, 60, 29, 61, 30, 62, 31, 63
#elif VECTOR_BYTES == 32
#define MERGE_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define MERGE_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#else
#define MERGE_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define MERGE_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#endif
#ifdef __clang__
#define MERGED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define MERGED(a, b, ...) __builtin_shuffle(a, b, (__typeof__(a)){__VA_ARGS__})
#endif

/* Whole vectors: what is written past the n-th is written again, or slack. */
INLINE void zero_shorts(int16_t *to, ptrdiff_t n) {
    const shorts zero = {0};
    for (ptrdiff_t i = 0; i < n; i += SHORTS) memcpy(to + i, &zero, sizeof zero);
}

INLINE void copy_shorts(int16_t *to, const int16_t *from, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += SHORTS) {
        shorts v;
        memcpy(&v, from + i, sizeof v);
        memcpy(to + i, &v, sizeof v);
    }
}

/* Row h of a plane from column `first` on, zero outside the plane, and the slack. */
INLINE void widened_row(const geometry_t *g, const pair_source_t *from, const char *plane,
                        ptrdiff_t h, ptrdiff_t first, ptrdiff_t width, int16_t *to) {
    ptrdiff_t begin = 0, end = 0;
    if (plane && h >= 0 && h < g->h.in) valid_range(first, 1, g->w.in, width, &begin, &end);
    zero_shorts(to, begin);
    if (end > begin)
        widen(from->type, plane, h * g->h.x_stride + (first + begin) * g->w.x_stride, g->w.x_stride,
              from->zero, end - begin, to + begin);
    zero_shorts(to + end, width - end);
}

/* pairs[j] = (first[j * stride], second[j * stride]), j < n */
VECTORIZED static void join_rows(const int16_t *restrict first, const int16_t *restrict second,
                                 ptrdiff_t stride, ptrdiff_t n, real *restrict pairs) {
    if (stride == 1) {
        for (ptrdiff_t j = 0; j < n; j++)
            pairs[j] = (real)(uint16_t)first[j] | (real)(uint16_t)second[j] << 16;
    } else if (stride == 2) {
        for (ptrdiff_t j = 0; j < n; j++) {
            real a, b; /* two pixels each, of which the first counts */
            memcpy(&a, first + 2 * j, sizeof a);
            memcpy(&b, second + 2 * j, sizeof b);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
            pairs[j] = a >> 16 | (b & 0xFFFF0000u);
#else
            pairs[j] = (a & 0xFFFFu) | b << 16;
#endif
        }
    } else {
        for (ptrdiff_t j = 0; j < n; j++)
            pairs[j] = (real)(uint16_t)first[j * stride] | (real)(uint16_t)second[j * stride] << 16;
    }
}

/* Pairs of pixels of 8 bits from two planes, as they are stored, n >= SHORTS of them; the last
 * vectors overlap those before them. */
#define JOIN_PIXELS(T)                                                                          \
    static void join_##T(const T *first, const T *second, int zero, ptrdiff_t n, real *pairs) { \
        typedef T half __attribute__((vector_size(SHORTS)));                                    \
        const shorts zeros = (shorts){0} + (int16_t)zero;                                       \
        for (ptrdiff_t i = 0; i < n; i += SHORTS) {                                             \
            const ptrdiff_t j = i + SHORTS <= n ? i : n - SHORTS;                               \
            half a, b;                                                                          \
            memcpy(&a, first + j, sizeof a);                                                    \
            memcpy(&b, second + j, sizeof b);                                                   \
            const shorts low = WIDE_##T(MERGED(a, b, MERGE_LOW)) - zeros;                       \
            const shorts high = WIDE_##T(MERGED(a, b, MERGE_HIGH)) - zeros;                     \
            store(pairs + j, (vec)low);                                                         \
            store(pairs + j + LANES, (vec)high);                                                \
        }                                                                                       \
    }
JOIN_PIXELS(uint8_t)
JOIN_PIXELS(int8_t)

/* A row of pairs, of pixels of 8 bits beside each other in memory; whether it was one. */
INLINE int joined_row(const geometry_t *g, const pair_source_t *from, const char *first,
                      const char *second, ptrdiff_t h, ptrdiff_t column, ptrdiff_t n, real *to) {
    ptrdiff_t begin = 0, end = 0;
    if (from->type == CYCONV_I16 || g->w.stride != 1 || g->w.x_stride != 1 || !first || !second ||
        h < 0 || h >= g->h.in)
        return 0;
    valid_range(column, 1, g->w.in, n, &begin, &end);
    if (end - begin < SHORTS) return 0;
    const ptrdiff_t at = h * g->h.x_stride + column + begin;
    first += at, second += at;
    if (begin) zero_row(to, begin);
    if (n > end) zero_row(to + end, n - end);
    if (from->type == CYCONV_U8)
        join_uint8_t((const uint8_t *)first, (const uint8_t *)second, from->zero, end - begin,
                     to + begin);
    else
        join_int8_t((const int8_t *)first, (const int8_t *)second, from->zero, end - begin,
                    to + begin);
    return 1;
}

static void fill_pairs(const geometry_t *g, const strip_t *s, const pair_source_t *from,
                       const char *const *planes, ptrdiff_t count, ptrdiff_t p0, ptrdiff_t q0,
                       void *rows, void *strip) {
    const ptrdiff_t width = pair_row_width(g, s), first = q0 * g->w.stride - g->w.pad;
    const ptrdiff_t row = s->column_phases * s->pitch;
    int16_t *low = rows, *high = from->next ? low + from->next : low + width + CYCONV_PAIR_SLACK;
    for (ptrdiff_t d = 0; d < count; d++)
        for (ptrdiff_t a = 0; a < s->row_phases; a++) {
            real *to = (real *)strip + (d * s->row_phases + a) * s->rows * row;
            for (ptrdiff_t i = 0; i < s->filled; i++) {
                const ptrdiff_t h = (p0 + i) * g->h.stride + s->row_phase[a] - g->h.pad;
                if (!from->next && s->column_phases == 1 &&
                    joined_row(g, from, planes[2 * d], planes[2 * d + 1], h,
                               first + s->column_phase[0], s->pitch, to)) {
                    to += s->pitch;
                    continue;
                }
                if (from->next)
                    widened_row(g, from, planes[d], h, first, width + from->next, low);
                else {
                    widened_row(g, from, planes[2 * d], h, first, width, low);
                    widened_row(g, from, planes[2 * d + 1], h, first, width, high);
                }
                for (ptrdiff_t b = 0; b < s->column_phases; b++, to += s->pitch)
                    join_rows(low + s->column_phase[b], high + s->column_phase[b], g->w.stride,
                              s->pitch, to);
            }
        }
}

VECTORIZED static void finish_sums(const epilogue_t *e, ptrdiff_t filter, ptrdiff_t n,
                                   const void *sums, void *y, ptrdiff_t step) {
    const real *sum = sums;
    real *to = y;
    for (ptrdiff_t j = 0; j < n; j++) to[j * step] = finish(sum[j], e, filter, to + j * step);
}

/* Added to |v| < 2^22, it leaves v rounded to a whole number, halves to even, in the low bits. */
#define ROUNDING 0x1.8p23f

/* Clipped before it is rounded: the bounds are whole numbers. */
typedef struct {
    vec bias;
    floats factor, low, high;
    shorts zero;
} rounding_t;

INLINE rounding_t rounding_of(const pair_target_t *to, ptrdiff_t filter) {
    static const float least[] = {
        [CYCONV_U8] = 0, [CYCONV_I8] = INT8_MIN, [CYCONV_I16] = INT16_MIN};
    static const float most[] = {
        [CYCONV_U8] = UINT8_MAX, [CYCONV_I8] = INT8_MAX, [CYCONV_I16] = INT16_MAX};
    const floats none = {0};
    return (rounding_t){.bias = splat(to->bias ? (real)to->bias[filter] : 0),
                        .factor = none + to->factor[filter],
                        .low = none + (least[to->type] - (float)to->zero),
                        .high = none + (most[to->type] - (float)to->zero),
                        .zero = (shorts){0} + (int16_t)to->zero};
}

INLINE vec rounded(vec sum, const rounding_t *r) {
    const floats v = __builtin_convertvector((lane_mask)sum, floats) * r->factor;
    return (vec)(limited(v, r->low, r->high) + ROUNDING);
}

/* Sums, the bias in them, of even and of odd places, become numbers in order. */
INLINE shorts rounded_pairs(vec even, vec odd, const rounding_t *r) {
    typedef uint16_t wrapping __attribute__((vector_size(VECTOR_BYTES)));
    const wrapping cells = (wrapping)paired(rounded(even, r), rounded(odd, r));
    return (shorts)(cells + (wrapping)r->zero);
}

/* The same of sums in order. */
INLINE shorts rounded_vectors(vec first, vec second, const rounding_t *r) {
    const vec even = evens_halves(first, second), odd = odds_halves(first, second);
    return (shorts)ordered((vec)rounded_pairs(even, odd, r));
}

/* Cells of the type, at y[j] and after it. */
INLINE void store_cells(storage_t type, shorts cells, void *y, ptrdiff_t j) {
    if (type == CYCONV_I16) {
        memcpy((int16_t *)y + j, &cells, sizeof cells);
        return;
    }
    typedef int8_t bytes __attribute__((vector_size(SHORTS)));
    const bytes narrow = __builtin_convertvector(cells, bytes);
    memcpy((char *)y + j, &narrow, sizeof narrow);
}

/* By pieces of a known size, of which the last overlaps the one before it. */
INLINE void copy_bytes(char *to, const char *from, ptrdiff_t n) {
#define BY(size)                                                                           \
    if (n >= (size)) {                                                                     \
        for (ptrdiff_t i = 0; i < n - (size); i += (size)) memcpy(to + i, from + i, size); \
        memcpy(to + n - (size), from + n - (size), size);                                  \
        return;                                                                            \
    }
    BY(16)
    BY(8)
    BY(4)
#undef BY
    for (ptrdiff_t i = 0; i < n; i++) to[i] = from[i];
}

INLINE shorts rounded_at(const real *sums, const rounding_t *r) {
    return rounded_vectors(load(sums) + r->bias, load(sums + LANES) + r->bias, r);
}

/* PACKED outputs of 8 bits at once, where there are conversions that round and packs that saturate:
 * what lies below the range of 32 or 16 bits is left to them. */
#if VECTOR_BYTES == 32 && defined(__AVX2__)
enum { PACKED = 4 * LANES };

INLINE void store_packed(storage_t type, const real *sums, const rounding_t *r, void *y) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7), zero = (__m256i)r->zero;
    __m256i v[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const __m256 whole = _mm256_cvtepi32_ps((__m256i)(load(sums + i * LANES) + r->bias));
        const __m256 scaled = _mm256_mul_ps(whole, (__m256)r->factor);
        v[i] = _mm256_cvtps_epi32(_mm256_min_ps(scaled, (__m256)r->high));
    }
    const __m256i a = _mm256_adds_epi16(_mm256_packs_epi32(v[0], v[1]), zero);
    const __m256i b = _mm256_adds_epi16(_mm256_packs_epi32(v[2], v[3]), zero);
    const __m256i cells = type == CYCONV_U8 ? _mm256_packus_epi16(a, b) : _mm256_packs_epi16(a, b);
    _mm256_storeu_si256(y, _mm256_permutevar8x32_epi32(cells, order));
}
#else
enum { PACKED = SHORTS };

INLINE void store_packed(storage_t type, const real *sums, const rounding_t *r, void *y) {
    store_cells(type, rounded_at(sums, r), y, 0);
}
#endif

/* Where there are vectors of outputs, the last of them overlaps the one before it. */
static void store_sums(const pair_target_t *to, ptrdiff_t filter, ptrdiff_t n, const void *sums,
                       void *y, ptrdiff_t step) {
    const rounding_t r = rounding_of(to, filter);
    const storage_t type = to->type;
    const ptrdiff_t size = type == CYCONV_I16 ? 2 : 1;
    const real *from = sums;
    if (step == 1 && n >= PACKED && type != CYCONV_I16) {
        for (ptrdiff_t j = 0; j < n - PACKED; j += PACKED)
            store_packed(type, from + j, &r, (char *)y + j);
        store_packed(type, from + n - PACKED, &r, (char *)y + n - PACKED);
        return;
    }
    if (step == 1 && n >= SHORTS) {
        for (ptrdiff_t j = 0; j < n - SHORTS; j += SHORTS)
            store_cells(type, rounded_at(from + j, &r), y, j);
        store_cells(type, rounded_at(from + n - SHORTS, &r), y, n - SHORTS);
        return;
    }
    char *cell = y;
    for (ptrdiff_t j = 0; j < n; j += SHORTS) {
        const ptrdiff_t count = n - j < SHORTS ? n - j : SHORTS;
        char out[sizeof(shorts)];
        store_cells(type, rounded_at(from + j, &r), out, 0);
        if (step == 1)
            copy_bytes(cell, out, count * size);
        else
            for (ptrdiff_t i = 0; i < count; i++, cell += step * size)
                memcpy(cell, out + i * size, (size_t)size);
    }
}
