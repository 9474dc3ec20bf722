/* Layers of narrow maps, with neighbouring filters in the lanes: a row of seven outputs leaves
 * lanes of a vector empty, and a group of eight filters fills its second register tile by a third.
 *
 * A tile is one to three vectors of filters x some pixels, counted flat over the rows; of each tap
 * it loads the vectors of weights and broadcasts each pixel's cell of the strip. Blocks of sums are
 * transposed to rows of pixels. */
#include "geometry.h"
#include "simd.h"

enum { FILTERS_VECTORS = 3, FILTERS_BLOCK = 48, FILTERS_MOST = 8 }; /* whole tiles and vectors */

INLINE void filters_tile(const int v, const int pixels, ptrdiff_t taps, const real *w,
                         const real *const *from, const ptrdiff_t *offset, real *sums) {
    vec sum[FILTERS_MOST][FILTERS_VECTORS];
    const real *x[FILTERS_MOST];
#pragma GCC unroll 8
    for (int j = 0; j < pixels; j++) {
        x[j] = from[j];
#pragma GCC unroll 3
        for (int k = 0; k < v; k++) sum[j][k] = (vec){0};
    }
    for (ptrdiff_t t = 0; t < taps; t++, w += v * LANES) {
        const ptrdiff_t at = offset[t];
        vec tap[FILTERS_VECTORS];
#pragma GCC unroll 3
        for (int k = 0; k < v; k++) tap[k] = load(w + k * LANES);
#pragma GCC unroll 8
        for (int j = 0; j < pixels; j++) {
            const vec value = splat(x[j][at]);
#pragma GCC unroll 3
            for (int k = 0; k < v; k++) sum[j][k] = multiply_add(tap[k], value, sum[j][k]);
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < pixels; j++)
#pragma GCC unroll 3
        for (int k = 0; k < v; k++) store(sums + (j * v + k) * LANES, sum[j][k]);
}

static void filters_one(ptrdiff_t taps, const real *w, const real *const *x,
                        const ptrdiff_t *offset, real *sums) {
    filters_tile(1, 8, taps, w, x, offset, sums);
}

static void filters_two(ptrdiff_t taps, const real *w, const real *const *x,
                        const ptrdiff_t *offset, real *sums) {
    filters_tile(2, 6, taps, w, x, offset, sums);
}

static void filters_three(ptrdiff_t taps, const real *w, const real *const *x,
                          const ptrdiff_t *offset, real *sums) {
    filters_tile(3, 4, taps, w, x, offset, sums);
}

/* Sums [pixel][filter] of n pixels as rows of pixels, on those that are there if `accumulate`,
 * through the epilogue. */
INLINE void filters_store(ptrdiff_t v, const real *sums, ptrdiff_t n, real *y, ptrdiff_t y_k,
                          int accumulate, const epilogue_t *e, ptrdiff_t filter) {
    for (ptrdiff_t i = 0; i < n; i += LANES)
        for (ptrdiff_t k = 0; k < v; k++) {
            const ptrdiff_t count = n - i < LANES ? n - i : LANES;
            vec block[LANES];
            for (int l = 0; l < LANES; l++) block[l] = load(sums + ((i + l) * v + k) * LANES);
            transpose(block);
            for (int l = 0; l < LANES; l++) {
                real *to = y + (k * LANES + l) * y_k + i;
                store_vec(count, block[l], to, accumulate, e, filter + k * LANES + l);
            }
        }
}

static void filters_in_lanes(ptrdiff_t v, ptrdiff_t m, ptrdiff_t rows, ptrdiff_t columns,
                             ptrdiff_t taps, const void *weights, const void *strip, ptrdiff_t row,
                             const ptrdiff_t *offset, void *y, ptrdiff_t y_k, int accumulate,
                             const epilogue_t *epilogue) {
    static void (*const tiles[])(ptrdiff_t, const real *, const real *const *, const ptrdiff_t *,
                                 real *) = {NULL, filters_one, filters_two, filters_three};
    static const int pixels[] = {0, 8, 6, 4};
    const epilogue_t *e = epilogue_acts(epilogue) ? epilogue : NULL;
    const ptrdiff_t all = rows * columns;
    const real *x[FILTERS_BLOCK + FILTERS_MOST]; /* past the last pixel it stands again */
    real sums[(FILTERS_BLOCK + LANES) * FILTERS_VECTORS * LANES];
    for (ptrdiff_t i = 0; i < all; i += FILTERS_BLOCK) {
        const ptrdiff_t n = all - i < FILTERS_BLOCK ? all - i : FILTERS_BLOCK;
        ptrdiff_t p = i / columns, q = i % columns;
        for (ptrdiff_t j = 0; j < FILTERS_BLOCK + FILTERS_MOST; j++) {
            x[j] = (const real *)strip + p * row + q;
            if (i + j + 1 < all && ++q == columns) p++, q = 0;
        }
        for (ptrdiff_t f = 0; f < m; f += v * LANES) {
            const real *w = (const real *)weights + f * taps;
            const ptrdiff_t step = pixels[v];
            ptrdiff_t j = 0;
            for (; j < n; j += step) tiles[v](taps, w, x + j, offset, sums + j * v * LANES);
            for (; j % LANES; j++) /* pixels of which nothing is stored */
                zero_row(sums + j * v * LANES, v * LANES);
            filters_store(v, sums, n, (real *)y + f * y_k + i, y_k, accumulate, e, f);
        }
    }
}
