/* Winograd F(m x m, r x r): the transforms of weights, input tiles and output tiles, a vector of
 * LANES neighbouring tiles (or filters) at a time. The 1-D transforms are generated; the 2-D ones
 * apply them to columns, then to rows. */
#include "winograd_transforms.h"

/* tiles[j] = element j of LANES tiles that start m apart: tiles[j][l] = x[l * m + j], j < alpha.
 * Reads (LANES + (alpha - 1) / m) * m elements. */
INLINE void split_tiles(const int m, const int alpha, const real *x, vec *tiles) {
    for (int j = 0; j < alpha; j += m) {
        const real *from = x + j; /* j is a multiple of m: the same split, j elements further */
        const int left = alpha - j < m ? alpha - j : m;
        if (m == 2) {
            const vec a = load(from), b = load(from + LANES);
            tiles[j] = evens(a, b);
            if (left > 1) tiles[j + 1] = odds(a, b);
        } else {
            for (int i = 0; i < left; i++) {
                real lane[LANES];
                for (int l = 0; l < LANES; l++) lane[l] = from[l * m + i];
                tiles[j + i] = load(lane);
            }
        }
    }
}

/* The inverse for outputs: y[l * m + j] = tiles[j][l]. */
INLINE void join_tiles(const int m, const vec *tiles, real *y) {
    if (m == 2) {
        store(y, interleave_low(tiles[0], tiles[1]));
        store(y + LANES, interleave_high(tiles[0], tiles[1]));
    } else {
        for (int l = 0; l < LANES; l++)
            for (int j = 0; j < m; j++) y[l * m + j] = tiles[j][l];
    }
}

typedef void transform(const vec *in, vec *out);

/* out (rows x rows) = T in T^T for in (columns x columns), T of shape (rows, columns). */
INLINE void transform_2d(transform T, const int rows, const int columns, const vec *in, vec *out) {
    vec half[64], column[8];
    for (int j = 0; j < columns; j++) {
        vec result[8];
        for (int i = 0; i < columns; i++) column[i] = in[i * columns + j];
        T(column, result);
        for (int i = 0; i < rows; i++) half[i * columns + j] = result[i];
    }
    for (int i = 0; i < rows; i++) T(half + i * columns, out + i * rows);
}

INLINE void winograd_weights(const int m, const int r, transform G, const real *w, ptrdiff_t rows,
                             ptrdiff_t D, real *U, ptrdiff_t xi_stride) {
    const int alpha = m + r - 1;
    for (ptrdiff_t d = 0; d < D; d++, w += r * r, U += rows)
        for (ptrdiff_t i0 = 0; i0 < rows; i0 += LANES) {
            real filters[9 * LANES] = {0};
            vec taps[9], out[64];
            for (int l = 0; l < LANES && i0 + l < rows; l++)
                for (int t = 0; t < r * r; t++)
                    filters[t * LANES + l] = w[(i0 + l) * D * r * r + t];
            for (int t = 0; t < r * r; t++) taps[t] = load(filters + t * LANES);
            transform_2d(G, alpha, r, taps, out);
            for (int xi = 0; xi < alpha * alpha; xi++) store(U + xi * xi_stride + i0, out[xi]);
        }
}

INLINE void winograd_input(const int m, const int r, transform BT, const geometry_t *g,
                           const real *plane, ptrdiff_t row, ptrdiff_t column, ptrdiff_t tiles,
                           real *V, ptrdiff_t xi_stride) {
    const int alpha = m + r - 1;
    enum { SPAN = (LANES + 3) * 8 };
    const int span = (LANES + (alpha - 1) / m) * m;
    const ptrdiff_t h0 = row * m - g->h.pad;
    real edge[8 * SPAN];
    for (ptrdiff_t t = 0; t < tiles; t += LANES) {
        const ptrdiff_t w0 = (column + t) * m - g->w.pad;
        const real *x = edge;
        ptrdiff_t x_row = span;
        const int inside = plane && g->w.x_stride == 1 && h0 >= 0 && h0 + alpha <= g->h.in &&
                           w0 >= 0 && w0 + span <= g->w.in;
        if (inside) {
            x = plane + h0 * g->h.x_stride + w0;
            x_row = g->h.x_stride;
        } else {
            for (int i = 0; i < alpha; i++) {
                const ptrdiff_t h = h0 + i;
                if (plane && h >= 0 && h < g->h.in)
                    gather_row(edge + i * span, span, plane + h * g->h.x_stride, g->w.x_stride, w0,
                               1, g->w.in);
                else
                    memset(edge + i * span, 0, (size_t)span * sizeof(real));
            }
        }
        vec tile[64], out[64];
        for (int i = 0; i < alpha; i++) split_tiles(m, alpha, x + i * x_row, tile + i * alpha);
        transform_2d(BT, alpha, alpha, tile, out);
        for (int xi = 0; xi < alpha * alpha; xi++) store(V + xi * xi_stride + t, out[xi]);
    }
}

INLINE int winograd_output(const int m, const int r, transform AT, const geometry_t *g,
                           const real *M, ptrdiff_t xi_stride, ptrdiff_t row, ptrdiff_t column,
                           ptrdiff_t tiles, real *y, const epilogue_t *e) {
    const int alpha = m + r - 1;
    const ptrdiff_t rows = g->h.out - row * m < m ? g->h.out - row * m : m;
    const vec bias = splat(e && e->bias ? *(const real *)e->bias : 0);
    vec check = {0};
    for (ptrdiff_t t = 0; t < tiles; t += LANES) {
        const ptrdiff_t q0 = (column + t) * m;
        ptrdiff_t columns = (tiles - t < LANES ? tiles - t : LANES) * m;
        columns = columns < g->w.out - q0 ? columns : g->w.out - q0;
        vec in[64], out[64];
        for (int xi = 0; xi < alpha * alpha; xi++) in[xi] = load(M + xi * xi_stride + t);
        transform_2d(AT, m, alpha, in, out);
        for (int i = 0; i < m * m; i++) {
            vec difference = out[i] - out[i];                                /* 0, or NaN */
            for (ptrdiff_t l = tiles - t; l < LANES; l++) difference[l] = 0; /* no tile there */
            check += difference;
            out[i] += bias;
            if (e && e->clamp) out[i] = clamp(out[i], splat((real)e->low), splat((real)e->high));
        }
        for (ptrdiff_t i = 0; i < rows; i++) {
            real *to = y + (row * m + i) * g->h.y_stride + q0 * g->w.y_stride;
            if (columns == m * LANES && g->w.y_stride == 1) {
                join_tiles(m, out + i * m, to);
            } else {
                real edge[8 * LANES];
                join_tiles(m, out + i * m, edge);
                for (ptrdiff_t j = 0; j < columns; j++) to[j * g->w.y_stride] = edge[j];
            }
        }
    }
    return not_finite(check);
}

#define WINOGRAD(m, r)                                                                             \
    static void weights_##m##_##r(const void *w, ptrdiff_t rows, ptrdiff_t D, void *U,             \
                                  ptrdiff_t xi_stride) {                                           \
        winograd_weights(m, r, winograd_G_##m##_##r, w, rows, D, U, xi_stride);                    \
    }                                                                                              \
    static void input_##m##_##r(const geometry_t *g, const void *plane, ptrdiff_t row,             \
                                ptrdiff_t column, ptrdiff_t tiles, void *V, ptrdiff_t xi_stride) { \
        winograd_input(m, r, winograd_BT_##m##_##r, g, plane, row, column, tiles, V, xi_stride);   \
    }                                                                                              \
    static int output_##m##_##r(const geometry_t *g, const void *M, ptrdiff_t xi_stride,           \
                                ptrdiff_t row, ptrdiff_t column, ptrdiff_t tiles, void *y,         \
                                const epilogue_t *e) {                                             \
        return winograd_output(m, r, winograd_AT_##m##_##r, g, M, xi_stride, row, column, tiles,   \
                               y, e);                                                              \
    }

#define WINOGRAD_ENTRY(m, r) {m, r, m + r - 1, weights_##m##_##r, input_##m##_##r, output_##m##_##r}

WINOGRAD(2, 3)
