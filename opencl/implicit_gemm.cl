/* Implicit GEMM: y[k, i] = sum over t of w[k, t] x[i + offset[t]], positions i of whole planes.

   On a CPU a work item holds a register tile, FILTERS rows of VECTORS vectors of positions, and
   reads memory itself: its caches do what local memory does on a GPU. There a group computes a tile
   of TILE_K filters x TILE_P positions from chunks of TILE_T taps in local memory, the next chunk
   on its way in registers while one is multiplied, THREAD_K x THREAD_P to a work item. */

/* Rows of a CPU's register tile: 4, 6 or 8. */
#ifndef FILTERS
#define FILTERS 6
#endif
/* Vectors in a row: 1, 2 or 3. FILTERS * VECTORS sums, VECTORS cells and a weight are registers. */
#ifndef VECTORS
#define VECTORS 2
#endif
#define WIDTH (VECTORS * LANES)

/* Filters of a GPU's tile: larger ones read the image less often. */
#ifndef TILE_K
#define TILE_K 128
#endif
/* Positions of it: larger ones read the weights less often. */
#ifndef TILE_P
#define TILE_P 128
#endif
/* Taps of a chunk; two chunks are in local memory, 2 TILE_T (TILE_K + TILE_P) elements. */
#ifndef TILE_T
#define TILE_T 8
#endif
/* Filters of one work item: THREAD_K * THREAD_P sums are in its registers. */
#ifndef THREAD_K
#define THREAD_K 8
#endif
/* Positions of one work item; (TILE_K / THREAD_K) * (TILE_P / THREAD_P) of them are a group. */
#ifndef THREAD_P
#define THREAD_P 8
#endif
/* Elements read from local memory at a time: 1, 2 or 4. */
#ifndef PACK
#define PACK 4
#endif

/* Where position i of the planes lies in y, or NOWHERE if it is no output; y may run backwards.
   out: sizes of y (d, h, w). pitch: positions to the next slice and row. */
#define NOWHERE LONG_MIN
long place(uint i, long8 out, long8 pitch, long8 ys) {
    const uint slice = pitch.s0, row = pitch.s1; /* 32 bits: a quotient of 64 is slow on GPUs */
    const uint z = i / slice, rest = MOD(i, slice);
    const uint p = rest / row, q = MOD(rest, row);
    return p < out.s1 && q < out.s2 ? z * ys.s2 + p * ys.s3 + q * ys.s4 : NOWHERE;
}

#if FILTERS == 8
#define ROWS(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#elif FILTERS == 6
#define ROWS(F) F(0) F(1) F(2) F(3) F(4) F(5)
#else
#define ROWS(F) F(0) F(1) F(2) F(3)
#endif
#if VECTORS == 3
#define COLUMNS(F, m) F(m, 0) F(m, 1) F(m, 2)
#elif VECTORS == 2
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
#define LEAVE(m, v)                                                                    \
    {                                                                                  \
        const VEC residual = add ? LOAD(add + to + v * LANES + away) : (VEC)(0);       \
        STORE(CLAMP_VEC(sum##m##_##v + shift + residual), y + to + v * LANES);         \
    }
#define LEAVE_ROW(m)                                     \
    if (m < rows) {                                      \
        const VEC shift = (VEC)(bias ? bias[k + m] : 0); \
        const long to = first + at + m * ys.s1;          \
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
                            __global const real *restrict bias, __global const real *restrict add,
                            long away, real low, real high) {
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
    const long first = ys.s5 + n * ys.s0 + k * ys.s1;
    for (long t = 0; t < taps; t++, w += FILTERS) {
        __global const real *at = x + offset[t];
        COLUMNS(FETCH, 0)
        ROWS(ADD_ROW)
    }

    const uint q = (uint)i % (uint)pitch.s0 % (uint)pitch.s1;
    if (i == begin && i + WIDTH <= size.s0 && q + WIDTH <= out.s2 && ys.s4 == 1) {
        const long at = place(i, out, pitch, ys);
        if (at != NOWHERE) {
            ROWS(LEAVE_ROW)
        }
        return;
    }
    VEC aligned[FILTERS * VECTORS];
    real *sums = (real *)aligned;
    ROWS(KEEP_ROW)
    for (long j = begin - i; j < WIDTH && i + j < size.s0; j++) {
        const long at = place(i + j, out, pitch, ys);
        if (at != NOWHERE)
            for (long m = 0; m < rows; m++) {
                const long to = first + at + m * ys.s1;
                const real value =
                    sums[m * WIDTH + j] + (bias ? bias[k + m] : 0) + RESIDUAL(to);
                y[to] = CLAMP(value, low, high);
            }
    }
}

#if PACK == 1
#define PACKED real
#else
#define PACKED CAT(REAL, PACK)
#endif
#define ACROSS (TILE_P / THREAD_P)
#define DOWN (TILE_K / THREAD_K)
#define GROUP (ACROSS * DOWN)
/* What one work item brings of a chunk. */
#define WEIGHTS ((TILE_T * TILE_K + GROUP - 1) / GROUP)
#define CELLS ((TILE_T * TILE_P + GROUP - 1) / GROUP)
/* Row or column i of a work item: PACK neighbours, the next ones as far as the group is wide. */
#define SPREAD(i, own, all) ((i) / PACK * PACK * (all) + (own) * PACK + (i) % PACK)

/* Elements of the chunk that begins at tap t0, zero from the last tap on. */
static void bring(real *weights, real *cells, __global const real *x, __global const real *w,
                  __global const int *offset, uint t0, uint taps, uint begin, uint last) {
    const uint id = get_local_id(0);
#pragma unroll
    for (uint j = 0; j < WEIGHTS; j++) {
        const uint i = id + j * GROUP, inside = i < TILE_T * TILE_K && t0 + i / TILE_K < taps;
        weights[j] = inside ? w[(long)t0 * TILE_K + i] : 0;
    }
#pragma unroll
    for (uint j = 0; j < CELLS; j++) {
        const uint i = id + j * GROUP, t = t0 + i / TILE_P;
        const int inside = i < TILE_T * TILE_P && t < taps;
        cells[j] = inside ? x[offset[t] + min(begin + i % TILE_P, last)] : 0;
    }
}

/* They become part of a chunk in local memory. */
static void put(const real *weights, const real *cells, __local real *panel, __local real *plane) {
    const uint id = get_local_id(0);
#pragma unroll
    for (uint j = 0; j < WEIGHTS; j++)
        if (id + j * GROUP < TILE_T * TILE_K) panel[id + j * GROUP] = weights[j];
#pragma unroll
    for (uint j = 0; j < CELLS; j++)
        if (id + j * GROUP < TILE_T * TILE_P) plane[id + j * GROUP] = cells[j];
}

/* The same by tiles in local memory; w: (group, block of TILE_K, tap, TILE_K). */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
multiply_tiles(__global const real *restrict x, __global const real *restrict w,
               __global const int *restrict offset, __global real *restrict y, long8 xs, long8 ys,
               long8 size, long8 out, long8 pitch, __global const real *restrict bias,
               __global const real *restrict add, long away, real low, real high) {
    __local PACKED panels[2][TILE_T * DOWN * THREAD_K / PACK];
    __local PACKED planes[2][TILE_T * ACROSS * THREAD_P / PACK];
    const uint id = get_local_id(0), across = id % ACROSS, down = id / ACROSS;
    const uint begin = get_group_id(0) * TILE_P, last = size.s0 - 1, taps = size.s1;
    const long block = get_group_id(1), filters = size.s2;
    const long g = MOD((long)get_group_id(2), size.s3), n = get_group_id(2) / size.s3;
    PACKED sums[THREAD_K][THREAD_P / PACK];
    real weights[WEIGHTS], cells[CELLS];
    int now = 0;
#pragma unroll
    for (uint m = 0; m < THREAD_K; m++)
#pragma unroll
        for (uint v = 0; v < THREAD_P / PACK; v++) sums[m][v] = 0;

    x += xs.s2 + n * xs.s0 + g * xs.s1;
    w += (g * ((filters + TILE_K - 1) / TILE_K) + block) * taps * TILE_K;
    bring(weights, cells, x, w, offset, 0, taps, begin, last);
    put(weights, cells, (__local real *)panels[0], (__local real *)planes[0]);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint t0 = 0; t0 < taps; t0 += TILE_T) {
        const int more = t0 + TILE_T < taps;
        if (more) bring(weights, cells, x, w, offset, t0 + TILE_T, taps, begin, last);
#pragma unroll
        for (uint t = 0; t < TILE_T; t++) {
            PACKED row[THREAD_K / PACK], column[THREAD_P / PACK];
#pragma unroll
            for (uint m = 0; m < THREAD_K / PACK; m++)
                row[m] = panels[now][t * TILE_K / PACK + m * DOWN + down];
#pragma unroll
            for (uint v = 0; v < THREAD_P / PACK; v++)
                column[v] = planes[now][t * TILE_P / PACK + v * ACROSS + across];
#pragma unroll
            for (uint m = 0; m < THREAD_K; m++)
#pragma unroll
                for (uint v = 0; v < THREAD_P / PACK; v++)
                    sums[m][v] += ((const real *)row)[m] * column[v];
        }
        now = 1 - now;
        if (more) put(weights, cells, (__local real *)panels[now], (__local real *)planes[now]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    const long first = ys.s5 + n * ys.s0;
    for (uint v = 0; v < THREAD_P; v++) {
        const uint i = begin + SPREAD(v, across, ACROSS);
        const long at = i <= last ? place(i, out, pitch, ys) : NOWHERE;
        if (at == NOWHERE) continue;
        for (uint m = 0; m < THREAD_K; m++) {
            const long row = block * TILE_K + SPREAD(m, down, DOWN), k = g * filters + row;
            if (row < filters) {
                const long to = first + k * ys.s1 + at;
                const real value =
                    ((const real *)sums[m])[v] + (bias ? bias[k] : 0) + RESIDUAL(to);
                y[to] = CLAMP(value, low, high);
            }
        }
    }
}
