/* Cells in memory, and the numbers that they are in sums.

   X is the type of the image's cells, Y that of the result's; by default that of the sums. Whatever
   it is, a cell becomes a `real` as it is read, and a sum becomes a cell as it is written. Halves
   need no extension: OpenCL itself reads and writes half, and bfloat16 is the upper half of a
   float. Integers are summed as unsigned ones, which wrap; SUM is the type that they stand for. */

typedef ushort bhalf;

#ifdef SUM
#define NUMBER(v) ((real)(SUM)(v))
#define NUMBERS(n, v) CAT(as_, CAT(REAL, n))(CAT(convert_, CAT(SUM, n))(v))
#define VALUE(v) ((SUM)(v))
#define VALUES(n, v) CAT(as_, CAT(SUM, n))(v)
#else
#define NUMBER(v) ((real)(v))
#define NUMBERS(n, v) CAT(convert_, CAT(REAL, n))(v)
#define VALUE(v) (v)
#define VALUES(n, v) (v)
#endif
#if defined(SUM) || !defined(DOUBLE)
#define FLOATING(v) ((float)VALUE(v))
#define FLOATINGS(n, v) CAT(convert_float, n)(VALUES(n, v))
#else /* a double becomes half by one rounding */
#define FLOATING(v) (v)
#define FLOATINGS(n, v) (v)
#endif

/* The nearest bfloat16, the even one of two; NaN stays NaN. */
INLINE ushort to_bhalf(float v) {
    const uint bits = as_uint(v);
    return (v == v ? bits + 0x7fffu + (bits >> 16 & 1) : bits | 0x400000u) >> 16;
}

/* How cells of a type lie: as what they are, or as one of the halves. */
#define LIE_half half
#define LIE_bhalf bhalf
#define LIE_float plain
#define LIE_double plain
#define LIE_char plain
#define LIE_uchar plain
#define LIE_short plain
#define LIE_ushort plain
#define LIE_int plain
#define LIE_uint plain
#define LIE_long plain
#define LIE_ulong plain

/* The number in cell i of p, whose type is T. */
#define CELL_AT(T, p, i) CAT(CELL_AT_, CAT(LIE_, T))(p, i)
#define CELL_AT_plain(p, i) NUMBER((p)[i])
#define CELL_AT_half(p, i) NUMBER(vload_half(i, p))
#define CELL_AT_bhalf(p, i) NUMBER(as_float((uint)(p)[i] << 16))

/* A number to cell i of p. */
#define CELL_PUT(T, v, p, i) CAT(CELL_PUT_, CAT(LIE_, T))(v, p, i)
#define CELL_PUT_plain(v, p, i) (p)[i] = VALUE(v)
#define CELL_PUT_half(v, p, i) vstore_half_rte(FLOATING(v), i, p)
#define CELL_PUT_bhalf(v, p, i) (p)[i] = to_bhalf(VALUE(v))

#ifndef X
#define X REAL
#define SAME_X
#endif
#ifndef Y
#define Y REAL
#define SAME_Y
#endif
#define X_AT(p, i) CELL_AT(X, p, i)
#define Y_PUT(v, p, i) CELL_PUT(Y, v, p, i)

/* A CPU's vector of them at any address; on a GPU four that are aligned. */
#ifdef CPU
#define FEW LANES
#define AT_ANY(T) __attribute__((aligned(sizeof(T))))
#else
#define FEW 4
#define AT_ANY(T)
#endif
#if FEW > 1
#define BITS(T) CAT(BITS_, CAT(LIE_, T))(T)
#define BITS_plain(T) T
#define BITS_half(T) ushort
#define BITS_bhalf(T) ushort
typedef CAT(BITS(X), FEW) some_x AT_ANY(BITS(X));
typedef CAT(BITS(Y), FEW) some_y AT_ANY(BITS(Y));

INLINE CAT(ushort, FEW) to_bhalfs(CAT(float, FEW) v) {
    const CAT(uint, FEW) bits = CAT(as_uint, FEW)(v);
    return CAT(convert_ushort,
               FEW)((v == v ? bits + 0x7fffu + (bits >> 16 & 1u) : bits | 0x400000u) >> 16);
}

#ifdef SAME_X
#define XS_AT(p) (*(__global const some_x *)(p))
#else
#define XS_AT(p) CAT(XS_, CAT(LIE_, X))(FEW, p)
#endif
#define XS_plain(n, p) NUMBERS(n, *(__global const some_x *)(p))
#define XS_half(n, p) NUMBERS(n, CAT(vload_half, n)(0, p))
#define XS_bhalf(n, p) \
    NUMBERS(n, CAT(as_float, n)(CAT(convert_uint, n)(*(__global const some_x *)(p)) << 16))
#ifdef SAME_Y
#define YS_PUT(v, p) *(__global some_y *)(p) = (v)
#else
#define YS_PUT(v, p) CAT(YS_, CAT(LIE_, Y))(FEW, v, p)
#endif
#define YS_plain(n, v, p) *(__global some_y *)(p) = CAT(convert_, CAT(Y, n))(VALUES(n, v))
#define YS_half(n, v, p) CAT(CAT(vstore_half, n), _rte)(FLOATINGS(n, v), 0, p)
#define YS_bhalf(n, v, p) *(__global some_y *)(p) = to_bhalfs(CAT(convert_float, n)(VALUES(n, v)))
#endif

/* y = min(max(y, low), high), which keeps NaN. Of integers the bounds come with their signs turned
   round, as unsigned ones are compared. */
#ifdef SUM
#define SIGN ((SUM) - 1 < (SUM)1 ? (real)1 << (8 * sizeof(real) - 1) : (real)0)
#define CLAMP(v, low, high) (clamp((v) ^ SIGN, low, high) ^ SIGN)
#else
#define CLAMP(v, low, high) ((v) < (low) ? (low) : (v) > (high) ? (high) : (v))
#endif

/* What is added to y[i] before the bounds: add[i + away], where there is one. */
#define RESIDUAL(i) (add ? add[(i) + away] : 0)

/* The last arguments of kernels that write y: bias or NULL, residual or NULL and how far it lies
   from y, the bounds. REQUANTISED: sums become clip(round(sum * factor[k]) + zero) within bounds.
 */
#ifdef REQUANTISED
#define EPILOGUE                                                                                 \
    __global const real *restrict bias, __global const real *restrict add, long away, float low, \
        float high, __global const float *restrict factor, float zero_of_y
#define PASSED bias, add, away, low, high, factor, zero_of_y
#define ROUNDED(v, k, low, high) clamp(rint((v) * factor[k]) + zero_of_y, low, high)
#define STORE_Y(sum, k, p, i) (p)[i] = ROUNDED((float)(SUM)(sum), k, low, high)
#define STORE_YS(sums, k, p)                              \
    *(__global some_y *)(p) = CAT(convert_, CAT(Y, FEW))( \
        ROUNDED(CAT(convert_float, FEW)(VALUES(FEW, sums)), k, low, high))
#else
#define EPILOGUE                                                                                \
    __global const real *restrict bias, __global const real *restrict add, long away, real low, \
        real high
#define PASSED bias, add, away, low, high
#define STORE_Y(sum, k, p, i) Y_PUT(CLAMP(sum, low, high), p, i)
#define STORE_YS(sums, k, p) YS_PUT(CLAMP(sums, (CAT(REAL, FEW))(low), (CAT(REAL, FEW))(high)), p)
#endif

/* What a cell of the image stands for: `zero` in it is 0. */
#ifdef SUM
#define LESS(v) ((v) - zero)
#else
#define LESS(v) (v)
#endif
