/* The vocabulary of the kernels: one vector type `vec` of LANES `real`s and its few operations,
 * in the compiler's vector extensions. Set before:
 *   ELEMENT_f32, _f64, _u32 or _u64   by the build: each target is compiled once for each
 *   VECTOR_BYTES, REGISTERS            the vector register's width and count, by the target file
 * Integers are unsigned, whose sums and products wrap as two's complement does. */
#ifndef CYCONV_SIMD_H
#define CYCONV_SIMD_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))

#if defined(ELEMENT_f32)
typedef float real;
#define ELEMENT f32
#define REAL_BYTES 4
#elif defined(ELEMENT_f64)
typedef double real;
#define ELEMENT f64
#define REAL_BYTES 8
#elif defined(ELEMENT_u32)
typedef uint32_t real;
#define ELEMENT u32
#define REAL_BYTES 4
#else
typedef uint64_t real;
#define ELEMENT u64
#define REAL_BYTES 8
#endif
#define LANES (VECTOR_BYTES / REAL_BYTES)

#if REAL_BYTES == 4
typedef int32_t lane_mask __attribute__((vector_size(VECTOR_BYTES)));
#else
typedef int64_t lane_mask __attribute__((vector_size(VECTOR_BYTES)));
#endif
typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real vec_unaligned
    __attribute__((vector_size(VECTOR_BYTES), aligned(REAL_BYTES), may_alias));

INLINE vec load(const real *p) { return *(const vec_unaligned *)p; }
INLINE void store(real *p, vec v) { *(vec_unaligned *)p = v; }
INLINE vec splat(real a) { return a - (vec){0}; } /* a - 0 keeps -0.0 */
/* That of pairs is in pairs_body.h. */
#ifndef PART_pairs
INLINE vec multiply_add(vec a, vec b, vec sum) { return sum + a * b; }
#endif
INLINE vec choose(lane_mask mask, vec a, vec b) {
    return (vec)((mask & (lane_mask)a) | (~mask & (lane_mask)b));
}
/* NaN passes through: both comparisons are false. */
INLINE vec clamp(vec v, vec low, vec high) {
    v = choose(v < low, low, v);
    return choose(v > high, high, v);
}
/* v - v is 0 for finite v, NaN for Inf and NaN. */
INLINE int not_finite(vec v) {
    v = v - v;
    real sum = 0;
    for (int l = 0; l < LANES; l++) sum += v[l];
    return sum != 0;
}

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (lane_mask){__VA_ARGS__})
#endif

#if LANES == 2
#define EVENS 0, 2
#define ODDS 1, 3
#define LOW 0, 2
#define HIGH 1, 3
#define SHIFT 1, 2
#define SHIFT_UP 1, 2
#elif LANES == 4
#define EVENS 0, 2, 4, 6
#define ODDS 1, 3, 5, 7
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#define SHIFT 1, 2, 3, 4
#define SHIFT_UP 3, 4, 5, 6
#define SECOND 0, 2, 5, 7
#elif LANES == 8
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define SHIFT 1, 2, 3, 4, 5, 6, 7, 8
#define SHIFT_UP 7, 8, 9, 10, 11, 12, 13, 14
#define SECOND 0, 2, 4, 6, 9, 11, 13, 15
#elif LANES == 16
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define SHIFT 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#define SHIFT_UP 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
#define SECOND 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31
#endif
/* a, b hold 2 * LANES neighbours: those at even and at odd places; and back. Registers of 32 bytes
 * shuffle fast within their halves and slowly across: first the one, then, for those that must be
 * `ordered`, the halves. */
#if VECTOR_BYTES == 32 && LANES == 8
INLINE vec ordered(vec v) { return SHUFFLE(v, v, 0, 1, 4, 5, 2, 3, 6, 7); }
INLINE vec evens_halves(vec a, vec b) { return SHUFFLE(a, b, 0, 2, 8, 10, 4, 6, 12, 14); }
INLINE vec odds_halves(vec a, vec b) { return SHUFFLE(a, b, 1, 3, 9, 11, 5, 7, 13, 15); }
#elif VECTOR_BYTES == 32 && LANES == 4
INLINE vec ordered(vec v) { return SHUFFLE(v, v, 0, 2, 1, 3); }
INLINE vec evens_halves(vec a, vec b) { return SHUFFLE(a, b, 0, 4, 2, 6); }
INLINE vec odds_halves(vec a, vec b) { return SHUFFLE(a, b, 1, 5, 3, 7); }
#else
INLINE vec ordered(vec v) { return v; }
INLINE vec evens_halves(vec a, vec b) { return SHUFFLE(a, b, EVENS); }
INLINE vec odds_halves(vec a, vec b) { return SHUFFLE(a, b, ODDS); }
#endif
INLINE vec evens(vec a, vec b) { return ordered(evens_halves(a, b)); }
INLINE vec odds(vec a, vec b) { return ordered(odds_halves(a, b)); }
INLINE vec shift_up(vec a, vec b) { return SHUFFLE(a, b, SHIFT_UP); } /* a's last, b's first */
INLINE vec shift_down(vec a, vec b) { return SHUFFLE(a, b, SHIFT); }  /* a's others, b's first */
INLINE vec interleave_low(vec a, vec b) { return SHUFFLE(a, b, LOW); }
INLINE vec interleave_high(vec a, vec b) { return SHUFFLE(a, b, HIGH); }
/* a[0], b[0], a[1], b[1], ... */
INLINE void interleave(vec a, vec b, vec *low, vec *high) {
#if VECTOR_BYTES == 32 && LANES == 8
    const vec first = SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
    const vec second = SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    *low = SHUFFLE(first, second, 0, 1, 2, 3, 8, 9, 10, 11);
    *high = SHUFFLE(first, second, 4, 5, 6, 7, 12, 13, 14, 15);
#elif VECTOR_BYTES == 32 && LANES == 4
    const vec first = SHUFFLE(a, b, 0, 4, 2, 6), second = SHUFFLE(a, b, 1, 5, 3, 7);
    *low = SHUFFLE(first, second, 0, 1, 4, 5);
    *high = SHUFFLE(first, second, 2, 3, 6, 7);
#else
    *low = interleave_low(a, b);
    *high = interleave_high(a, b);
#endif
}

/* x[0], x[2], ..., reading no element after the last of them. */
INLINE vec every_second(const real *x) {
#if LANES == 2
    return (vec){x[0], x[2]};
#else
    const vec a = load(x), b = load(x + LANES - 1); /* b's wanted elements are the odd ones */
#if VECTOR_BYTES == 32 && LANES == 8
    const vec halves = SHUFFLE(a, b, 0, 2, 9, 11, 4, 6, 13, 15);
    return SHUFFLE(halves, halves, 0, 1, 4, 5, 2, 3, 6, 7);
#elif VECTOR_BYTES == 32 && LANES == 4
    const vec halves = SHUFFLE(a, b, 0, 5, 2, 7);
    return SHUFFLE(halves, halves, 0, 2, 1, 3);
#else
    return SHUFFLE(a, b, SECOND);
#endif
#endif
}

/* every[j][l] = x[4 * l + j], j < 4, l < LANES. */
INLINE void every_fourth(const real *x, vec *every) {
    const vec a = load(x), b = load(x + LANES), c = load(x + 2 * LANES), d = load(x + 3 * LANES);
#if VECTOR_BYTES == 32 && LANES == 8
    const vec ac0 = SHUFFLE(a, c, 0, 1, 2, 3, 8, 9, 10, 11);
    const vec ac1 = SHUFFLE(a, c, 4, 5, 6, 7, 12, 13, 14, 15);
    const vec bd0 = SHUFFLE(b, d, 0, 1, 2, 3, 8, 9, 10, 11);
    const vec bd1 = SHUFFLE(b, d, 4, 5, 6, 7, 12, 13, 14, 15);
    const vec a01 = SHUFFLE(ac0, ac1, 0, 8, 1, 9, 4, 12, 5, 13);
    const vec a23 = SHUFFLE(ac0, ac1, 2, 10, 3, 11, 6, 14, 7, 15);
    const vec b01 = SHUFFLE(bd0, bd1, 0, 8, 1, 9, 4, 12, 5, 13);
    const vec b23 = SHUFFLE(bd0, bd1, 2, 10, 3, 11, 6, 14, 7, 15);
    every[0] = SHUFFLE(a01, b01, 0, 1, 8, 9, 4, 5, 12, 13);
    every[1] = SHUFFLE(a01, b01, 2, 3, 10, 11, 6, 7, 14, 15);
    every[2] = SHUFFLE(a23, b23, 0, 1, 8, 9, 4, 5, 12, 13);
    every[3] = SHUFFLE(a23, b23, 2, 3, 10, 11, 6, 7, 14, 15);
#else
    const vec even0 = evens(a, b), even1 = evens(c, d), odd0 = odds(a, b), odd1 = odds(c, d);
    every[0] = evens(even0, even1);
    every[1] = evens(odd0, odd1);
    every[2] = odds(even0, even1);
    every[3] = odds(odd0, odd1);
#endif
}

/* The inverse: x[4 * l + j] = every[j][l]. */
INLINE void store_fourths(const vec *every, real *x) {
#if VECTOR_BYTES == 32 && LANES == 8
    const vec a01 = SHUFFLE(every[0], every[1], 0, 8, 1, 9, 4, 12, 5, 13);
    const vec b01 = SHUFFLE(every[0], every[1], 2, 10, 3, 11, 6, 14, 7, 15);
    const vec a23 = SHUFFLE(every[2], every[3], 0, 8, 1, 9, 4, 12, 5, 13);
    const vec b23 = SHUFFLE(every[2], every[3], 2, 10, 3, 11, 6, 14, 7, 15);
    const vec ac0 = SHUFFLE(a01, a23, 0, 1, 8, 9, 4, 5, 12, 13);
    const vec ac1 = SHUFFLE(a01, a23, 2, 3, 10, 11, 6, 7, 14, 15);
    const vec bd0 = SHUFFLE(b01, b23, 0, 1, 8, 9, 4, 5, 12, 13);
    const vec bd1 = SHUFFLE(b01, b23, 2, 3, 10, 11, 6, 7, 14, 15);
    store(x, SHUFFLE(ac0, ac1, 0, 1, 2, 3, 8, 9, 10, 11));
    store(x + LANES, SHUFFLE(bd0, bd1, 0, 1, 2, 3, 8, 9, 10, 11));
    store(x + 2 * LANES, SHUFFLE(ac0, ac1, 4, 5, 6, 7, 12, 13, 14, 15));
    store(x + 3 * LANES, SHUFFLE(bd0, bd1, 4, 5, 6, 7, 12, 13, 14, 15));
#else
    const vec a = interleave_low(every[0], every[2]), b = interleave_low(every[1], every[3]);
    const vec c = interleave_high(every[0], every[2]), d = interleave_high(every[1], every[3]);
    store(x, interleave_low(a, b));
    store(x + LANES, interleave_high(a, b));
    store(x + 2 * LANES, interleave_low(c, d));
    store(x + 3 * LANES, interleave_high(c, d));
#endif
}

/* rows[i][l] <-> rows[l][i] of LANES vectors. */
INLINE void transpose(vec *rows) {
#if VECTOR_BYTES == 32 && LANES == 8
    vec pair[8], four[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        pair[i] = SHUFFLE(rows[i], rows[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        pair[i + 1] = SHUFFLE(rows[i], rows[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        four[i] = SHUFFLE(pair[i], pair[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        four[i + 1] = SHUFFLE(pair[i], pair[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        four[i + 2] = SHUFFLE(pair[i + 1], pair[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
        four[i + 3] = SHUFFLE(pair[i + 1], pair[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        rows[i] = SHUFFLE(four[i], four[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        rows[i + 4] = SHUFFLE(four[i], four[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#elif VECTOR_BYTES == 32 && LANES == 4
    const vec even = SHUFFLE(rows[0], rows[1], 0, 4, 2, 6);
    const vec odd = SHUFFLE(rows[0], rows[1], 1, 5, 3, 7);
    const vec even2 = SHUFFLE(rows[2], rows[3], 0, 4, 2, 6);
    const vec odd2 = SHUFFLE(rows[2], rows[3], 1, 5, 3, 7);
    rows[0] = SHUFFLE(even, even2, 0, 1, 4, 5);
    rows[1] = SHUFFLE(odd, odd2, 0, 1, 4, 5);
    rows[2] = SHUFFLE(even, even2, 2, 3, 6, 7);
    rows[3] = SHUFFLE(odd, odd2, 2, 3, 6, 7);
#elif LANES == 4
    const vec low = SHUFFLE(rows[0], rows[1], 0, 4, 1, 5);
    const vec high = SHUFFLE(rows[0], rows[1], 2, 6, 3, 7);
    const vec low2 = SHUFFLE(rows[2], rows[3], 0, 4, 1, 5);
    const vec high2 = SHUFFLE(rows[2], rows[3], 2, 6, 3, 7);
    rows[0] = SHUFFLE(low, low2, 0, 1, 4, 5);
    rows[1] = SHUFFLE(low, low2, 2, 3, 6, 7);
    rows[2] = SHUFFLE(high, high2, 0, 1, 4, 5);
    rows[3] = SHUFFLE(high, high2, 2, 3, 6, 7);
#elif LANES == 2
    const vec first = SHUFFLE(rows[0], rows[1], 0, 2);
    rows[1] = SHUFFLE(rows[0], rows[1], 1, 3);
    rows[0] = first;
#else
    real block[LANES][LANES];
    for (int i = 0; i < LANES; i++)
        for (int l = 0; l < LANES; l++) block[l][i] = rows[i][l];
    for (int i = 0; i < LANES; i++) rows[i] = load(block[i]);
#endif
}

/* The first n < LANES elements. What is loaded again lies within one store: it need not wait. */
INLINE void store_few(real *to, vec v, ptrdiff_t n) {
    enum { HALF = LANES / 2, BYTES = VECTOR_BYTES / 2 };
    real out[LANES], last[HALF];
    store(out, v);
    if (n >= HALF) {
        memcpy(last, out + n - HALF, BYTES);
        memcpy(to, out, BYTES);
        memcpy(to + n - HALF, last, BYTES);
        return;
    }
    for (ptrdiff_t j = 0; j < n; j++) to[j] = out[j];
}

/* Runs of few vectors: no calls, and the last vector overlaps the one before it. */
INLINE void zero_row(real *to, ptrdiff_t n) {
    const vec zero = {0};
    if (n < LANES) {
        for (ptrdiff_t i = 0; i < n; i++) to[i] = 0;
        return;
    }
    for (ptrdiff_t i = 0; i < n - LANES; i += LANES) store(to + i, zero);
    store(to + n - LANES, zero);
}

/* to[i] = from[i * stride], i < n. */
INLINE void copy_row(real *to, const real *from, ptrdiff_t stride, ptrdiff_t n) {
    ptrdiff_t i = 0;
    if (stride == 1 && n >= LANES) {
        for (; i < n - LANES; i += LANES) store(to + i, load(from + i));
        store(to + n - LANES, load(from + n - LANES));
        return;
    }
    if (stride == 1 && 2 * n >= LANES) {
        enum { HALF = LANES / 2, BYTES = VECTOR_BYTES / 2 };
        real last[HALF];
        memcpy(last, from + n - HALF, BYTES);
        memcpy(to, from, BYTES);
        memcpy(to + n - HALF, last, BYTES);
        return;
    }
    if (stride == 2 && n >= LANES) {
        for (; i < n - LANES; i += LANES) store(to + i, every_second(from + 2 * i));
        store(to + n - LANES, every_second(from + 2 * (n - LANES)));
        return;
    }
    for (; i < n; i++) to[i] = from[i * stride];
}
#endif
