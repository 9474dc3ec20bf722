/* Fourier transforms of LANES complex columns side by side, in the lanes of vectors: the stages of
 * Stockham's algorithm [1], whose results are in their natural order.
 *
 * Element i of a column has its real parts at re + i * step and its imaginary ones `apart` behind
 * them. A stage of radix r takes transforms of n, of which s lie interleaved, to r times as many of
 * n / r:
 *
 *     y[q + s (r p + j)] = w_n^(p j) sum_k x[q + s (p + k n / r)] w_r^(j k),   w_n = exp(-2 pi i /
 * n)
 *
 * for p < n / r, q < s, j < r. Its roots w_n^(p j) lie in the order of p and then of j = 1 .. r -
 * 1; the last stage, of 4 or 8, has none.
 *
 * [1] C. Van Loan, Computational Frameworks for the Fast Fourier Transform, section 1.7. */
#include <math.h>

typedef struct {
    real *re;
    ptrdiff_t step, apart;
} column_t;

enum { POINT = 2 * LANES }; /* elements of a complex vector of scratch */

INLINE column_t in_scratch(real *at) { return (column_t){at, POINT, LANES}; }

typedef struct {
    vec re, im;
} point_t;

INLINE point_t get(const real *at, ptrdiff_t apart) {
    return (point_t){load(at), load(at + apart)};
}
INLINE void put(real *at, ptrdiff_t apart, point_t z) {
    store(at, z.re);
    store(at + apart, z.im);
}
INLINE point_t plus(point_t a, point_t b) { return (point_t){a.re + b.re, a.im + b.im}; }
INLINE point_t minus(point_t a, point_t b) { return (point_t){a.re - b.re, a.im - b.im}; }
INLINE point_t by_minus_i(point_t a) { return (point_t){a.im, -a.re}; }
INLINE point_t times(point_t a, point_t b) {
    return (point_t){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
INLINE point_t swapped(point_t a) { return (point_t){a.im, a.re}; }
INLINE point_t root_at(const real *w) { return (point_t){splat(w[0]), splat(w[1])}; }

/* The sums over k of a stage, in place. */
INLINE void sums3(point_t *z) {
    const vec half = splat((real)0.5), h = splat((real)0.86602540378443864676);
    const point_t t = plus(z[1], z[2]), d = minus(z[1], z[2]);
    const point_t u = {z[0].re - t.re * half, z[0].im - t.im * half};
    const point_t v = {d.im * h, d.re * -h}; /* -i h d */
    z[0] = plus(z[0], t), z[1] = plus(u, v), z[2] = minus(u, v);
}
INLINE void sums4(point_t *z) {
    const point_t a = plus(z[0], z[2]), b = minus(z[0], z[2]);
    const point_t c = plus(z[1], z[3]), d = minus(z[1], z[3]);
    z[0] = plus(a, c), z[2] = minus(a, c);
    z[1] = (point_t){b.re + d.im, b.im - d.re};
    z[3] = (point_t){b.re - d.im, b.im + d.re};
}
INLINE void sums5(point_t *z) {
    const vec c1 = splat((real)0.30901699437494742410), c2 = splat((real)-0.80901699437494742410);
    const vec s1 = splat((real)0.95105651629515357212), s2 = splat((real)0.58778525229247312917);
    const point_t a = plus(z[1], z[4]), b = plus(z[2], z[3]);
    const point_t c = minus(z[1], z[4]), d = minus(z[2], z[3]);
    const point_t u = {z[0].re + c1 * a.re + c2 * b.re, z[0].im + c1 * a.im + c2 * b.im};
    const point_t v = {z[0].re + c2 * a.re + c1 * b.re, z[0].im + c2 * a.im + c1 * b.im};
    const point_t e = {s1 * c.re + s2 * d.re, s1 * c.im + s2 * d.im};
    const point_t f = {s2 * c.re - s1 * d.re, s2 * c.im - s1 * d.im};
    z[0] = plus(z[0], plus(a, b));
    z[1] = plus(u, by_minus_i(e)), z[4] = minus(u, by_minus_i(e));
    z[2] = plus(v, by_minus_i(f)), z[3] = minus(v, by_minus_i(f));
}
INLINE void sums8(point_t *z) {
    const vec half = splat((real)0.70710678118654752440);
    point_t even[4] = {z[0], z[2], z[4], z[6]}, odd[4] = {z[1], z[3], z[5], z[7]};
    sums4(even);
    sums4(odd);
    const point_t a = odd[1], b = odd[3];
    odd[1] = (point_t){(a.re + a.im) * half, (a.im - a.re) * half};
    odd[2] = by_minus_i(odd[2]);
    odd[3] = (point_t){(b.im - b.re) * half, (b.re + b.im) * -half};
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) z[k] = plus(even[k], odd[k]), z[k + 4] = minus(even[k], odd[k]);
}
INLINE void sums(int radix, point_t *z) {
    if (radix == 3) sums3(z);
    if (radix == 4) sums4(z);
    if (radix == 5) sums5(z);
    if (radix == 8) sums8(z);
}

/* One p and q of a stage. */
INLINE void fly(int radix, const real *from, ptrdiff_t x_far, ptrdiff_t x_apart, real *to,
                ptrdiff_t y_far, ptrdiff_t y_apart, const point_t *root) {
    point_t z[8];
#pragma GCC unroll 8
    for (int k = 0; k < radix; k++) z[k] = get(from + k * x_far, x_apart);
    sums(radix, z);
    put(to, y_apart, z[0]);
#pragma GCC unroll 8
    for (int j = 1; j < radix; j++) put(to + j * y_far, y_apart, times(z[j], root[j - 1]));
}

INLINE void stage(int radix, ptrdiff_t n, ptrdiff_t s, column_t x, column_t y, const real *w) {
    const ptrdiff_t m = n / radix, x_far = m * s * x.step, y_far = s * y.step;
    const real *from = x.re;
    real *to = y.re;
    point_t root[4];
    if (s == 1) { /* no roots wait in registers */
        for (ptrdiff_t p = 0; p < m;
             p++, w += 2 * (radix - 1), from += x.step, to += radix * y_far) {
#pragma GCC unroll 8
            for (int j = 1; j < radix; j++) root[j - 1] = root_at(w + 2 * (j - 1));
            fly(radix, from, x_far, x.apart, to, y_far, y.apart, root);
        }
        return;
    }
    for (ptrdiff_t p = 0; p < m; p++, w += 2 * (radix - 1), to += (radix - 1) * y_far) {
#pragma GCC unroll 8
        for (int j = 1; j < radix; j++) root[j - 1] = root_at(w + 2 * (j - 1));
        for (ptrdiff_t q = 0; q < s; q++, from += x.step, to += y.step)
            fly(radix, from, x_far, x.apart, to, y_far, y.apart, root);
    }
}
INLINE void last_stage(int radix, ptrdiff_t s, column_t x, column_t y) {
    const real *from = x.re;
    real *to = y.re;
    const ptrdiff_t x_far = s * x.step, y_far = s * y.step;
    for (ptrdiff_t q = 0; q < s; q++, from += x.step, to += y.step) {
        point_t z[8];
#pragma GCC unroll 8
        for (int k = 0; k < radix; k++) z[k] = get(from + k * x_far, x.apart);
        sums(radix, z);
#pragma GCC unroll 8
        for (int k = 0; k < radix; k++) put(to + k * y_far, y.apart, z[k]);
    }
}

/* Once for columns of any step, and once for those of scratch. */
#define STAGE(radix)                                                                          \
    static void stage##radix(ptrdiff_t n, ptrdiff_t s, column_t x, column_t y, const real *w, \
                             int inner) {                                                     \
        if (inner)                                                                            \
            stage(radix, n, s, in_scratch(x.re), in_scratch(y.re), w);                        \
        else                                                                                  \
            stage(radix, n, s, x, in_scratch(y.re), w);                                       \
    }
#define LAST(radix)                                                           \
    static void last##radix(ptrdiff_t s, column_t x, column_t y, int inner) { \
        if (inner)                                                            \
            last_stage(radix, s, in_scratch(x.re), in_scratch(y.re));         \
        else                                                                  \
            last_stage(radix, s, x, y);                                       \
    }
STAGE(3)
STAGE(4)
STAGE(5)
LAST(4)
LAST(8)

/* The radix of the first stage of n, or of the last one. */
static int radix_of(ptrdiff_t n) {
    if (n % 5 == 0) return 5;
    if (n % 3 == 0) return 3;
    return n == 8 ? 8 : 4;
}

/* Whether the stages divide n: 2^a 3^b 5^c, a > 1. */
static int can_transform(ptrdiff_t n) {
    if (n < 4) return 0;
    for (; n % 5 == 0; n /= 5) continue;
    for (; n % 3 == 0; n /= 3) continue;
    return n >= 4 && (n & (n - 1)) == 0;
}

/* Roots of all stages of n, from double precision; how many numbers. */
static ptrdiff_t fill_roots(ptrdiff_t n, void *roots) {
    real *w = roots;
    ptrdiff_t count = 0;
    for (int radix; n != 4 && n != 8; n /= radix) {
        radix = radix_of(n);
        for (ptrdiff_t p = 0; p < n / radix; p++)
            for (int j = 1; j < radix; j++, count += 2) {
                if (!w) continue;
                const double angle = -2 * 3.14159265358979323846 * (double)(p * j) / (double)n;
                w[count] = (real)cos(angle), w[count + 1] = (real)sin(angle);
            }
    }
    return count;
}

/* Column x to column y, which may be the same. Two columns of scratch lie behind each other. */
static void transform(ptrdiff_t n, column_t x, column_t y, const real *w, real *scratch) {
    column_t to = in_scratch(scratch), other = in_scratch(scratch + n * POINT);
    ptrdiff_t s = 1;
    for (int radix; n != 4 && n != 8; n /= radix, s *= radix) {
        radix = radix_of(n);
        const int inner = x.step == POINT && x.apart == LANES;
        if (radix == 3)
            stage3(n, s, x, to, w, inner);
        else if (radix == 4)
            stage4(n, s, x, to, w, inner);
        else
            stage5(n, s, x, to, w, inner);
        w += 2 * (radix - 1) * (n / radix);
        x = to, to = other, other = x;
    }
    const int inner = x.step == POINT && y.step == POINT && x.apart == LANES && y.apart == LANES;
    if (n == 8)
        last8(s, x, y, inner);
    else
        last4(s, x, y, inner);
}
