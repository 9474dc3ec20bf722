/* Rows of a tile: loaded with what lies around them, and rounded as a type holds them. */

/* The type of an image whose cells are sums as they are. */
enum { OWN_TYPE = REAL_BYTES == 4 ? CYCONV_F32 : CYCONV_F64 };

/* Cells as they are after `type` held them. */
static void rounded_cells(storage_t type, int saturate, real *cells, ptrdiff_t n, void *held) {
    if (type == (storage_t)OWN_TYPE) return;
    store_cells(type, saturate, cells, n, held);
    load_cells(type, held, n, cells);
}

/* A rectangle of cells in the plane: what a tile holds of it. */
typedef struct {
    ptrdiff_t row0, row1, column0, column1;
} area_t;

/* The cells of `a` outside the plane, where the border is a constant. */
static void set_constant(const chain_t *c, const area_t *a, real *tile) {
    const ptrdiff_t width = (a->column1 - a->column0) * c->step;
    const ptrdiff_t left = a->column0 < 0 ? -a->column0 * c->step : 0;
    const ptrdiff_t right = a->column1 > c->columns ? (a->column1 - c->columns) * c->step : 0;
    const real value = (real)c->constant;
    for (ptrdiff_t r = a->row0; r < a->row1; r++, tile += c->pitch) {
        if (c->row_border == CYCONV_CONSTANT && (r < 0 || r >= c->rows))
            for (ptrdiff_t j = 0; j < width; j++) tile[j] = value;
        if (c->column_border != CYCONV_CONSTANT) continue;
        for (ptrdiff_t j = 0; j < left && j < width; j++) tile[j] = value;
        for (ptrdiff_t j = width > right ? width - right : 0; j < width; j++) tile[j] = value;
    }
}

/* Of the elements of a tile's row outside [first, last) of the plane's columns, one after the
 * other: the element of the row that is the same, or -1 - j for element j of the plane's row, which
 * the tile does not hold; INT32_MIN for the constant. */
static void map_border(const chain_t *c, const area_t *a, int32_t *map) {
    const ptrdiff_t first = a->column0 > 0 ? a->column0 : 0, step = c->step;
    const ptrdiff_t last = a->column1 < c->columns ? a->column1 : c->columns;
    for (ptrdiff_t q = a->column0; q < a->column1; q++) {
        if (q == first && first < last) q = last;
        if (q >= a->column1) break;
        const ptrdiff_t p = border_source(c->column_border, q, c->columns);
        for (ptrdiff_t k = 0; k < step; k++)
            *map++ = p < 0                    ? INT32_MIN
                     : p >= first && p < last ? (int32_t)((p - a->column0) * step + k)
                                              : (int32_t)(-1 - (p * step + k));
    }
}

/* n elements of a tile's row `whole`, by the map, at `to`; `row` is the plane's. */
static void load_border(const chain_t *c, const char *row, const int32_t *map, ptrdiff_t n,
                        const real *whole, real *to) {
    for (ptrdiff_t j = 0; j < n; j++)
        if (map[j] >= 0)
            to[j] = whole[map[j]];
        else if (map[j] == INT32_MIN)
            to[j] = (real)c->constant;
        else
            load_cells(c->source, row - (map[j] + 1) * storage_size(c->source), 1, to + j);
}

/* Row `r` of the plane, which may lie outside it, between the columns of `a`. */
static void load_row(const chain_t *c, const char *x, ptrdiff_t r, const area_t *a,
                     const int32_t *map, real *to) {
    const ptrdiff_t source = border_source(c->row_border, r, c->rows), step = c->step;
    const ptrdiff_t first = a->column0 > 0 ? a->column0 : 0;
    const ptrdiff_t last = a->column1 < c->columns ? a->column1 : c->columns;
    const ptrdiff_t n = (a->column1 - a->column0) * step;
    const char *row = x + source * c->x_row;
    if (source < 0) {
        for (ptrdiff_t j = 0; j < n; j++) to[j] = (real)c->constant;
        return;
    }
    if (first >= last) {
        load_border(c, row, map, n, to, to);
        return;
    }
    const ptrdiff_t before = (first - a->column0) * step, inside = (last - first) * step;
    load_cells(c->source, row + first * step * storage_size(c->source), inside, to + before);
    load_border(c, row, map, before, to, to);
    load_border(c, row, map + before, n - before - inside, to, to + before + inside);
}
