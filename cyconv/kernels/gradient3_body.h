/* 3 x 3 outputs of a kernel as large as the plane: the gradient of a depthwise layer's weights.
 *
 *     y[u][v] = sum_d sum_p sum_q w[d][p][q] * x_d[p * step + u - pad][q * step + v - pad]
 *
 * Every row of x is loaded once, in three shifts, and meets the rows of w that it belongs to: with
 * step 1 rows p, p - 1 and p - 2 as u = 0, 1, 2. The nine sums are vectors over q; they run through
 * all planes d, in each by columns of one vector, from top to bottom, and are added lane by lane
 * at the end: l + LANES / 2, then l + LANES / 4, ... The last vector of a row of w lies over the
 * one before it, and what was counted there is masked. */
#include "windows3.h"

enum { GRADIENT3_WIDE = 512, GRADIENT3_ROWS = 16, MASKED = 8 };

typedef struct {
    const real *x, *w;
    ptrdiff_t x_row, w_row, in, top, last; /* rows of x, and its row for w's row 0; w's last row */
    lane_mask inside[3], lanes;            /* of a masked vector: taps of x, and columns of w */
} gradient3_t;

static const real gradient3_zeros[2 * LANES + 2];

/* Adds row h of x times the rows of w that it meets as u = 0, 1 and 2. */
INLINE void gradient3_add(const int step, const int edges, const gradient3_t *c, ptrdiff_t h,
                          ptrdiff_t column, const vec *w0, const vec *w1, const vec *w2, vec *sum) {
    const int zeros = h < 0 || h >= c->in;
    vec tap[3];
    windows(CYCONV_REAL, step, edges, c->inside,
            zeros ? gradient3_zeros : c->x + h * c->x_row + column, tap);
#pragma GCC unroll 3
    for (int s = 0; s < 3; s++) {
        if (edges & MASKED) tap[s] = (vec)((lane_mask)tap[s] & c->inside[s]);
        if (w0) sum[s] += *w0 * tap[s];
        if (w1) sum[3 + s] += *w1 * tap[s];
        if (w2) sum[6 + s] += *w2 * tap[s];
    }
}

INLINE vec gradient3_load(const int step, const int edges, const gradient3_t *c, ptrdiff_t p,
                          ptrdiff_t q) {
    vec w = load(c->w + p * c->w_row + q);
    if (step == 2) w = ordered(w);
    return edges & MASKED ? (vec)((lane_mask)w & c->lanes) : w;
}

/* Rows [p0, p1) of w, one vector at column q; `column` is the first of its windows. */
INLINE void gradient3_tile(const int step, const int edges, const gradient3_t *context,
                           ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q, ptrdiff_t column, vec *sums) {
    const gradient3_t copy = *context, *c = &copy; /* which no store can change */
    vec sum[9], w, before, above;
#pragma GCC unroll 9
    for (int i = 0; i < 9; i++) sum[i] = sums[i];
    ptrdiff_t h = p0 * step + c->top, p = p0;
    w = gradient3_load(step, edges, c, p, q);
    gradient3_add(step, edges, c, h++, column, &w, NULL, NULL, sum);
    if (step == 1) {
        before = w;
        if (++p < p1) {
            w = gradient3_load(1, edges, c, p, q);
            gradient3_add(1, edges, c, h++, column, &w, &before, NULL, sum);
            for (above = before, before = w; ++p < p1; above = before, before = w) {
                w = gradient3_load(1, edges, c, p, q);
                gradient3_add(1, edges, c, h++, column, &w, &before, &above, sum);
            }
            gradient3_add(1, edges, c, h++, column, NULL, &before, &above, sum);
        } else {
            gradient3_add(1, edges, c, h++, column, NULL, &before, NULL, sum);
        }
    } else {
        for (before = w; ++p < p1; before = w) {
            gradient3_add(2, edges, c, h++, column, NULL, &before, NULL, sum);
            w = gradient3_load(2, edges, c, p, q);
            gradient3_add(2, edges, c, h++, column, &w, NULL, &before, sum);
        }
        gradient3_add(2, edges, c, h++, column, NULL, &before, NULL, sum);
    }
    gradient3_add(step, edges, c, h, column, NULL, NULL, &before, sum);
#pragma GCC unroll 9
    for (int i = 0; i < 9; i++) sums[i] = sum[i];
}

typedef void gradient3_function(const gradient3_t *c, ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q,
                                ptrdiff_t column, vec *sums);

#define GRADIENT3_TILE(name, step, edges)                                           \
    static void name(const gradient3_t *c, ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q, \
                     ptrdiff_t column, vec *sums) {                                 \
        gradient3_tile(step, edges, c, p0, p1, q, column, sums);                    \
    }
#define GRADIENT3_TILES(step)                                         \
    GRADIENT3_TILE(gradient3_inner_##step, step, INNER)               \
    GRADIENT3_TILE(gradient3_left_##step, step, LEFT)                 \
    GRADIENT3_TILE(gradient3_right_##step, step, RIGHT)               \
    GRADIENT3_TILE(gradient3_both_##step, step, LEFT | RIGHT)         \
    GRADIENT3_TILE(gradient3_last_##step, step, MASKED)               \
    GRADIENT3_TILE(gradient3_last_right_##step, step, MASKED | RIGHT) \
    GRADIENT3_TILE(gradient3_narrow_##step, step, MASKED | NARROW)

GRADIENT3_TILES(1)
GRADIENT3_TILES(2)

#define T(step)                                                                  \
    {gradient3_inner_##step,     gradient3_left_##step, gradient3_right_##step,  \
     gradient3_both_##step,      gradient3_last_##step, gradient3_narrow_##step, \
     gradient3_last_right_##step}
/* [step - 1][edges; + 4 for the last vector, over the one before it; 5: narrow] */
static gradient3_function *const gradient3_tiles[2][7] = {T(1), T(2)};
#undef T

/* Elements of a copy of a plane of x, and of that and one of w. */
INLINE ptrdiff_t gradient3_copied(const geometry_t *g) {
    return g->h.in * (g->w.in + 1 > NARROW_READS ? g->w.in + 1 : NARROW_READS);
}
static ptrdiff_t gradient3_scratch(const geometry_t *g) {
    return gradient3_copied(g) + g->h.kernel * (g->w.kernel < LANES ? LANES : 0);
}

/* a[l] += a[l + half], for each half of the lanes in turn; % keeps dead branches within a. */
#define GRADIENT3_HALVE(a, half)                                                    \
    do {                                                                            \
        _Pragma("GCC unroll 8") for (int l = 0; l < half; l++) a[l] += a[l + half]; \
    } while (0)
#define GRADIENT3_FOLD(a)                             \
    do {                                              \
        if (LANES > 8) GRADIENT3_HALVE(a, 8 % LANES); \
        if (LANES > 4) GRADIENT3_HALVE(a, 4 % LANES); \
        if (LANES > 2) GRADIENT3_HALVE(a, 2 % LANES); \
        GRADIENT3_HALVE(a, 1);                        \
    } while (0)

/* The sums of nine vectors' lanes: many at a time where a transpose makes them so. */
INLINE void gradient3_totals(vec *sums, real *total) {
    int i = 0;
    for (; i + LANES <= 9; i += LANES) {
        transpose(sums + i);
        GRADIENT3_FOLD((sums + i));
        store(total + i, sums[i]);
    }
    for (; i < 9; i++) {
        real lane[LANES];
        store(lane, sums[i]);
        GRADIENT3_FOLD(lane);
        total[i] = lane[0];
    }
}

/* The totals, through the epilogue, as one plane of y. */
INLINE void gradient3_store(const geometry_t *g, vec *sums, const epilogue_t *e, ptrdiff_t filter,
                            real *y) {
    real total[9];
    if (g->w.y_stride == 1 && g->h.y_stride == 3 && !e) {
        gradient3_totals(sums, y);
        return;
    }
    gradient3_totals(sums, total);
    for (int r = 0; r < 3; r++, y += g->h.y_stride)
        for (int s = 0; s < 3; s++)
            y[s * g->w.y_stride] = finish(total[3 * r + s], e, filter, y + s * g->w.y_stride);
}

static void gradient3(const geometry_t *g, const void *x, const void *w, const ptrdiff_t *w_strides,
                      void *y, const epilogue_t *e, ptrdiff_t first, ptrdiff_t last,
                      void *scratch) {
    const ptrdiff_t P = g->h.kernel, Q = g->w.kernel, step = g->w.dilation, pad = g->w.pad;
    const ptrdiff_t narrow = Q<LANES, block = Q> GRADIENT3_WIDE ? GRADIENT3_ROWS : P;
    const ptrdiff_t x_reads = narrow ? NARROW_READS : g->w.in, w_reads = narrow ? LANES : Q;
    real *copy = scratch, *w_copy = copy + gradient3_copied(g);
    e = epilogue_acts(e) ? e : NULL;
    const span_t x_all = span_of(g, x);
    span_t w_all = {w, (const char *)((const real *)w + Q)};
    span_axis(&w_all, g->G * g->K, w_strides[0], REAL_BYTES);
    span_axis(&w_all, g->D, w_strides[1], REAL_BYTES);
    span_axis(&w_all, P, w_strides[2], REAL_BYTES);
    gradient3_t c = {.top = -g->h.pad, .in = g->h.in};
    windows_masks(&g->w, windows_halved(CYCONV_REAL, (int)step), step, Q, c.inside, &c.lanes);
    ptrdiff_t n = first / g->G, group = first % g->G, k = 0;
    for (ptrdiff_t i = first * g->K; i < last * g->K; i++) {
        const ptrdiff_t filter = group * g->K + k;
        const real *plane = (const real *)x + n * g->x_n + group * g->C * g->x_c;
        const real *w_plane = (const real *)w + filter * w_strides[0];
        vec sums[9];
#pragma GCC unroll 9
        for (int t = 0; t < 9; t++) sums[t] = (vec){0};
        for (ptrdiff_t d = 0; d < g->D; d++, plane += g->x_c, w_plane += w_strides[1]) {
            c.w_row = w_strides[2], c.x_row = g->h.x_stride;
            c.w = readable(CYCONV_REAL, w_all, w_plane, &c.w_row, P, 1, Q, 0, w_reads, w_copy);
            c.x = readable(CYCONV_REAL, x_all, plane, &c.x_row, g->h.in, g->w.x_stride, g->w.in,
                           narrow ? pad : 0, x_reads, copy);
            for (ptrdiff_t p0 = 0; p0 < P; p0 += block) {
                const ptrdiff_t p1 = p0 + block < P ? p0 + block : P;
                if (narrow) gradient3_tiles[step - 1][5](&c, p0, p1, 0, -pad, sums);
                for (ptrdiff_t j = 0; j < Q && !narrow; j += LANES) {
                    const ptrdiff_t over = Q - j < LANES, q = over ? Q - LANES : j;
                    const int edges = windows_edges(&g->w, step, Q, q, LANES);
                    gradient3_tiles[step - 1][edges + 4 * over](&c, p0, p1, q, q * step - pad,
                                                                sums);
                }
            }
        }
        gradient3_store(g, sums, e, filter, (real *)y + n * g->y_n + filter * g->y_k);
        if (++k == g->K) k = 0, group++;
        if (group == g->G) group = 0, n++;
    }
}

static int gradient3_fits(const geometry_t *g) {
    return g->outer_rank == 0 && g->D > 0 && g->h.out == 3 && g->w.out == 3 && g->h.stride == 1 &&
           g->w.stride == 1 && g->h.dilation == g->w.dilation &&
           windows_fit(&g->w, g->w.dilation, g->w.kernel);
}
