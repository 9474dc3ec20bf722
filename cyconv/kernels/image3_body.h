/* 3 x 3 taps on one plane, read from the image itself: depthwise layers and images of one channel.
 *
 * A tile is v vectors of neighbouring outputs, from its first row to its last. Every input row is
 * loaded once, in the three shifts of a kernel row, and meets the output rows that it belongs to:
 *
 *     with stride 1   as the last row of p, which is then complete,
 *                     the middle one of p + 1 and the first of p + 2
 *     with stride 2   as the last row of p and the first of p + 1, or as the middle one of p
 *
 * so that each output is one chain of multiply-adds in the order of the taps (r, s), as in
 * `stencil`. Above and below the image there is a row of zeros. */
#include "windows3.h"

enum {
    IMAGE3_VECTORS = 2,
    IMAGE3_WIDE = 512,
    IMAGE3_ROWS = 4,
    IMAGE3_COPIED = 32,
    IMAGE3_FAR = 8192
};

typedef struct {
    const real *x, *w;
    real *y;
    ptrdiff_t x_row, y_row, in, top; /* rows of the image, and the first row of window 0 */
    ptrdiff_t columns;               /* of y */
    ptrdiff_t ahead;                 /* elements to the next plane, if it is worth fetching */
    lane_mask inside[3];             /* see windows3.h */
    const epilogue_t *e;
    ptrdiff_t filter;
} image3_t;

static const real image3_zeros[(2 * IMAGE3_VECTORS + 1) * LANES + 2];

/* Adds the products of input row h to the outputs whose first, middle and last row it is. */
INLINE void image3_add(const int stride, const int v, const int *edges, const image3_t *c,
                       const vec *w, ptrdiff_t h, ptrdiff_t column, const ptrdiff_t *at, vec *first,
                       vec *middle, vec *last) {
    const int zeros = h < 0 || h >= c->in;
    const real *x = zeros ? image3_zeros + 1 : c->x + h * c->x_row + column;
    if (v == IMAGE3_VECTORS) {
        __builtin_prefetch(x + (IMAGE3_VECTORS * LANES + 1) * stride); /* the next tile */
        if (stride == 2) { /* this tile of the next plane, into the second-level cache */
            __builtin_prefetch(x + c->ahead, 0, 2);
            __builtin_prefetch(x + c->ahead + IMAGE3_VECTORS * LANES, 0, 2);
        }
    }
#pragma GCC unroll 2
    for (int k = 0; k < v; k++) {
        vec tap[3];
        windows(stride, edges[k], c->inside, x + at[k] * stride, tap);
#pragma GCC unroll 3
        for (int s = 0; s < 3; s++) {
            if (last) last[k] += w[6 + s] * tap[s];
            if (middle) middle[k] += w[3 + s] * tap[s];
            if (first) first[k] += w[s] * tap[s];
        }
    }
}

/* Stores row p, and makes `sum` the next one's. What a narrow row writes past its end, the rows
 * after it, up to `end`, write again. */
INLINE void image3_store(const int stride, const int v, const int *edges, const image3_t *c,
                         ptrdiff_t p, ptrdiff_t end, ptrdiff_t q, const ptrdiff_t *at, vec *sum,
                         const vec *next) {
    real *y = c->y + p * c->y_row + q;
    vec out[IMAGE3_VECTORS];
#pragma GCC unroll 2
    for (int k = 0; k < v; k++) out[k] = stride == 1 ? sum[k] : ordered(sum[k]);
    const int residual = c->e && c->e->add;
    if (c->e && !residual) finish_vecs(v, out, c->e, c->filter);
#pragma GCC unroll 2
    for (int k = 0; k < v; k++) {
        const ptrdiff_t rest = (end - p) * c->columns; /* that may be written, of rows in a row */
        const int few = edges[k] & NARROW && (c->y_row != c->columns || rest < LANES);
        if (residual)
            out[k] = finish_few(out[k], c->e, c->filter, y + at[k], few ? c->columns : LANES);
        if (few)
            store_few(y, out[k], c->columns);
        else
            store(y + at[k], out[k]);
        sum[k] = next ? next[k] : (vec){0};
    }
}

/* Outputs [p0, p1) of v vectors that begin at column q + at[k]; `column` of x is the first of q's
 * window. */
INLINE void image3_tile(const int stride, const int v, const int *edges, const image3_t *context,
                        ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q, ptrdiff_t column,
                        const ptrdiff_t *at) {
    const image3_t copy = *context, *c = &copy; /* which no store can change */
    vec w[9], sum[IMAGE3_VECTORS], next[IMAGE3_VECTORS], after[IMAGE3_VECTORS];
#pragma GCC unroll 9
    for (int i = 0; i < 9; i++) w[i] = splat(c->w[i]);
#pragma GCC unroll 2
    for (int k = 0; k < v; k++) sum[k] = next[k] = after[k] = (vec){0};
    ptrdiff_t h = p0 * stride + c->top, p = p0;
    image3_add(stride, v, edges, c, w, h++, column, at, sum, NULL, NULL);
    if (stride == 1) {
        image3_add(1, v, edges, c, w, h++, column, at, next, sum, NULL);
        for (; p + 2 < p1; p++) {
            image3_add(1, v, edges, c, w, h++, column, at, after, next, sum);
            image3_store(1, v, edges, c, p, p1, q, at, sum, next);
#pragma GCC unroll 2
            for (int k = 0; k < v; k++) next[k] = after[k], after[k] = (vec){0};
        }
        if (p + 1 < p1) {
            image3_add(1, v, edges, c, w, h++, column, at, NULL, next, sum);
            image3_store(1, v, edges, c, p, p1, q, at, sum, next);
            p++;
        }
    } else {
        for (; p + 1 < p1; p++) {
            image3_add(2, v, edges, c, w, h++, column, at, NULL, sum, NULL);
            image3_add(2, v, edges, c, w, h++, column, at, next, NULL, sum);
            image3_store(2, v, edges, c, p, p1, q, at, sum, next);
#pragma GCC unroll 2
            for (int k = 0; k < v; k++) next[k] = (vec){0};
        }
        image3_add(2, v, edges, c, w, h++, column, at, NULL, sum, NULL);
    }
    image3_add(stride, v, edges, c, w, h, column, at, NULL, NULL, sum);
    image3_store(stride, v, edges, c, p, p1, q, at, sum, NULL);
}

typedef void image3_function(const image3_t *c, ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q,
                             ptrdiff_t column, ptrdiff_t second);

#define IMAGE3_TILE(name, stride, v, edges0, edges1)                                               \
    static void name(const image3_t *c, ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q, ptrdiff_t column, \
                     ptrdiff_t second) {                                                           \
        image3_tile(stride, v, (const int[]){edges0, edges1}, c, p0, p1, q, column,                \
                    (const ptrdiff_t[]){0, second});                                               \
    }
#define IMAGE3_TILES(stride)                                        \
    IMAGE3_TILE(image3_narrow_##stride, stride, 1, NARROW, 0)       \
    IMAGE3_TILE(image3_1_inner_##stride, stride, 1, INNER, 0)       \
    IMAGE3_TILE(image3_1_left_##stride, stride, 1, LEFT, 0)         \
    IMAGE3_TILE(image3_1_right_##stride, stride, 1, RIGHT, 0)       \
    IMAGE3_TILE(image3_1_both_##stride, stride, 1, LEFT | RIGHT, 0) \
    IMAGE3_TILE(image3_2_inner_##stride, stride, 2, INNER, INNER)   \
    IMAGE3_TILE(image3_2_left_##stride, stride, 2, LEFT, INNER)     \
    IMAGE3_TILE(image3_2_right_##stride, stride, 2, INNER, RIGHT)   \
    IMAGE3_TILE(image3_2_both_##stride, stride, 2, LEFT, RIGHT)

IMAGE3_TILES(1)
IMAGE3_TILES(2)

static image3_function *const image3_narrow[] = {image3_narrow_1, image3_narrow_2};
#define T(v, stride)                                                                       \
    {image3_##v##_inner_##stride, image3_##v##_left_##stride, image3_##v##_right_##stride, \
     image3_##v##_both_##stride}
/* [stride - 1][vectors - 1][edges] */
static image3_function *const image3_wide[2][IMAGE3_VECTORS][4] = {{T(1, 1), T(2, 1)},
                                                                   {T(1, 2), T(2, 2)}};
#undef T

/* Rows [p0, p1) of one plane, the last vector of each over the one before it. */
INLINE void image3_rows(const geometry_t *g, const image3_t *c, ptrdiff_t p0, ptrdiff_t p1) {
    const ptrdiff_t Q = g->w.out, step = g->w.stride, pad = g->w.pad;
    if (Q < LANES) {
        image3_narrow[step - 1](c, p0, p1, 0, -pad, 0);
        return;
    }
    for (ptrdiff_t j = 0; j < Q; j += IMAGE3_VECTORS * LANES) {
        const ptrdiff_t left = Q - j, v = left > LANES ? 2 : 1;
        const ptrdiff_t q = left < LANES ? Q - LANES : j;
        const ptrdiff_t second = left < 2 * LANES ? left - LANES : LANES;
        const int edges = windows_edges(&g->w, step, Q, q, v == 2 ? second + LANES : LANES);
        image3_wide[step - 1][v - 1][edges](c, p0, p1, q, q * step - pad, second);
    }
}

static int image3_fits(const geometry_t *g) {
    const axis_t *h = &g->h, *w = &g->w;
    return g->outer_rank == 0 && g->D == 1 && h->kernel == 3 && w->kernel == 3 &&
           h->dilation == 1 && w->dilation == 1 && h->stride == w->stride && w->y_stride == 1 &&
           w->x_stride == 1 && windows_fit(w, w->stride, w->out) &&
           (w->out >= LANES || h->in <= IMAGE3_COPIED);
}

static void image3(const geometry_t *g, const void *x, const void *w, void *y, const epilogue_t *e,
                   ptrdiff_t first, ptrdiff_t last, ptrdiff_t p0, ptrdiff_t p1) {
    const span_t all = span_of(g, x);
    const ptrdiff_t block = g->w.out > IMAGE3_WIDE ? IMAGE3_ROWS : p1 - p0;
    /* Of planes that no first-level cache holds a tile's rows are too short for the processor to
     * see what comes next. */
    const int large = g->h.in * g->w.in > IMAGE3_FAR;
    real copy[IMAGE3_COPIED * NARROW_READS];
    image3_t c = {.y_row = g->h.y_stride, .in = g->h.in, .top = -g->h.pad, .columns = g->w.out};
    c.e = epilogue_acts(e) ? e : NULL;
    lane_mask lanes;
    if (g->w.out < LANES) windows_masks(&g->w, g->w.stride, g->w.out, c.inside, &lanes);
    for (ptrdiff_t slab = first; slab < last; slab++) {
        const ptrdiff_t n = slab / g->G, group = slab % g->G;
        const real *plane = (const real *)x + n * g->x_n + group * g->x_c;
        c.x = plane, c.x_row = g->h.x_stride;
        if (g->w.out < LANES)
            c.x = readable(all, plane, &c.x_row, g->h.in, 1, g->w.in, g->w.pad, NARROW_READS, copy);
        c.ahead = slab + 1 < last && group + 1 < g->G && large ? g->x_c : 0;
        for (ptrdiff_t k = 0; k < g->K; k++) {
            c.filter = group * g->K + k;
            c.w = (const real *)w + c.filter * 9;
            c.y = (real *)y + n * g->y_n + c.filter * g->y_k;
            for (ptrdiff_t p = p0; p < p1; p += block)
                image3_rows(g, &c, p, p + block < p1 ? p + block : p1);
        }
    }
}
