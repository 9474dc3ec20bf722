/* What every kernel shares: the element type, and vectors at any address. */

#ifdef DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
typedef double real;
#define REAL double
#else
typedef float real;
#define REAL float
#endif

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)

/* Lanes of the vectors that a work item computes with: 1, 2, 4, 8 or 16. */
#ifndef LANES
#define LANES 8
#endif
#if LANES == 1
#define VEC real
#else
#define VEC CAT(REAL, LANES)
#endif
typedef VEC vec;
#define INLINE static inline

/* vloadN is a call in some CPU drivers; a pointer to vectors aligned like their elements is not. */
#ifdef CPU
typedef VEC unaligned __attribute__((aligned(sizeof(real))));
#define LOAD(p) (*(__global const unaligned *)(p))
#define STORE(v, p) (*(__global unaligned *)(p) = (v))
#elif LANES == 1
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#else
#define LOAD(p) CAT(vload, LANES)(0, p)
#define STORE(v, p) CAT(vstore, LANES)(v, 0, p)
#endif

/* y = min(max(y, low), high), which keeps NaN. */
#define CLAMP(v, low, high) ((v) < (low) ? (low) : (v) > (high) ? (high) : (v))

/* What is added to y[i] before the bounds: add[i + away], where there is one. */
#define RESIDUAL(i) (add ? add[(i) + away] : 0)

/* a mod b from the quotient, which is wanted too. */
#define MOD(a, b) ((a) - (a) / (b) * (b))

/* On a GPU what a loop indexes must be registers: a CPU's compiler decides for itself. */
#ifdef CPU
#define UNROLL
#else
#define UNROLL _Pragma("unroll")
#endif
