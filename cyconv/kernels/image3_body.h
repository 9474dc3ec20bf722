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
 * `stencil`. Above and below the image there is a row of zeros. Cells of 16 bits are widened as
 * they are loaded and rounded as they are stored; a tile of bf16 with stride 1 is one vector of
 * outputs at even places and one of those at odd ones, as two cells lie in a lane. */
#include "windows3.h"

enum {
    IMAGE3_VECTORS = 2,
    IMAGE3_WIDE = 512,
    IMAGE3_ROWS = 4,
    IMAGE3_COPIED = 32,
    IMAGE3_FAR = 8192
};

typedef struct {
    const void *x;
    const real *w;
    char *y;
    ptrdiff_t x_row, y_row, in, top; /* rows of the image, and the first row of window 0 */
    ptrdiff_t columns;               /* of y */
    ptrdiff_t ahead;                 /* cells to the next plane, if it is worth fetching */
    lane_mask inside[3];             /* see windows3.h */
    const epilogue_t *e;
    ptrdiff_t filter;
} image3_t;

static const real image3_zeros[(2 * IMAGE3_VECTORS + 1) * LANES + 2];

/* Adds the products of input row h to the outputs whose first, middle and last row it is. */
INLINE void image3_add(const int cells, const int pairs, const int stride, const int v,
                       const int *edges, const image3_t *c, const vec *w, ptrdiff_t h,
                       ptrdiff_t column, const ptrdiff_t *at, vec *first, vec *middle, vec *last) {
    const int zeros = h < 0 || h >= c->in;
    const void *x =
        zeros ? cell_at(cells, image3_zeros, 1) : cell_at(cells, c->x, h * c->x_row + column);
    if (v == IMAGE3_VECTORS) {
        enum { TILE = IMAGE3_VECTORS * LANES };
        __builtin_prefetch(cell_at(cells, x, (TILE + 1) * stride)); /* the next tile */
        if (stride == 2) { /* this tile of the next plane, into the second-level cache */
            __builtin_prefetch(cell_at(cells, x, c->ahead), 0, 2);
            __builtin_prefetch(cell_at(cells, x, c->ahead + TILE), 0, 2);
        }
    }
    vec pair[4];
    if (pairs) windows_pair(edges[0] | edges[1], x, pair);
#pragma GCC unroll 2
    for (int k = 0; k < v; k++) {
        vec one[3], *tap = pairs ? pair + k : one;
        if (!pairs)
            windows(cells, stride, edges[k], c->inside, cell_at(cells, x, at[k] * stride), tap);
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
INLINE void image3_store(const int cells, const int pairs, const int stride, const int v,
                         const int *edges, const image3_t *c, ptrdiff_t p, ptrdiff_t end,
                         ptrdiff_t q, const ptrdiff_t *at, vec *sum, const vec *next) {
    char *y = c->y + (p * c->y_row + q) * cell_bytes(cells);
    vec out[IMAGE3_VECTORS];
#pragma GCC unroll 2
    for (int k = 0; k < v; k++) out[k] = windows_halved(cells, stride) ? ordered(sum[k]) : sum[k];
    const int residual = c->e && c->e->add;
    if (c->e && !residual) finish_vecs(v, out, c->e, c->filter);
    if (pairs && __builtin_expect(!residual, 1)) {
        store_bf16_pairs(y, out[0], out[1]);
    } else {
        if (pairs) interleave(out[0], out[1], &out[0], &out[1]);
#pragma GCC unroll 2
        for (int k = 0; k < v; k++) {
            const ptrdiff_t rest = (end - p) * c->columns; /* that may be written, of all rows */
            const int few = edges[k] & NARROW && (c->y_row != c->columns || rest < LANES);
            const ptrdiff_t n = few ? c->columns : LANES;
            char *to = y + at[k] * cell_bytes(cells);
            if (residual) out[k] = finish_few_cells(cells, out[k], c->e, c->filter, to, n);
            if (few)
                store_few_cells(cells, y, out[k], n);
            else
                store_cells_at(cells, to, out[k]);
        }
    }
#pragma GCC unroll 2
    for (int k = 0; k < v; k++) sum[k] = next ? next[k] : (vec){0};
}

/* Outputs [p0, p1) of v vectors that begin at column q + at[k]; `column` of x is the first of q's
 * window. */
INLINE void image3_tile(const int cells, const int pairs, const int stride, const int v,
                        const int *edges, const image3_t *context, ptrdiff_t p0, ptrdiff_t p1,
                        ptrdiff_t q, ptrdiff_t column, const ptrdiff_t *at) {
    const image3_t copy = *context, *c = &copy; /* which no store can change */
    vec w[9], sum[IMAGE3_VECTORS], next[IMAGE3_VECTORS], after[IMAGE3_VECTORS];
#define ADD(first, middle, last) \
    image3_add(cells, pairs, stride, v, edges, c, w, h++, column, at, first, middle, last)
#define STORE(next) image3_store(cells, pairs, stride, v, edges, c, p, p1, q, at, sum, next)
#pragma GCC unroll 9
    for (int i = 0; i < 9; i++) w[i] = splat(c->w[i]);
#pragma GCC unroll 2
    for (int k = 0; k < v; k++) sum[k] = next[k] = after[k] = (vec){0};
    ptrdiff_t h = p0 * stride + c->top, p = p0;
    ADD(sum, NULL, NULL);
    if (stride == 1) {
        ADD(next, sum, NULL);
        for (; p + 2 < p1; p++) {
            ADD(after, next, sum);
            STORE(next);
#pragma GCC unroll 2
            for (int k = 0; k < v; k++) next[k] = after[k], after[k] = (vec){0};
        }
        if (p + 1 < p1) {
            ADD(NULL, next, sum);
            STORE(next);
            p++;
        }
    } else {
        for (; p + 1 < p1; p++) {
            ADD(NULL, sum, NULL);
            ADD(next, NULL, sum);
            STORE(next);
#pragma GCC unroll 2
            for (int k = 0; k < v; k++) next[k] = (vec){0};
        }
        ADD(NULL, sum, NULL);
    }
    ADD(NULL, NULL, sum);
    STORE(NULL);
#undef ADD
#undef STORE
}

typedef void image3_function(const image3_t *c, ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q,
                             ptrdiff_t column, ptrdiff_t second);

#define IMAGE3_TILE(name, cells, pairs, stride, v, edges0, edges1)                                 \
    static void name(const image3_t *c, ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q, ptrdiff_t column, \
                     ptrdiff_t second) {                                                           \
        image3_tile(cells, pairs, stride, v, (const int[]){edges0, edges1}, c, p0, p1, q, column,  \
                    (const ptrdiff_t[]){0, second});                                               \
    }
/* Of one vector, and of two by their edges: INNER, LEFT, RIGHT and both. */
#define IMAGE3_ONE(cells, stride)                                              \
    IMAGE3_TILE(image3_1_inner_##cells##stride, cells, 0, stride, 1, INNER, 0) \
    IMAGE3_TILE(image3_1_left_##cells##stride, cells, 0, stride, 1, LEFT, 0)   \
    IMAGE3_TILE(image3_1_right_##cells##stride, cells, 0, stride, 1, RIGHT, 0) \
    IMAGE3_TILE(image3_1_both_##cells##stride, cells, 0, stride, 1, LEFT | RIGHT, 0)
#define IMAGE3_TWO(name, cells, pairs, stride)                                                \
    IMAGE3_TILE(image3_##name##_inner_##cells##stride, cells, pairs, stride, 2, INNER, INNER) \
    IMAGE3_TILE(image3_##name##_left_##cells##stride, cells, pairs, stride, 2, LEFT, INNER)   \
    IMAGE3_TILE(image3_##name##_right_##cells##stride, cells, pairs, stride, 2, INNER, RIGHT) \
    IMAGE3_TILE(image3_##name##_both_##cells##stride, cells, pairs, stride, 2, LEFT, RIGHT)
#define IMAGE3_TILES(cells, stride)                                            \
    IMAGE3_TILE(image3_narrow_##cells##stride, cells, 0, stride, 1, NARROW, 0) \
    IMAGE3_ONE(cells, stride)                                                  \
    IMAGE3_TWO(2, cells, 0, stride)

/* Of a type of cells and a stride: a narrow row; [vectors - 1][edges]; pairs, if there are. */
typedef struct {
    image3_function *narrow, *wide[IMAGE3_VECTORS][4], *pairs[4];
} image3_tiles_t;

#define V(name, kind)                                                                         \
    {image3_##name##_inner_##kind, image3_##name##_left_##kind, image3_##name##_right_##kind, \
     image3_##name##_both_##kind}
#define T(kind, ...) {image3_narrow_##kind, {V(1, kind), V(2, kind)}, __VA_ARGS__}
IMAGE3_TILES(CYCONV_REAL, 1)
IMAGE3_TILES(CYCONV_REAL, 2)
#ifdef ELEMENT_f32
IMAGE3_TILES(CYCONV_F16, 1)
IMAGE3_TILES(CYCONV_F16, 2)
IMAGE3_TILES(CYCONV_BF16, 1)
IMAGE3_TILES(CYCONV_BF16, 2)
IMAGE3_TWO(pairs, CYCONV_BF16, 1, 1)
#endif
/* [cells][stride - 1] */
static const image3_tiles_t image3_tiles[][2] = {
    [CYCONV_REAL] = {T(CYCONV_REAL1, {NULL}), T(CYCONV_REAL2, {NULL})},
#ifdef ELEMENT_f32
    [CYCONV_F16] = {T(CYCONV_F161, {NULL}), T(CYCONV_F162, {NULL})},
    [CYCONV_BF16] = {T(CYCONV_BF161, V(pairs, CYCONV_BF161)), T(CYCONV_BF162, {NULL})},
#endif
};
#undef T
#undef V

/* Rows [p0, p1) of one plane, the last vector of each over the one before it. */
INLINE void image3_rows(const geometry_t *g, const image3_tiles_t *tiles, const image3_t *c,
                        ptrdiff_t p0, ptrdiff_t p1) {
    const ptrdiff_t Q = g->w.out, step = g->w.stride, pad = g->w.pad;
    if (Q < LANES) {
        tiles->narrow(c, p0, p1, 0, -pad, 0);
        return;
    }
    const int pairs = tiles->pairs[0] && Q >= IMAGE3_VECTORS * LANES;
    for (ptrdiff_t j = 0; j < Q; j += IMAGE3_VECTORS * LANES) {
        const ptrdiff_t left = Q - j, v = left > LANES ? 2 : 1;
        const ptrdiff_t least = pairs ? v * LANES : LANES, q = left < least ? Q - least : j;
        const ptrdiff_t second = left < 2 * LANES && !pairs ? left - LANES : LANES;
        const int edges = windows_edges(&g->w, step, Q, q, v == 2 ? second + LANES : LANES);
        image3_function *const *of = pairs && v == 2 ? tiles->pairs : tiles->wide[v - 1];
        of[edges](c, p0, p1, q, q * step - pad, second);
    }
}

static int image3_fits(const geometry_t *g) {
    const axis_t *h = &g->h, *w = &g->w;
    return g->outer_rank == 0 && g->D == 1 && h->kernel == 3 && w->kernel == 3 &&
           h->dilation == 1 && w->dilation == 1 && h->stride == w->stride && w->y_stride == 1 &&
           w->x_stride == 1 && g->x_cells == g->y_cells && windows_fit(w, w->stride, w->out) &&
           (w->out >= LANES || h->in <= IMAGE3_COPIED);
}

static void image3(const geometry_t *g, const void *x, const void *w, void *y, const epilogue_t *e,
                   ptrdiff_t first, ptrdiff_t last, ptrdiff_t p0, ptrdiff_t p1) {
    const int cells = g->x_cells;
    const span_t all = span_of(g, x);
    const image3_tiles_t *tiles = &image3_tiles[cells][g->w.stride - 1];
    const ptrdiff_t block = g->w.out > IMAGE3_WIDE ? IMAGE3_ROWS : p1 - p0;
    /* Of planes that no first-level cache holds a tile's rows are too short for the processor to
     * see what comes next. */
    const int large = g->h.in * g->w.in > IMAGE3_FAR;
    real copy[IMAGE3_COPIED * NARROW_READS];
    image3_t c = {.y_row = g->h.y_stride, .in = g->h.in, .top = -g->h.pad, .columns = g->w.out};
    c.e = epilogue_acts(e) ? e : NULL;
    lane_mask lanes;
    const int stride = (int)g->w.stride, narrow = g->w.out < LANES;
    if (narrow)
        windows_masks(&g->w, windows_halved(cells, stride), stride, g->w.out, c.inside, &lanes);
    for (ptrdiff_t slab = first; slab < last; slab++) {
        const ptrdiff_t n = slab / g->G, group = slab % g->G;
        const void *plane = cell_at(cells, x, n * g->x_n + group * g->x_c);
        c.x = plane, c.x_row = g->h.x_stride;
        if (narrow)
            c.x = readable(cells, all, plane, &c.x_row, g->h.in, 1, g->w.in, g->w.pad, NARROW_READS,
                           copy);
        c.ahead = slab + 1 < last && group + 1 < g->G && large ? g->x_c : 0;
        for (ptrdiff_t k = 0; k < g->K; k++) {
            c.filter = group * g->K + k;
            c.w = (const real *)w + c.filter * 9;
            c.y = (char *)y + (n * g->y_n + c.filter * g->y_k) * cell_bytes(cells);
            for (ptrdiff_t p = p0; p < p1; p += block)
                image3_rows(g, tiles, &c, p, p + block < p1 ? p + block : p1);
        }
    }
}
