/* Implicit GEMM: y[k, i] = sum over t of w[k, t] x[i + offset[t]], positions i of whole planes.

   On a CPU a work item holds a register tile, FILTERS rows of VECTORS vectors of positions, and
   reads memory itself: its caches do what local memory does on a GPU. There a group computes a tile
   of TILE_K x TILE_P from panels of TILE_T taps in local memory, THREAD_K x THREAD_P to a work
   item. */

/* Register tile of a CPU's work item: 4 or 6 rows, 1 or 2 vectors. */
#ifndef FILTERS
#define FILTERS 6
#endif
#ifndef VECTORS
#define VECTORS 2
#endif
#define WIDTH (VECTORS * LANES)

/* Tile of a GPU's group; (TILE_K / THREAD_K) * (TILE_P / THREAD_P) work items. */
#ifndef TILE_K
#define TILE_K 64
#endif
#ifndef TILE_P
#define TILE_P 64
#endif
#ifndef TILE_T
#define TILE_T 16
#endif
#ifndef THREAD_K
#define THREAD_K 4
#endif
#ifndef THREAD_P
#define THREAD_P 4
#endif

/* Where position i of the planes lies in y, or -1 if it is no output.
   out: sizes of y (d, h, w). pitch: positions to the next slice and row. */
long place(long i, long8 out, long8 pitch, long8 ys) {
    const long z = i / pitch.s0, rest = MOD(i, pitch.s0);
    const long p = rest / pitch.s1, q = MOD(rest, pitch.s1);
    return p < out.s1 && q < out.s2 ? z * ys.s2 + p * ys.s3 + q * ys.s4 : -1;
}

#if FILTERS == 6
#define ROWS(F) F(0) F(1) F(2) F(3) F(4) F(5)
#elif FILTERS == 4
#define ROWS(F) F(0) F(1) F(2) F(3)
#else
#define ROWS(F) F(0)
#endif
#if VECTORS == 2
#define COLUMNS(F, m) F(m, 0) F(m, 1)
#else
#define COLUMNS(F, m) F(m, 0)
#endif

#define ZERO(m, v) VEC sum##m##_##v = (VEC)(0);
#define ZERO_ROW(m) COLUMNS(ZERO, m)
#define FETCH(m, v) const VEC cells##v = LOAD(at + v * LANES);
#define ADD(m, v) sum##m##_##v += weight * cells##v;
#define ADD_ROW(m)                      \
    {                                   \
        const VEC weight = (VEC)(w[m]); \
        COLUMNS(ADD, m)                 \
    }
#define LEAVE(m, v) STORE(CLAMP_VEC(sum##m##_##v + shift), to + v * LANES);
#define LEAVE_ROW(m)                                     \
    if (m < rows) {                                      \
        const VEC shift = (VEC)(bias ? bias[k + m] : 0); \
        __global real *to = y + at + m * ys.s1;          \
        COLUMNS(LEAVE, m)                                \
    }
#define CLAMP_VEC(v) CLAMP(v, (VEC)(low), (VEC)(high))
#define KEEP(m, v) *(VEC *)(sums + (m * VECTORS + v) * LANES) = sum##m##_##v;
#define KEEP_ROW(m) COLUMNS(KEEP, m)

/* xs: elements to the next image and group, offset. ys: strides (n, k, d, h, w), offset.
   size: positions, taps, filters of a group, groups; whether a filter's blocks come first.
   w: (group, block of FILTERS, tap, FILTERS). */
__kernel void multiply_rows(__global const real *restrict x, __global const real *restrict w,
                            __global const int *restrict offset, __global real *restrict y,
                            long8 xs, long8 ys, long8 size, long8 out, long8 pitch,
                            __global const real *restrict bias, real low, real high) {
    const long block = get_global_id(size.s4), column = get_global_id(1 - size.s4);
    const long g = MOD((long)get_global_id(2), size.s3), n = get_global_id(2) / size.s3;
    const long taps = size.s1, filters = size.s2;
    const long rows = min((long)FILTERS, filters - block * FILTERS);
    const long k = g * filters + block * FILTERS;
    const long begin = column * WIDTH;
    /* The last tile begins early, so as not to read beyond the planes, and leaves out what it has
       in common with the one before. */
    const long i = max(0L, min(begin, size.s0 - WIDTH));
    ROWS(ZERO_ROW)

    x += xs.s2 + n * xs.s0 + g * xs.s1 + i;
    w += (g * ((filters + FILTERS - 1) / FILTERS) + block) * taps * FILTERS;
    y += ys.s5 + n * ys.s0 + k * ys.s1;
    for (long t = 0; t < taps; t++, w += FILTERS) {
        __global const real *at = x + offset[t];
        COLUMNS(FETCH, 0)
        ROWS(ADD_ROW)
    }

    const long q = i % pitch.s0 % pitch.s1;
    if (i == begin && i + WIDTH <= size.s0 && q + WIDTH <= out.s2 && ys.s4 == 1) {
        const long at = place(i, out, pitch, ys);
        if (at >= 0) {
            ROWS(LEAVE_ROW)
        }
        return;
    }
    VEC aligned[FILTERS * VECTORS];
    real *sums = (real *)aligned;
    ROWS(KEEP_ROW)
    for (long j = begin - i; j < WIDTH && i + j < size.s0; j++) {
        const long at = place(i + j, out, pitch, ys);
        if (at >= 0)
            for (long m = 0; m < rows; m++) {
                const real value = sums[m * WIDTH + j] + (bias ? bias[k + m] : 0);
                y[at + m * ys.s1] = CLAMP(value, low, high);
            }
    }
}

#define ACROSS (TILE_P / THREAD_P)
#define DOWN (TILE_K / THREAD_K)
#define GROUP (ACROSS * DOWN)

/* The same by tiles in local memory; w: (group, block of TILE_K, tap, TILE_K). */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
multiply_tiles(__global const real *restrict x, __global const real *restrict w,
               __global const int *restrict offset, __global real *restrict y, long8 xs, long8 ys,
               long8 size, long8 out, long8 pitch, __global const real *restrict bias, real low,
               real high) {
    __local real panel[TILE_T][TILE_K], cells[TILE_T][TILE_P];
    const uint id = get_local_id(0), across = id % ACROSS, down = id / ACROSS;
    const long begin = get_group_id(0) * (long)TILE_P, block = get_group_id(1);
    const long g = MOD((long)get_group_id(2), size.s3), n = get_group_id(2) / size.s3;
    const long taps = size.s1, filters = size.s2, last = size.s0 - 1;
    real sums[THREAD_K][THREAD_P];
    for (int m = 0; m < THREAD_K; m++)
        for (int v = 0; v < THREAD_P; v++) sums[m][v] = 0;

    x += xs.s2 + n * xs.s0 + g * xs.s1;
    w += (g * ((filters + TILE_K - 1) / TILE_K) + block) * taps * TILE_K;
    for (long t0 = 0; t0 < taps; t0 += TILE_T) {
        for (uint i = id; i < TILE_T * TILE_K; i += GROUP)
            panel[i / TILE_K][i % TILE_K] = t0 + i / TILE_K < taps ? w[t0 * TILE_K + i] : 0;
        for (uint i = id; i < TILE_T * TILE_P; i += GROUP) {
            const long t = t0 + i / TILE_P;
            cells[i / TILE_P][i % TILE_P] =
                t < taps ? x[offset[t] + min(begin + i % TILE_P, last)] : 0;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int t = 0; t < TILE_T; t++) {
            real weights[THREAD_K], values[THREAD_P];
#pragma unroll
            for (int m = 0; m < THREAD_K; m++) weights[m] = panel[t][down * THREAD_K + m];
#pragma unroll
            for (int v = 0; v < THREAD_P; v++) values[v] = cells[t][across + v * ACROSS];
#pragma unroll
            for (int m = 0; m < THREAD_K; m++)
#pragma unroll
                for (int v = 0; v < THREAD_P; v++) sums[m][v] += weights[m] * values[v];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    for (int v = 0; v < THREAD_P; v++) {
        const long i = begin + across + v * ACROSS;
        const long at = i <= last ? place(i, out, pitch, ys) : -1;
        for (int m = 0; m < THREAD_K; m++) {
            const long row = block * TILE_K + down * THREAD_K + m, k = g * filters + row;
            if (at >= 0 && row < filters) {
                const real value = sums[m][v] + (bias ? bias[k] : 0);
                y[ys.s5 + n * ys.s0 + k * ys.s1 + at] = CLAMP(value, low, high);
            }
        }
    }
}
