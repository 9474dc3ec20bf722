/* Weighted sums over the image as it lies: chains of one stage, whose image and result hold `real`.
 *
 *     edge |            the image itself             | edge
 *
 * Rows whose windows lie in the plane are summed from it, but for a few vectors of columns at a
 * border, which are copied with what lies beyond it; other rows are left to tiles. */
typedef struct {
    ptrdiff_t at, width;             /* elements of the tile's row of results that are made here */
    ptrdiff_t column, lead;          /* the plane's that the copy begins with; elements before */
    ptrdiff_t before, inside, after; /* elements of the copy: beyond the plane, in it, beyond it */
    int32_t *map;
} edge_t;

enum { MANY_ROWS = 16, FEW_ROWS = 8 }; /* at once; where the parts of a length wait */

typedef struct {
    stage_t stage[CYCONV_BRANCHES]; /* places are elements of the image */
    edge_t edge[2];                 /* left and right */
    ptrdiff_t first, n;             /* between them */
    real *cells, *out, *work;
} in_place_t;

/* Whether rows of an image so wide, a column of which is so high, would share their places in the
 * first-level cache, whose ways are 4096 bytes: then they are copied to others that do not. */
static int rows_collide(const chain_t *c, ptrdiff_t rows) {
    const ptrdiff_t apart = c->x_row & -c->x_row; /* the power of two in it */
    return rows > 4 * (4096 / (apart < 64 ? 64 : apart > 4096 ? 4096 : apart));
}

static int is_summed_in_place(const chain_t *c) {
    if (c->source != (storage_t)OWN_TYPE || c->target != (storage_t)OWN_TYPE || c->step > PIXEL ||
        c->x_row % REAL_BYTES || c->y_row % REAL_BYTES || rows_collide(c, c->up + c->below + 2))
        return 0;
    if (c->finish != CYCONV_EACH && c->finish != CYCONV_HYPOT) return 0;
    for (int b = 0; b < c->branches; b++)
        if (c->stages[b] > 1 || c->stage[b][0].box) return 0;
    return 1;
}

static int has_dense(const chain_t *c) {
    for (int b = 0; b < c->branches; b++)
        if (c->stage[b][0].dense) return 1;
    return 0;
}

static ptrdiff_t divide_in_place(const chain_t *c, in_place_t *p, real *scratch) {
    ptrdiff_t used = 0;
    p->cells = some_rows(c, c->up + c->below + MANY_ROWS, scratch, &used);
    p->out = some_rows(c, FEW_ROWS, scratch, &used), p->work = some_rows(c, 1, scratch, &used);
    for (int e = 0; e < 2; e++) p->edge[e].map = some_bytes(c->pitch, 4, scratch, &used);
    for (int b = 0; b < c->branches; b++) {
        const stage_t *s = &c->stage[b][0];
        ptrdiff_t *at = some_bytes(2 * s->terms, sizeof(ptrdiff_t), scratch, &used);
        if (!scratch) continue;
        p->stage[b] = *s;
        p->stage[b].at = at, p->stage[b].mirrored = at + s->terms;
        for (ptrdiff_t t = 0; t < 2 * s->terms; t++) {
            const ptrdiff_t *of = s->pairs ? s->mirrored : s->at;
            const ptrdiff_t place = t < s->terms ? s->at[t] : of[t - s->terms];
            at[t] = place / c->pitch * (c->x_row / REAL_BYTES) + place % c->pitch;
        }
    }
    return used;
}

/* An edge of `width` elements from element `at` of the tile's row on; 0 where it is too wide. */
static int make_edge(const chain_t *c, const area_t *tile, ptrdiff_t at, ptrdiff_t width,
                     edge_t *e) {
    const ptrdiff_t step = c->step, end = tile->column0 + (at + width + step - 1) / step + c->right;
    e->at = at, e->width = width, e->lead = at % step;
    e->column = tile->column0 + at / step - c->left;
    if (!width) return 1;
    const ptrdiff_t first = e->column > 0 ? e->column : 0,
                    last = end < c->columns ? end : c->columns;
    const area_t area = {0, 0, e->column, end};
    e->before = (first - e->column) * step, e->inside = (last - first) * step;
    e->after = (end - last) * step;
    if ((end - e->column) * step + 2 * LANES > c->pitch) return 0;
    map_border(c, &area, e->map);
    return 1;
}

/* Rows [row, end) of the plane, of an edge. */
static void copy_edge(const chain_t *c, const edge_t *e, const char *x, ptrdiff_t row,
                      ptrdiff_t end, real *to) {
    for (x += row * c->x_row; row < end; row++, x += c->x_row, to += c->pitch) {
        copy_row(to + e->before, (const real *)x + e->column * c->step + e->before, 1, e->inside);
        if (e->before) load_border(c, x, e->map, e->before, to, to);
        if (e->after)
            load_border(c, x, e->map + e->before, e->after, to, to + e->before + e->inside);
    }
}

/* `rows` rows of a branch, the first of which reads the plane's row `row`; `cells` are those that
 * the edge's copy begins with, or NULL: all is done but the edges. */
static void sum_in_place(const chain_t *c, const in_place_t *p, int branch, const edge_t *e,
                         const char *x, const area_t *tile, ptrdiff_t row, ptrdiff_t rows, real *y,
                         ptrdiff_t pitch) {
    const stage_t *s = &c->stage[branch][0];
    const ptrdiff_t first = tile->column0 * c->step + p->first - s->left * c->step;
    if (e)
        run_weighted(s, c->step,
                     p->cells + (c->up - s->up) * c->pitch + e->lead +
                         (c->left - s->left) * c->step,
                     c->pitch, rows, e->width, y + e->at, pitch);
    else
        run_weighted(&p->stage[branch], c->step,
                     (const real *)(x + (row - s->up) * c->x_row) + first, c->x_row / REAL_BYTES,
                     rows, p->n, y + p->first, pitch);
}

/* Rows [row0, row1) of a tile, whose windows lie in the plane's rows; 0 where the tile is too
 * narrow for that. */
static int in_place_tile(const chain_t *c, const char *x, char *y, const area_t *tile,
                         real *scratch) {
    const ptrdiff_t wide = has_dense(c) ? 2 * LANES : LANES;
    const ptrdiff_t step = c->step, n = (tile->column1 - tile->column0) * step;
    const ptrdiff_t before = c->left > tile->column0 ? (c->left - tile->column0) * step : 0;
    const ptrdiff_t reach = tile->column1 + c->right - c->columns;
    const ptrdiff_t after = reach > 0 ? reach * step : 0;
    const ptrdiff_t left = (before + wide - 1) / wide * wide;
    in_place_t p;
    if (n < left + after + wide) return 0;
    divide_in_place(c, &p, scratch);
    p.first = left, p.n = (n - left - after) / wide * wide;
    const ptrdiff_t right = (n - left - p.n + wide - 1) / wide * wide;
    if (right > n || !make_edge(c, tile, 0, left, &p.edge[0]) ||
        !make_edge(c, tile, n - right, right, &p.edge[1]))
        return 0;
    const ptrdiff_t pitch = c->y_row / REAL_BYTES, length = c->finish == CYCONV_HYPOT;
    const ptrdiff_t most = length ? FEW_ROWS : MANY_ROWS;
    for (ptrdiff_t row = tile->row0, end; row < tile->row1; row = end) {
        end = row + most < tile->row1 ? row + most : tile->row1;
        char *to = y + row * c->y_row + tile->column0 * step * REAL_BYTES;
        for (int i = 0; i < 3; i++) {
            const edge_t *e = i ? &p.edge[i - 1] : NULL;
            if (e && !e->width) continue;
            if (e) copy_edge(c, e, x, row - c->up, end + c->below, p.cells);
            for (int b = 0; b < c->branches; b++)
                sum_in_place(c, &p, b, e, x, tile, row, end - row,
                             b && length ? p.out : (real *)(to + b * c->y_branch),
                             b && length ? c->pitch : pitch);
        }
        for (ptrdiff_t r = 0; length && r < end - row; r++)
            lengths((real *)(to + r * c->y_row), p.out + r * c->pitch, n, p.work);
    }
    return 1;
}
