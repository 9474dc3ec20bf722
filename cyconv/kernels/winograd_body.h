/* Winograd F(m x n, r x s): the transforms of weights, input tiles and output tiles, a vector of
 * LANES neighbouring tiles (or filters) at a time. The 1-D transforms are generated; the 2-D ones
 * apply them to columns, then to rows. */
#include "winograd_transforms.h"

enum { MAX_ALPHA = 8, MAX_TAPS = 49 };

/* a[1], ..., a[LANES - 1], next: the same element of the next tile. */
INLINE vec shift_in(vec a, real next) { return SHUFFLE(a, splat(next), SHIFT); }

/* tiles[j] = element j of LANES tiles that start m apart: tiles[j][l] = x[l * m + j], j < alpha.
 * Reads up to LANES past the start of the last one. */
INLINE void split_tiles(const int m, const int alpha, const real *x, vec *tiles) {
    if (m == 1) {
        tiles[0] = load(x);
    } else if (m == 2) {
        const vec a = load(x), b = load(x + LANES);
        tiles[0] = evens(a, b);
        tiles[1] = odds(a, b);
    } else if (m == 4) {
        every_fourth(x, tiles);
    } else if (LANES == 8) { /* alpha <= LANES: whole tiles are rows of a block */
        vec block[LANES];
#pragma GCC unroll 8
        for (int l = 0; l < LANES; l++) block[l] = load(x + l * m);
        transpose(block);
#pragma GCC unroll 8
        for (int j = 0; j < alpha; j++) tiles[j] = block[j];
        return;
    } else {
        for (int j = 0; j < m && j < alpha; j++) {
            real lane[LANES];
            for (int l = 0; l < LANES; l++) lane[l] = x[l * m + j];
            tiles[j] = load(lane);
        }
    }
    for (int j = m; j < alpha; j++) tiles[j] = shift_in(tiles[j - m], x[(LANES - 1) * m + j]);
}

/* The inverse for outputs: y[l * m + j] = tiles[j][l]. */
INLINE void join_tiles(const int m, const vec *tiles, real *y) {
    if (m == 1) {
        store(y, tiles[0]);
    } else if (m == 2) {
        store(y, interleave_low(tiles[0], tiles[1]));
        store(y + LANES, interleave_high(tiles[0], tiles[1]));
    } else if (m == 4) {
        store_fourths(tiles, y);
    } else if (LANES == 8) { /* what is written past a tile is written again by the next one */
        vec block[LANES];
#pragma GCC unroll 8
        for (int l = 0; l < LANES; l++) block[l] = tiles[l < m ? l : 0];
        transpose(block);
#pragma GCC unroll 8
        for (int l = 0; l < LANES; l++) {
            if (l * m + LANES <= LANES * m)
                store(y + l * m, block[l]);
            else
                for (int j = 0; j < m; j++) y[l * m + j] = block[l][j];
        }
    } else {
        for (int l = 0; l < LANES; l++)
            for (int j = 0; j < m; j++) y[l * m + j] = tiles[j][l];
    }
}

typedef void transform(const vec *in, vec *out);

/* U (down x across, element xi at xi * stride) = S in T^T for in (r x s). */
INLINE void transform_2d(transform S, transform T, const int down, const int across, const int r,
                         const int s, const vec *in, real *U, ptrdiff_t stride) {
    vec half[MAX_ALPHA * MAX_ALPHA];
#pragma GCC unroll 8
    for (int j = 0; j < s; j++) {
        vec column[MAX_ALPHA], result[MAX_ALPHA];
#pragma GCC unroll 8
        for (int i = 0; i < r; i++) column[i] = in[i * s + j];
        S(column, result);
#pragma GCC unroll 8
        for (int i = 0; i < down; i++) half[i * s + j] = result[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < down; i++) {
        vec out[MAX_ALPHA];
        T(half + i * s, out);
#pragma GCC unroll 8
        for (int j = 0; j < across; j++, U += stride) store(U, out[j]);
    }
}

/* taps[p * count + t][l] = tap t of filter l < rows of plane p < planes <= LANES; other lanes hold
 * any of them. Whole vectors of taps are transposed, across planes: they follow each other. */
static __attribute__((noinline)) void taps_by_filter(ptrdiff_t count, const real *w,
                                                     ptrdiff_t w_row, ptrdiff_t rows,
                                                     ptrdiff_t planes, vec *taps) {
    const ptrdiff_t all = planes * count;
    ptrdiff_t t = 0;
    for (; t + LANES <= all; t += LANES) {
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) taps[t + l] = load(w + (l < rows ? l : 0) * w_row + t);
        transpose(taps + t);
    }
    for (; t < all; t++)
        for (int l = 0; l < LANES; l++) taps[t][l] = w[(l < rows ? l : 0) * w_row + t];
}

INLINE void winograd_weights(const int m, const int r, const int n, const int s, transform GH,
                             transform GW, const real *w, ptrdiff_t w_row, ptrdiff_t rows,
                             ptrdiff_t planes, real *U, ptrdiff_t xi_stride) {
    enum { VECTORS = (CYCONV_MR + LANES - 1) / LANES }; /* of filters */
    const int down = m + r - 1, across = n + s - 1;
    for (ptrdiff_t d = 0; d < planes; d += LANES, w += LANES * r * s) {
        const ptrdiff_t some = planes - d < LANES ? planes - d : LANES;
        vec taps[VECTORS][MAX_TAPS * LANES];
        for (int v = 0; v * LANES < rows; v++)
            taps_by_filter(r * s, w + v * LANES * w_row, w_row, rows - v * LANES, some, taps[v]);
        for (ptrdiff_t p = 0; p < some; p++, U += rows)
            for (int v = 0; v * LANES < rows; v++)
                transform_2d(GH, GW, down, across, r, s, taps[v] + p * r * s, U + v * LANES,
                             xi_stride);
    }
}

enum { SPAN = (LANES + 4) * 8 }; /* elements of one row of LANES tiles, rounded up */

/* A copy of `rows` rows of `span` pixels from (h, w) of a plane, zero outside it. */
INLINE void copy_bordered_of(const int cells, ptrdiff_t rows, ptrdiff_t span, const geometry_t *g,
                             const void *plane, ptrdiff_t h, ptrdiff_t w, real *copy) {
    for (ptrdiff_t i = 0; i < rows; i++, h++, copy += span)
        if (plane && h >= 0 && h < g->h.in)
            gather_row(cells, copy, span, cell_at(cells, plane, h * g->h.x_stride), g->w.x_stride,
                       w, 1, g->w.in);
        else
            zero_row(copy, span);
}

static __attribute__((noinline)) void copy_bordered(ptrdiff_t rows, ptrdiff_t span,
                                                    const geometry_t *g, const void *plane,
                                                    ptrdiff_t h, ptrdiff_t w, real *copy){
#define COPY(cells) copy_bordered_of(cells, rows, span, g, plane, h, w, copy)
    OF_CELLS(g -> x_cells, COPY)
#undef COPY
}

/* Those rows: where they lie, or a copy. */
INLINE const real *bordered_rows(int rows, int span, const geometry_t *g, const void *plane,
                                 ptrdiff_t h, ptrdiff_t w, real *copy, ptrdiff_t *stride) {
    if (plane && g->x_cells == CYCONV_REAL && g->w.x_stride == 1 && h >= 0 && h + rows <= g->h.in &&
        w >= 0 && w + span <= g->w.in) {
        *stride = g->h.x_stride;
        return (const real *)plane + h * g->h.x_stride + w;
    }
    *stride = span;
    copy_bordered(rows, span, g, plane, h, w, copy);
    return copy;
}

/* The two halves of an input transform, which every pair with this F(m, r) shares: columns of x
 * into rows, `ld` apart, of pixels for each point; and such rows, SPAN apart, split into tiles,
 * into the points of V. */
INLINE void transform_columns(const int alpha, transform BT, const real *x, ptrdiff_t x_row,
                              ptrdiff_t span, real *to, ptrdiff_t ld) {
    for (ptrdiff_t k = 0; k < span; k += LANES) {
        vec in[MAX_ALPHA], out[MAX_ALPHA];
#pragma GCC unroll 8
        for (int i = 0; i < alpha; i++) in[i] = load(x + i * x_row + k);
        BT(in, out);
#pragma GCC unroll 8
        for (int i = 0; i < alpha; i++) store(to + i * ld + k, out[i]);
    }
}

INLINE void transform_rows(const int m, const int alpha, transform BT, const real *half,
                           ptrdiff_t rows, real *V, ptrdiff_t xi_stride) {
    for (ptrdiff_t i = 0; i < rows; i++, half += SPAN) {
        vec tile[MAX_ALPHA], out[MAX_ALPHA];
        split_tiles(m, alpha, half, tile);
        BT(tile, out);
#pragma GCC unroll 8
        for (int j = 0; j < alpha; j++, V += xi_stride) store(V, out[j]);
    }
}

typedef void column_function(const real *x, ptrdiff_t x_row, ptrdiff_t span, real *to,
                             ptrdiff_t ld);
typedef void row_function(const real *half, ptrdiff_t rows, real *V, ptrdiff_t xi_stride);

/* Separate loops for the usual pitch and others: the compiler sees which. */
#define WINOGRAD_HALVES(m, r)                                                              \
    static __attribute__((noinline)) void columns_##m##_##r(                               \
        const real *x, ptrdiff_t x_row, ptrdiff_t span, real *to, ptrdiff_t ld) {          \
        if (ld == SPAN)                                                                    \
            transform_columns(m + r - 1, winograd_BT_##m##_##r, x, x_row, span, to, SPAN); \
        else                                                                               \
            transform_columns(m + r - 1, winograd_BT_##m##_##r, x, x_row, LANES, to, ld);  \
    }                                                                                      \
    static __attribute__((noinline)) void rows_##m##_##r(const real *half, ptrdiff_t rows, \
                                                         real *V, ptrdiff_t xi_stride) {   \
        transform_rows(m, m + r - 1, winograd_BT_##m##_##r, half, rows, V, xi_stride);     \
    }
WINOGRAD_AXES(WINOGRAD_HALVES)

/* Columns first, while they are plain rows of pixels; then each row is split into tiles. The
 * copies at the border are made one step ahead: a load that spans two recent stores stalls. */
INLINE void winograd_input(const int m, const int r, const int n, const int s,
                           column_function *columns, row_function *across_rows, const geometry_t *g,
                           const void *plane, const void *after, ptrdiff_t row, ptrdiff_t column,
                           ptrdiff_t tiles, real *V, ptrdiff_t xi_stride) {
    const int down = m + r - 1, across = n + s - 1;
    const int span = ((LANES - 1) * n + across + LANES - 1) / LANES * LANES;
    const ptrdiff_t h0 = row * m - g->h.pad, w0 = column * n - g->w.pad;
    _Alignas(64) real copies[2][MAX_ALPHA * SPAN], half[MAX_ALPHA * SPAN];
    ptrdiff_t next_row, x_row;
    const real *next = bordered_rows(down, span, g, plane, h0, w0, copies[0], &next_row);
    for (ptrdiff_t t = 0; t < tiles; t += LANES) {
        const real *x = next;
        x_row = next_row;
        if (t + LANES < tiles)
            next = bordered_rows(down, span, g, plane, h0, w0 + (t + LANES) * n,
                                 copies[t / LANES % 2 == 0], &next_row);
        if (after && h0 >= 0 && h0 + down <= g->h.in && w0 + t * n < g->w.in)
            for (int i = 0; i < down; i++)
                for (int k = LANES; k < span; k += 64 / REAL_BYTES)
                    __builtin_prefetch((const char *)after + ((h0 + i) * g->h.x_stride +
                                                              (w0 + t * n + k) * g->w.x_stride) *
                                                                 cell_bytes(g->x_cells));
        if (across == 1) {
            columns(x, x_row, LANES, V + t, xi_stride);
        } else if (down == 1) {
            across_rows(x, 1, V + t, xi_stride);
        } else {
            columns(x, x_row, span, half, SPAN);
            across_rows(half, down, V + t, xi_stride);
        }
    }
}

/* The residuals of one row of outputs of LANES tiles, element j of each as tiles[j]. */
INLINE void residual_tiles(const int n, const real *add, ptrdiff_t stride, ptrdiff_t columns,
                           vec *tiles) {
    real row[MAX_ALPHA * LANES + LANES];
    const int whole = columns == n * LANES && stride == 1 && (n == 1 || n == 2 || n == 4);
    if (!whole) {
        zero_row(row, n * LANES + LANES);
        copy_row(row, add, stride, columns);
    }
    split_tiles(n, n, whole ? add : row, tiles);
}

static __attribute__((noinline)) void copy_pixels(real *to, ptrdiff_t stride, const real *from,
                                                  ptrdiff_t n) {
    if (stride == 1)
        copy_row(to, from, 1, n);
    else
        for (ptrdiff_t j = 0; j < n; j++) to[j * stride] = from[j];
}

INLINE int winograd_output(const int m, const int r, const int n, const int s, transform ATH,
                           transform ATW, const geometry_t *g, const real *M, ptrdiff_t xi_stride,
                           ptrdiff_t row, ptrdiff_t column, ptrdiff_t tiles, void *y,
                           const epilogue_t *e) {
    const int down = m + r - 1, across = n + s - 1, halves = g->y_cells != CYCONV_REAL;
    const ptrdiff_t rows = g->h.out - row * m < m ? g->h.out - row * m : m;
    const vec bias = splat(e && e->bias ? *(const real *)e->bias : 0);
    const int clamped = e && e->clamp && !e->add; /* else with the residual */
    epilogue_t residual_only = e ? *e : (epilogue_t){0};
    residual_only.bias = NULL;
    vec check = {0};
    for (ptrdiff_t t = 0; t < tiles; t += LANES) {
        const ptrdiff_t valid = tiles - t < LANES ? tiles - t : LANES;
        const ptrdiff_t q0 = (column + t) * n;
        const ptrdiff_t columns = valid * n < g->w.out - q0 ? valid * n : g->w.out - q0;
        vec half[MAX_ALPHA * MAX_ALPHA], out[MAX_ALPHA * MAX_ALPHA], sum = {0};
#pragma GCC unroll 8
        for (int j = 0; j < across; j++) {
            vec in[MAX_ALPHA], result[MAX_ALPHA];
#pragma GCC unroll 8
            for (int i = 0; i < down; i++) in[i] = load(M + (i * across + j) * xi_stride + t);
            ATH(in, result);
#pragma GCC unroll 8
            for (int i = 0; i < m; i++) half[i * across + j] = result[i];
        }
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) ATW(half + i * across, out + i * n);
#pragma GCC unroll 64
        for (int i = 0; i < m * n; i++) {
            sum += out[i];
            out[i] += bias;
        }
        if (clamped) {
            const vec low = splat((real)e->low), high = splat((real)e->high);
#pragma GCC unroll 64
            for (int i = 0; i < m * n; i++) out[i] = clamp(out[i], low, high);
        }
        for (ptrdiff_t l = valid; l < LANES; l++) sum[l] = 0; /* no tile there */
        check += sum - sum;                                   /* 0, or NaN */
        const int whole = columns == n * LANES && g->w.y_stride == 1;
        for (ptrdiff_t i = 0; i < rows; i++) {
            const ptrdiff_t at = (row * m + i) * g->h.y_stride + q0 * g->w.y_stride;
            if (halves) {
                real line[MAX_ALPHA * LANES];
                join_tiles(n, out + i * n, line);
                finish_rows(g->y_cells, 1, columns, line, 0, (half_t *)y + at, 0, g->w.y_stride,
                            &residual_only);
                continue;
            }
            real *to = (real *)y + at;
            if (e && e->add) {
                vec add[MAX_ALPHA];
                residual_tiles(n, residual(e, to), g->w.y_stride, columns, add);
#pragma GCC unroll 8
                for (int j = 0; j < n; j++) {
                    out[i * n + j] += add[j];
                    if (e->clamp)
                        out[i * n + j] =
                            clamp(out[i * n + j], splat((real)e->low), splat((real)e->high));
                }
            }
            real edge[MAX_ALPHA * LANES];
            join_tiles(n, out + i * n, whole ? to : edge);
            if (!whole) copy_pixels(to, g->w.y_stride, edge, columns);
        }
    }
    return not_finite(check);
}

/* panels: rows of `tiles` tiles, `ld` apart, into panels of NR tiles, a vector beyond the last. */
static void spread_tiles(ptrdiff_t rows, ptrdiff_t tiles, const void *stage, ptrdiff_t ld,
                         void *panels, ptrdiff_t panel_stride, ptrdiff_t row_stride) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const real *from = (const real *)stage + i * ld;
        real *to = (real *)panels + i * row_stride;
        for (ptrdiff_t t = 0; t < tiles; t += NR, to += panel_stride)
            for (int l = 0; l < NR; l += LANES) store(to + l, load(from + t + l));
    }
}

#define WINOGRAD(m, r, n, s)                                                                       \
    static void weights_##m##_##r##_##n##_##s(const void *w, ptrdiff_t w_row, ptrdiff_t rows,      \
                                              ptrdiff_t planes, void *U, ptrdiff_t xi_stride) {    \
        winograd_weights(m, r, n, s, winograd_G_##m##_##r, winograd_G_##n##_##s, w, w_row, rows,   \
                         planes, U, xi_stride);                                                    \
    }                                                                                              \
    static void input_##m##_##r##_##n##_##s(const geometry_t *g, const void *plane,                \
                                            const void *next, ptrdiff_t row, ptrdiff_t column,     \
                                            ptrdiff_t tiles, void *V, ptrdiff_t xi_stride) {       \
        winograd_input(m, r, n, s, columns_##m##_##r, rows_##n##_##s, g, plane, next, row, column, \
                       tiles, V, xi_stride);                                                       \
    }                                                                                              \
    static int output_##m##_##r##_##n##_##s(const geometry_t *g, const void *M,                    \
                                            ptrdiff_t xi_stride, ptrdiff_t row, ptrdiff_t column,  \
                                            ptrdiff_t tiles, void *y, const epilogue_t *e) {       \
        return winograd_output(m, r, n, s, winograd_AT_##m##_##r, winograd_AT_##n##_##s, g, M,     \
                               xi_stride, row, column, tiles, y, e);                               \
    }
#define WINOGRAD_ENTRY(m, r, n, s)  \
    {{m, n},                        \
     {r, s},                        \
     {m + r - 1, n + s - 1},        \
     weights_##m##_##r##_##n##_##s, \
     input_##m##_##r##_##n##_##s,   \
     output_##m##_##r##_##n##_##s},

WINOGRAD_VARIANTS(WINOGRAD)
