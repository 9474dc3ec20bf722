/* What ptx.cl's instructions compute, for drivers that have none of them.

   A copy is made when it is asked for, or with LATE when it is waited for: hardware may do either,
   so a kernel must be right with both. A work item's matrices are read by the others of its warp,
   between two barriers. */

#ifdef ASYNC
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define PTX_STATE                               \
    struct copy copies[SLOTS][MOST];            \
    uint counts[SLOTS], batch = 0, arrived = 0; \
    counts[0] = 0;                              \
    __local uint fragments[GROUP][6];
#define PTX_GIVES , fragments
#define PTX_TAKES , __local uint(*fragments)[6]

#define SLOTS 4 /* batches on their way at a time, and the one that is not closed */
#define MOST 24 /* copies of a batch */

struct copy {
    __local uchar *to;
    __global const uchar *from;
    uint bytes, given;
};

static void perform(struct copy copy) {
    const int misplaced = (size_t)copy.to % copy.bytes || (size_t)copy.from % copy.bytes;
    for (uint i = 0; i < copy.bytes; i++)
        copy.to[i] = misplaced ? 0xff : i < copy.given ? copy.from[i] : 0;
}

#ifdef LATE
#define ASYNC_COPY(target, source, size, part)                                       \
    copies[batch % SLOTS][min(counts[batch % SLOTS]++, MOST - 1u)] = (struct copy) { \
        (__local uchar *)(target), (__global const uchar *)(source), size, part      \
    }
#else
#define ASYNC_COPY(target, source, size, part) \
    perform((struct copy){(__local uchar *)(target), (__global const uchar *)(source), size, part})
#endif
#define ASYNC_BATCH() counts[++batch % SLOTS] = 0
#define ASYNC_WAIT(count)                                                   \
    for (; arrived + (count) < batch; arrived++)                            \
        for (uint i = 0; i < min(counts[arrived % SLOTS], (uint)MOST); i++) \
    perform(copies[arrived % SLOTS][i])

static double number(uint bits) { return as_float(bits & 0xffffe000); }

/* d = a b + c as NVIDIA's matrix units are known to add (Fasi, Higham, Mikaitis, Pranesh, Numerical
   behavior of NVIDIA tensor cores, 2021): terms are cut off one bit under the last one of the
   largest, and so is the sum, towards zero. */
static void multiply(float *d, __local const uint (*warp)[6], const float *c) {
    const uint lane = get_local_id(0) % 32;
    for (uint r = 0; r < 4; r++) {
        const uint row = lane / 4 + r / 2 * 8, column = lane % 4 * 2 + r % 2;
        double terms[9], largest = 0, sum = 0;
        terms[8] = c[r];
        for (uint k = 0; k < 8; k++)
            terms[k] = number(warp[row % 8 * 4 + k % 4][row / 8 + k / 4 * 2]) *
                       number(warp[column * 4 + k % 4][4 + k / 4]);
        for (uint k = 0; k < 9; k++) {
            sum += terms[k];
            largest = fmax(largest, fabs(terms[k]));
        }
        if (sum - sum == 0 && largest > 0) {
            const int last = ilogb(largest) - 24;
            sum = 0;
            for (uint k = 0; k < 9; k++) sum += ldexp(trunc(ldexp(terms[k], -last)), last);
            const int lowest = sum != 0 ? ilogb(sum) - 23 : 0;
            sum = ldexp(trunc(ldexp(sum, -lowest)), lowest);
        }
        d[r] = (float)sum;
    }
}

#define MULTIPLY(d, a, b, c)                                                               \
    {                                                                                      \
        __local uint *const mine = fragments[get_local_id(0)];                             \
        for (uint i = 0; i < 4; i++) mine[i] = (a)[i];                                     \
        mine[4] = (b)[0], mine[5] = (b)[1];                                                \
        barrier(CLK_LOCAL_MEM_FENCE);                                                      \
        multiply(d, (__local const uint(*)[6])(fragments + get_local_id(0) / 32 * 32), c); \
        barrier(CLK_LOCAL_MEM_FENCE);                                                      \
    }
/* Barriers in unrolled loops would be compiled each for itself. */
#undef UNROLL
#define UNROLL
#else
#define PTX_GIVES
#define PTX_TAKES
#endif
