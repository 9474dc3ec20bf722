/* Pairs of 16-bit integers: see pairs.h. `real` is u32, the type of an element and of a sum. */
#include "pairs.h"
#include "simd.h"
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

typedef int16_t shorts __attribute__((vector_size(VECTOR_BYTES)));
enum { SHORTS = VECTOR_BYTES / 2 };

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

/* The last vectors overlap those before them. */
static void store_sums(const pair_target_t *to, ptrdiff_t filter, ptrdiff_t n, const void *sums,
                       void *y, ptrdiff_t step) {
    const rounding_t r = rounding_of(to, filter);
    const ptrdiff_t size = to->type == CYCONV_I16 ? 2 : 1;
    const real *from = sums;
    for (ptrdiff_t j = 0; j < n; j += SHORTS) {
        ptrdiff_t at = j + SHORTS <= n ? j : n - SHORTS, count = SHORTS;
        real few[SHORTS] = {0};
        if (n < SHORTS) {
            at = 0, count = n;
            for (ptrdiff_t i = 0; i < n; i++) few[i] = from[i];
        }
        const real *some = n < SHORTS ? few : from + at;
        const shorts cells = rounded_vectors(load(some) + r.bias, load(some + LANES) + r.bias, &r);
        if (step == 1 && count == SHORTS) {
            store_cells(to->type, cells, y, at);
            continue;
        }
        char out[sizeof cells];
        store_cells(to->type, cells, out, 0);
        for (ptrdiff_t i = 0; i < count; i++)
            memcpy((char *)y + (at + i) * step * size, out + i * size, (size_t)size);
    }
}
