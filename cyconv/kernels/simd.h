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
#elif LANES == 4
#define EVENS 0, 2, 4, 6
#define ODDS 1, 3, 5, 7
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#elif LANES == 8
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif LANES == 16
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif
/* a, b hold 2 * LANES neighbours: those at even and at odd places; and back. */
INLINE vec evens(vec a, vec b) { return SHUFFLE(a, b, EVENS); }
INLINE vec odds(vec a, vec b) { return SHUFFLE(a, b, ODDS); }
INLINE vec interleave_low(vec a, vec b) { return SHUFFLE(a, b, LOW); }
INLINE vec interleave_high(vec a, vec b) { return SHUFFLE(a, b, HIGH); }

/* to[i] = from[i * stride], i < n. */
INLINE void copy_row(real *to, const real *from, ptrdiff_t stride, ptrdiff_t n) {
    if (stride == 1)
        memcpy(to, from, (size_t)n * sizeof(real));
    else
        for (ptrdiff_t i = 0; i < n; i++) to[i] = from[i * stride];
}
#endif
