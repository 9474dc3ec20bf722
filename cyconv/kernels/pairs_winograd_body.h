/* Winograd F(2 x 2, 3 x 3) on pairs of 16-bit integers, exact: with G' = 2 G all its matrices are
 * of whole numbers,
 *
 *     4 y = A^T ((G' g G'^T) . (B^T x B)) A
 *
 *     B^T = | 1  0 -1  0 |     G' = | 2  0  0 |     A^T = | 1  1  1  0 |
 *           | 0  1  1  0 |          | 1  1  1 |           | 0  1 -1 -1 |
 *           | 0 -1  1  0 |          | 1 -1  1 |
 *           | 0  1  0 -1 |          | 0  0  2 |
 *
 * and y is right modulo 2^30 where sums are modulo 2^32. */

INLINE void winograd_rows(const shorts *d, shorts *v) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
}

static void winograd_input(const void *const *rows, ptrdiff_t odd, ptrdiff_t tiles, void *V,
                           ptrdiff_t xi_stride) {
    real *to = V;
    for (ptrdiff_t t = 0; t < tiles; t += LANES, to += LANES) {
        shorts along[4][4]; /* [column of V][row of pixels] */
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            const real *even = (const real *)rows[i] + t;
            const shorts d[4] = {(shorts)load(even), (shorts)load(even + odd),
                                 (shorts)load(even + 1), (shorts)load(even + odd + 1)};
            shorts v[4];
            winograd_rows(d, v);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) along[j][i] = v[j];
        }
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            shorts v[4];
            winograd_rows(along[j], v);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) store(to + (4 * i + j) * xi_stride, (vec)v[i]);
        }
    }
}

static void winograd_output(const void *M, ptrdiff_t xi_stride, ptrdiff_t tiles, void *upper,
                            void *lower) {
    const real *m = M;
    real *rows[2] = {upper, lower};
    for (ptrdiff_t t = 0; t < tiles; t += LANES, m += LANES) {
        vec down[2][4]; /* [output row][column of M] */
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            vec c[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) c[i] = load(m + (4 * i + j) * xi_stride);
            down[0][j] = c[0] + c[1] + c[2];
            down[1][j] = c[1] - c[2] - c[3];
        }
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            const vec even = down[i][0] + down[i][1] + down[i][2];
            const vec odd = down[i][1] - down[i][2] - down[i][3];
            vec low, high;
            interleave((vec)((lane_mask)even >> 2), (vec)((lane_mask)odd >> 2), &low, &high);
            store(rows[i] + 2 * t, low);
            store(rows[i] + 2 * t + LANES, high);
        }
    }
}
