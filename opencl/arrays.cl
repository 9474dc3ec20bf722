/* Element by element over arrays of any strides and types. */

/* Types in memory of the operands a and b; Y is the result's. */
#ifndef A
#define A float
#endif
#ifndef B
#define B float
#endif

/* The operation on elements a and b. */
#ifndef OP
#define OP COPY
#endif
#define COPY a
#define FILL low
#define PLUS (a + b)
#define MINUS (a - b)
#define HYPOT hypot(a, b)
#define NEAREST CAT(convert_, CAT(Y, _sat_rte))(a) /* an integer */
#define BOUND CLAMP(a, low, high)
#define FINISH CLAMP(a + b, low, high)

/* Counts cells: uint, or ulong from 2^31 of them on. */
#ifndef INDEX
#define INDEX uint
#endif

#define DIGIT(s)                                  \
    if (rest) {                                   \
        const long digit = MOD(rest, (INDEX)n.s); \
        rest /= (INDEX)n.s;                       \
        ia += digit * as.s;                       \
        ib += digit * bs.s;                       \
        iy += digit * ys.s;                       \
    }

/* y[i] = OP(a[i], b[i]) for `count` cells over up to eight axes of sizes n, innermost first. */
__kernel void combine(__global const A *pa, __global const B *pb, __global Y *py, long a0, long b0,
                      long y0, long8 n, long8 as, long8 bs, long8 ys, ulong count, real low,
                      real high) {
    INDEX rest = get_global_id(0);
    long ia = a0, ib = b0, iy = y0;
    if (rest >= count) return;
    DIGIT(s0)
    DIGIT(s1)
    DIGIT(s2)
    DIGIT(s3)
    DIGIT(s4)
    DIGIT(s5)
    DIGIT(s6)
    DIGIT(s7)
    const real a = CELL_AT(A, pa, ia);
    const real b = CELL_AT(B, pb, ib);
    CELL_PUT(Y, OP, py, iy);
}

/* Where cell i of an axis of n cells lies after reflection, repetition, ...; i may be outside. */
long inside_reflect(long i, long n) {
    const long period = n > 1 ? 2 * (n - 1) : 1;
    i = (i % period + period) % period;
    return i < n ? i : period - i;
}

long inside_edge(long i, long n) { return clamp(i, 0L, n - 1); }

long inside_wrap(long i, long n) { return (i % n + n) % n; }

long inside_symmetric(long i, long n) {
    i = (i % (2 * n) + 2 * n) % (2 * n);
    return i < n ? i : 2 * n - 1 - i;
}

/* The rule of the border. */
#ifndef MODE
#define MODE edge
#endif

#define BORDER(s)                                              \
    {                                                          \
        const long digit = MOD(rest, (INDEX)n.s);              \
        rest /= (INDEX)n.s;                                    \
        ia += CAT(inside_, MODE)(digit - lo.s, size.s) * as.s; \
    }

/* y, contiguous with axes of n cells (innermost first), is a of `size` cells, `lo` before them. */
__kernel void border(__global const A *pa, __global Y *py, long a0, long8 n, long8 lo, long8 size,
                     long8 as, ulong count) {
    const INDEX i = get_global_id(0);
    INDEX rest = i;
    long ia = a0;
    if (rest >= count) return;
    BORDER(s0)
    BORDER(s1)
    BORDER(s2)
    BORDER(s3)
    BORDER(s4)
    BORDER(s5)
    BORDER(s6)
    BORDER(s7)
    const real a = CELL_AT(A, pa, ia);
    CELL_PUT(Y, a, py, i);
}
