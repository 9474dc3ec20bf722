/* Winograd's transforms, of LANES tiles at a time; implicit_gemm.cl multiplies in between.

   Ahead of this file come winograd_AT_M_3, winograd_G_M_3 and winograd_BT_M_3, written from their
   points. */

/* Outputs of a tile along one axis. */
#ifndef M
#define M 4
#endif
#define R 3
#define ALPHA (M + R - 1)
#define POINTS (ALPHA * ALPHA)

#define NAMED_(name, m) winograd_##name##_##m##_3
#define NAMED(name, m) NAMED_(name, m)

/* y (OUT x OUT) = F d F^T, d (IN x IN). */
#define SANDWICH(name, F, IN, OUT)                                         \
    static void name(const vec *d, vec *y) {                               \
        vec column[IN], image[OUT], half_way[IN * OUT];                    \
        for (int j = 0; j < IN; j++) {                                     \
            for (int i = 0; i < IN; i++) column[i] = d[i * IN + j];        \
            F(column, image);                                              \
            for (int i = 0; i < OUT; i++) half_way[i * IN + j] = image[i]; \
        }                                                                  \
        for (int i = 0; i < OUT; i++) F(half_way + i * IN, y + i * OUT);   \
    }

SANDWICH(of_weights, NAMED(G, M), R, ALPHA)
SANDWICH(of_input, NAMED(BT, M), ALPHA, ALPHA)
SANDWICH(of_output, NAMED(AT, M), ALPHA, M)

/* u[point, i] = (G w[i] G^T)[point] for `count` kernels i. */
__kernel void transform_weights(__global const real *restrict w, __global real *restrict u,
                                long count) {
    const long first = get_global_id(0) * LANES;
    vec taps[R * R], points[POINTS];
    for (int l = 0; l < LANES; l++)
        for (int i = 0; i < R * R; i++)
            ((real *)taps)[i * LANES + l] = w[min(first + l, count - 1) * R * R + i];
    of_weights(taps, points);
    for (int l = 0; l < LANES && first + l < count; l++)
        for (int i = 0; i < POINTS; i++)
            u[i * count + first + l] = ((const real *)points)[i * LANES + l];
}

/* ALIGNED: on a GPU, for M = 4, rows of x that are padded by one cell, or rows of y, are whole
   numbers of four cells, which lie at multiples of 16 bytes and are read and written at once. */
#ifdef ALIGNED
typedef CAT(REAL, 4) quad;

/* Six cells of a row of `length` from column w on, one before a multiple of four. */
INLINE void read_row(__global const real *at, long w, long length, real *row) {
    const quad four = w + 1 < length ? *(__global const quad *)(at + 1) : (quad)(0);
    row[0] = w >= 0 && w < length ? at[0] : 0;
    row[1] = four.s0, row[2] = four.s1, row[3] = four.s2, row[4] = four.s3;
    row[5] = w + 5 < length ? at[5] : 0;
}
#endif

/* v[point, c, t] = (B^T d B)[point] of tile `first + t` of plane c, tiles counted over all images.
   xs: strides (n, c, d, h, w), offset. in: H, W, padding above and left. tiles: down, across, the
   first, how many, and how many v has room for. */
__kernel void transform_input(__global const X *restrict x, __global real *restrict v, long8 xs,
                              long8 in, long8 tiles) {
    const long block = get_global_id(0) * LANES, c = get_global_id(1);
    const long planes = get_global_size(1);
    vec cells[POINTS], points[POINTS];
    if (block >= tiles.s4) return;
    for (int l = 0; l < LANES; l++) {
        real *lane = (real *)cells + l;
        const uint tile = tiles.s2 + block + l, down = tiles.s0, across = tiles.s1;
        const uint line = tile / across, n = line / down;
        const long h = (long)(MOD(line, down) * M) - in.s2;
        const long w = (long)(MOD(tile, across) * M) - in.s3;
        __global const X *at = x + xs.s5 + n * xs.s0 + c * xs.s1 + h * xs.s3 + w * xs.s4;
#ifdef ALIGNED
        UNROLL for (int i = 0; i < ALPHA; i++) {
            const int inside = block < tiles.s3 && h + i >= 0 && h + i < in.s0;
            read_row(at + i * xs.s3, w, inside ? in.s1 : 0, lane + i * ALPHA);
        }
#else
        if (block + l >= tiles.s3)
            for (int i = 0; i < POINTS; i++) lane[i * LANES] = 0;
        else if (h >= 0 && w >= 0 && h + ALPHA <= in.s0 && w + ALPHA <= in.s1)
            for (int i = 0; i < ALPHA; i++)
                for (int j = 0; j < ALPHA; j++)
                    lane[(i * ALPHA + j) * LANES] = X_AT(at, i * xs.s3 + j * xs.s4);
        else
            for (int i = 0; i < ALPHA; i++)
                for (int j = 0; j < ALPHA; j++) {
                    const int inside = h + i >= 0 && h + i < in.s0 && w + j >= 0 && w + j < in.s1;
                    lane[(i * ALPHA + j) * LANES] = inside ? X_AT(at, i * xs.s3 + j * xs.s4) : 0;
                }
#endif
    }
    of_input(cells, points);
    v += c * tiles.s4 + block;
    for (int i = 0; i < POINTS; i++) STORE(points[i], v + i * planes * tiles.s4);
}

/* The defining sum of one output: for one that the transforms made infinite or NaN. */
static real defined(__global const X *x, __global const real *w, long8 xs, long8 in, long p,
                    long q) {
    real sum = 0;
    for (long c = 0; c < in.s4; c++)
        for (long r = 0; r < R; r++)
            for (long s = 0; s < R; s++, w++) {
                const long h = p + r - in.s2, i = q + s - in.s3;
                const int inside = h >= 0 && h < in.s0 && i >= 0 && i < in.s1;
                sum += *w * (inside ? X_AT(x, c * xs.s1 + h * xs.s3 + i * xs.s4) : 0);
            }
    return sum;
}

/* y = clamp(A^T m A + bias + residual) of the tiles of filter k. ys: strides (n, k, d, h, w),
   offset. in: as above, then channels of a group. out: sizes of y, filters of a group. offset: of
   m. */
__kernel void transform_output(__global const real *restrict m, __global Y *restrict y, long8 ys,
                               long8 out, long8 tiles, __global const X *restrict x,
                               __global const real *restrict w, long8 xs, long8 in, long offset,
                               EPILOGUE) {
    const long block = get_global_id(0) * LANES, k = get_global_id(1);
    const long filters = get_global_size(1);
    vec points[POINTS], outputs[M * M];
    if (block >= tiles.s3) return;
    m += offset + k * tiles.s4 + block;
    for (int i = 0; i < POINTS; i++) points[i] = LOAD(m + i * filters * tiles.s4);
    of_output(points, outputs);
    const real shift = bias ? bias[k] : 0;
    w += k * in.s4 * R * R;
    for (int l = 0; l < LANES && block + l < tiles.s3; l++) {
        const real *lane = (const real *)outputs + l;
        const uint tile = tiles.s2 + block + l, down = tiles.s0, across = tiles.s1;
        const uint line = tile / across, n = line / down;
        const long p = MOD(line, down) * M, q = MOD(tile, across) * M;
        const long first = ys.s5 + n * ys.s0 + k * ys.s1 + p * ys.s3 + q * ys.s4;
        uint repaired = 0; /* outputs that the transforms made infinite or NaN, a bit each */
#ifdef ALIGNED
        UNROLL for (int i = 0; i < M; i++) if (p + i < out.s0) {
            const quad sum = *(const quad *)(lane + i * M);
            const long at = first + i * ys.s3;
            quad value = sum + (quad)(shift);
            value += add ? *(__global const quad *)(add + at + away) : (quad)(0);
            *(__global quad *)(y + at) = CLAMP(value, (quad)(low), (quad)(high));
            UNROLL for (int j = 0; j < M; j++) if (!(lane[i * M + j] - lane[i * M + j] == 0))
                repaired |= 1u << (i * M + j);
        }
#else
        UNROLL for (int i = 0; i < M; i++) UNROLL for (int j = 0; j < M; j++) {
            const real sum = lane[(i * M + j) * LANES];
            if (p + i < out.s0 && q + j < out.s1) {
                const long at = first + i * ys.s3 + j * ys.s4;
                const real value = sum + shift + RESIDUAL(at);
                STORE_Y(value, k, y, at);
                if (!(sum - sum == 0)) repaired |= 1u << (i * M + j);
            }
        }
#endif
        for (int i = 0; repaired; i++, repaired >>= 1)
            if (repaired & 1) {
                const long at = first + i / M * ys.s3 + i % M * ys.s4;
                const real sum = defined(x + xs.s5 + n * xs.s0 + k / (uint)out.s2 * in.s4 * xs.s1,
                                         w, xs, in, p + i / M, q + i % M);
                const real value = sum + shift + RESIDUAL(at);
                STORE_Y(value, k, y, at);
            }
    }
}
