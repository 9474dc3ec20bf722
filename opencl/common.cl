/* What every kernel shares: the type of sums, and vectors at any address. */

#ifdef DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define REAL double
#endif
#ifndef REAL
#define REAL float
#endif
typedef REAL real;

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

/* a mod b from the quotient, which is wanted too. */
#define MOD(a, b) ((a) - (a) / (b) * (b))

/* On a GPU what a loop indexes must be registers: a CPU's compiler decides for itself. */
#ifdef CPU
#define UNROLL
#else
#define UNROLL _Pragma("unroll")
#endif
