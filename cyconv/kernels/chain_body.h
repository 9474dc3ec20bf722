/* Chains of stages over tiles of an image: see chain.h. */
#include "storage_body.h"

#include "weighted_body.h"

#include "boxes_body.h"

#include "tile_rows_body.h"
#if REAL_BYTES == 4
#include "bytes_body.h"
#endif

/* `rows` rows of n elements, of which in[0], in row `row` and column `column` of the plane, is the
 * first that is read.
 * Whole vectors are written, by twos where the kernel is dense; n elements of a box. */
static void run_stage(const chain_t *c, const stage_t *s, blocks_t *blocks, const real *in,
                      ptrdiff_t row, ptrdiff_t column, ptrdiff_t rows, ptrdiff_t n, real *work,
                      real *out, ptrdiff_t out_pitch) {
    const ptrdiff_t pitch = c->pitch;
    if (s->box && s->down) {
        for (ptrdiff_t i = 0; i < rows + s->box - 1; i++) blocks->rows[i] = in + i * pitch;
        box_down(s, blocks, blocks->rows, row, rows, n, out, out_pitch);
    } else if (s->box > LONG && c->step <= PIXEL)
        long_box_along(s, in, pitch, column, rows, n, c->step, work, out, out_pitch);
    else if (s->box)
        box_along(s, in, pitch, rows, n, c->step, work, out, out_pitch);
    else
        run_weighted(s, c->step, in, pitch, rows, n, out, out_pitch);
}

/* Whether the last stage of a branch writes the result itself: no other pass over it is needed. */
static int writes_result(const chain_t *c) {
    return c->finish == CYCONV_EACH && c->target == (storage_t)OWN_TYPE &&
           c->y_row % REAL_BYTES == 0;
}

/* Rows [first, end) of the plane, as a stage reads them. There is room for `most`. */
typedef struct {
    real *cells;
    ptrdiff_t first, end, most;
} rows_t;

static real *row_of(const chain_t *c, const rows_t *b, ptrdiff_t row) {
    return b->cells + (row - b->first) * c->pitch;
}

/* Room for the rows before `end`; those above `from` are read no more. */
static void make_room(const chain_t *c, rows_t *b, ptrdiff_t from, ptrdiff_t end) {
    if (end - b->first <= b->most) return;
    memmove(b->cells, row_of(c, b, from), (b->end - from) * c->pitch * sizeof(real));
    b->first = from;
}

/* What a branch keeps from one band of rows to the next. */
typedef struct {
    rows_t between; /* its first stage's, where there is a second */
    blocks_t blocks[CYCONV_STAGES];
} branch_t;

/* The last stage of a branch, its rows of n elements stored at `y`. */
static void run_last(const chain_t *c, const stage_t *s, blocks_t *blocks, const real *in,
                     const area_t *area, ptrdiff_t n, real *work, real *out, char *y) {
    const ptrdiff_t rows = area->row1 - area->row0, row = area->row0 - s->up;
    const ptrdiff_t column = area->column0 - s->left;
    ptrdiff_t whole = 0;
    if (writes_result(c) && (n >= LANES || !s->down)) {
        whole = s->box ? n : n / (2 * LANES) * (2 * LANES);
        if (whole)
            run_stage(c, s, blocks, in, row, column, rows, whole, work, (real *)y,
                      c->y_row / REAL_BYTES);
    }
    if (whole < n)
        run_stage(c, s, blocks, in + whole, row, column, rows, n - whole, work, out, c->pitch);
    for (ptrdiff_t r = 0; whole < n && r < rows; r++)
        store_cells(c->target, c->saturate, out + r * c->pitch, n - whole,
                    y + whole * storage_size(c->target) + r * c->y_row);
}

/* Rows [row0, row1) of a branch from the rows that are loaded: in `out`, or stored at `y`. */
static void run_branch(const chain_t *c, int branch, branch_t *b, const rows_t *loaded,
                       const area_t *result, real *work, real *out, char *y) {
    const stage_t *one = &c->stage[branch][0], *two = c->stages[branch] > 1 ? one + 1 : NULL;
    const ptrdiff_t left = one->left + (two ? two->left : 0), step = c->step;
    area_t area = *result;
    const rows_t *in = loaded;
    ptrdiff_t skipped = (c->left - left) * step;
    if (two) {
        area.row0 = b->between.end, area.row1 += two->below;
        area.column0 -= two->left, area.column1 += two->right;
        make_room(c, &b->between, result->row0 - two->up, area.row1);
    }
    for (int i = 0; i < c->stages[branch]; i++) {
        const stage_t *s = &c->stage[branch][i];
        const ptrdiff_t rows = area.row1 - area.row0, n = (area.column1 - area.column0) * step;
        const int last = i + 1 == c->stages[branch];
        const real *from = row_of(c, in, area.row0 - s->up) + skipped;
        real *to = last ? out : row_of(c, &b->between, area.row0);
        if (last && c->finish == CYCONV_EACH) {
            run_last(c, s, &b->blocks[i], from, &area, n, work, out, y);
            return;
        }
        run_stage(c, s, &b->blocks[i], from, area.row0 - s->up, area.column0 - s->left, rows, n,
                  work, to, c->pitch);
        if (!last || c->finish == CYCONV_SUM || c->finish == CYCONV_LENGTH)
            for (ptrdiff_t r = 0; r < rows; r++)
                rounded_cells(c->between, c->saturate, to + r * c->pitch, n, work);
        if (last) return;
        set_constant(c, &area, to);
        b->between.end = area.row1;
        in = &b->between, skipped = 0, area = *result;
    }
}

/* Squares of words, wrapped as words are: they leave the integers that cells are cast through. */
VECTORIZED static void wrap_words(real *cells, ptrdiff_t n) {
    for (ptrdiff_t j = 0; j < n; j++) cells[j] -= 65536 * (real)floor((double)(cells[j] / 65536));
}

/* `total` with one more branch in it. */
static void add_branch(const chain_t *c, int branch, const real *from, ptrdiff_t rows, ptrdiff_t n,
                       real *work, real *total) {
    for (ptrdiff_t r = 0; r < rows; r++, from += c->pitch, total += c->pitch) {
        if (c->finish == CYCONV_LENGTH) {
            for (ptrdiff_t j = 0; j < n; j += LANES) {
                const vec v = load(from + j);
                store(work + j, v * v);
            }
            if (c->between == CYCONV_U16) wrap_words(work, n);
            rounded_cells(c->between, 0, work, n, work + c->pitch);
        }
        const real *term = c->finish == CYCONV_LENGTH ? work : from;
        if (!branch) {
            for (ptrdiff_t j = 0; j < n; j += LANES) store(total + j, load(term + j));
            continue;
        }
        for (ptrdiff_t j = 0; j < n; j += LANES) store(total + j, load(total + j) + load(term + j));
        rounded_cells(c->between, 0, total, n, work + c->pitch);
    }
}

VECTORIZED static void square_roots(const real *from, ptrdiff_t n, real *to) {
#if REAL_BYTES == 4
    for (ptrdiff_t j = 0; j < n; j++) to[j] = sqrtf(from[j]);
#else
    for (ptrdiff_t j = 0; j < n; j++) to[j] = sqrt(from[j]);
#endif
}

/* a = sqrt(a^2 + b^2). A sum of squares between these bounds has not overflowed, and what vanished
 * from it could not be seen; a row with another one is computed by hypot. */
static void lengths(real *a, const real *b, ptrdiff_t n, real *work) {
    const real small = REAL_BYTES == 4 ? (real)1e-24 : (real)1e-280;
    const real large = REAL_BYTES == 4 ? (real)1e37 : (real)1e300;
    lane_mask plain = ~(lane_mask){0};
    int all = 1;
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        const vec p = load(a + j), q = load(b + j), sum = p * p + q * q;
        plain &= ((sum > splat(small)) & (sum < splat(large))) | ((p == 0) & (q == 0));
        store(work + j, sum);
    }
    for (; j < n; j++) {
        work[j] = a[j] * a[j] + b[j] * b[j];
        all &= (work[j] > small && work[j] < large) || (a[j] == 0 && b[j] == 0);
    }
    for (int l = 0; l < LANES; l++) all &= plain[l] != 0;
    if (!all) {
        for (j = 0; j < n; j++) a[j] = (real)hypot((double)a[j], (double)b[j]);
        return;
    }
    square_roots(work, n, a);
}

static int has_long_box(const chain_t *c) {
    for (int b = 0; b < c->branches; b++)
        for (int i = 0; i < c->stages[b]; i++)
            if (c->stage[b][i].box > LONG && !c->stage[b][i].down) return 1;
    return 0;
}

/* Rows of a result that are made at once: of blocks of four. With many rows around them more, as a
 * group of columns is read again for each band. */
static ptrdiff_t band_rows(const chain_t *c) {
    if (has_long_box(c)) return LANES > 4 ? LANES : 4;
    return c->up + c->below > 12 ? 16 : 4;
}

/* Rows of scratch that a stage works in: the ends of turned windows fill LANES. */
static ptrdiff_t work_rows(const chain_t *c) { return has_long_box(c) && LANES > 4 ? LANES : 4; }

/* What a tile's scratch holds; `divide` returns how many elements, of no scratch too. */
typedef struct {
    rows_t loaded;
    branch_t branch[CYCONV_BRANCHES];
    real *work, *out, *total;
    int32_t *map;
} tile_t;

/* Room for n things of `size` bytes, in whole lines. */
static void *some_bytes(ptrdiff_t n, size_t size, real *scratch, ptrdiff_t *used) {
    real *first = scratch ? scratch + *used : NULL;
    *used += (n * (ptrdiff_t)size + 63) / 64 * 64 / REAL_BYTES;
    return first;
}

static real *some_rows(const chain_t *c, ptrdiff_t rows, real *scratch, ptrdiff_t *used) {
    real *first = scratch ? scratch + *used : NULL;
    *used += rows * c->pitch;
    return first;
}

/* Room for what a box down the rows keeps, and for the places of `rows` rows and its size. */
static void keep_blocks(const chain_t *c, const stage_t *s, ptrdiff_t rows, blocks_t *b,
                        real *scratch, ptrdiff_t *used) {
    if (!s->box || !s->down) return;
    b->next = PTRDIFF_MIN, b->pitch = c->pitch;
    b->beginning = some_rows(c, 1, scratch, used);
    b->ends = some_rows(c, s->box, scratch, used);
    b->rows = some_bytes(rows + s->box, sizeof(real *), scratch, used);
}

static ptrdiff_t divide(const chain_t *c, ptrdiff_t row0, tile_t *t, real *scratch) {
    const ptrdiff_t band = band_rows(c), halo = c->up + c->below;
    ptrdiff_t used = 0;
    t->work = some_rows(c, work_rows(c), scratch, &used);
    t->out = some_rows(c, band, scratch, &used), t->total = some_rows(c, band, scratch, &used);
    t->map = (int32_t *)some_rows(c, 1, scratch, &used);
    t->loaded = (rows_t){NULL, row0 - c->up, row0 - c->up, 2 * halo + band};
    t->loaded.cells = some_rows(c, t->loaded.most, scratch, &used);
    for (int b = 0; b < c->branches; b++)
        for (int i = 0; i < c->stages[b]; i++) {
            const stage_t *s = &c->stage[b][i];
            rows_t *between = &t->branch[b].between;
            blocks_t *blocks = &t->branch[b].blocks[i];
            if (i) {
                *between = (rows_t){NULL, row0 - s->up, row0 - s->up, 0};
                between->most = 2 * (s->up + s->below) + band;
                between->cells = some_rows(c, between->most, scratch, &used);
            }
            keep_blocks(c, s, 2 * halo + band, blocks, scratch, &used);
        }
    return used;
}

#include "in_place_body.h"

#include "sweep_body.h"

#if REAL_BYTES == 4
#include "words_body.h"
#endif

static ptrdiff_t chain_scratch(const chain_t *c) {
    tile_t t;
#if REAL_BYTES == 4
    words_t words;
    if (c->box_rows) return bytes_scratch(c);
    if (sums_fit_words(c)) return divide_words(c, &words, NULL);
#endif
    sweep_t s;
    const ptrdiff_t most = divide(c, 0, &t, NULL);
    in_place_t p;
    const ptrdiff_t other = begins_down(c)          ? divide_sweep(c, &s, NULL)
                            : is_summed_in_place(c) ? divide_in_place(c, &p, NULL)
                                                    : 0;
    return most > other ? most : other;
}

/* What the branches make of a band, stored. */
static void run_band(const chain_t *c, tile_t *t, const area_t *band, char *to) {
    const ptrdiff_t rows = band->row1 - band->row0, n = (band->column1 - band->column0) * c->step;
    for (int b = 0; b < c->branches; b++) {
        run_branch(c, b, &t->branch[b], &t->loaded, band, t->work, t->out, to + b * c->y_branch);
        if (c->finish == CYCONV_SUM || c->finish == CYCONV_LENGTH)
            add_branch(c, b, t->out, rows, n, t->work, t->total);
        for (ptrdiff_t r = 0; r < rows; r++) {
            const real *out = t->out + r * c->pitch;
            real *total = t->total + r * c->pitch;
            if (c->finish == CYCONV_HYPOT && b == 0)
                memcpy(total, out, n * sizeof(real));
            else if (c->finish == CYCONV_HYPOT)
                lengths(total, out, n, t->work);
        }
    }
    if (c->finish == CYCONV_EACH) return;
    for (ptrdiff_t r = 0; r < rows; r++) {
        real *total = t->total + r * c->pitch;
        if (c->finish == CYCONV_LENGTH) square_roots(total, n, total);
        store_cells(c->target, c->saturate, total, n, to + r * c->y_row);
    }
}

/* A tile whose rows are copied with what lies around them. */
static void copied_tile(const chain_t *c, const char *x, char *y, const area_t *tile,
                        real *scratch) {
    const ptrdiff_t size = storage_size(c->target);
    tile_t t;
    divide(c, tile->row0, &t, scratch);
    area_t band = *tile;
    const area_t across = {tile->row0, tile->row1, tile->column0 - c->left,
                           tile->column1 + c->right};
    map_border(c, &across, t.map);
    for (; band.row0 < tile->row1; band.row0 = band.row1) {
        const ptrdiff_t left = tile->row1 - band.row0;
        band.row1 = band.row0 + (band_rows(c) < left ? band_rows(c) : left);
        const ptrdiff_t end = band.row1 + c->below;
        make_room(c, &t.loaded, band.row0 - c->up, end);
        for (; t.loaded.end < end; t.loaded.end++)
            load_row(c, x, t.loaded.end, &across, t.map, row_of(c, &t.loaded, t.loaded.end));
        run_band(c, &t, &band, y + band.row0 * c->y_row + tile->column0 * c->step * size);
    }
}

static void chain_tile(const chain_t *c, const char *x, char *y, ptrdiff_t row0, ptrdiff_t row1,
                       ptrdiff_t column0, ptrdiff_t column1, void *scratch) {
    const area_t whole = {row0, row1, column0, column1};
#if REAL_BYTES == 4
    if (c->box_rows) {
        bytes_tile(c, x, y, row0, row1, column0, column1, scratch);
        return;
    }
    if (sums_fit_words(c)) {
        words_tile(c, x, y, &whole, scratch);
        return;
    }
#endif
    if (begins_down(c) && sweep_tile(c, x, y, &whole, scratch)) return;
    area_t top = whole, inner = whole, bottom = whole;
    if (row0 < c->up) inner.row0 = c->up;
    if (row1 > c->rows - c->below) inner.row1 = c->rows - c->below;
    if (inner.row1 < inner.row0 + FEW_ROWS || !is_summed_in_place(c) ||
        !in_place_tile(c, x, y, &inner, scratch)) {
        copied_tile(c, x, y, &whole, scratch);
        return;
    }
    top.row1 = inner.row0, bottom.row0 = inner.row1;
    if (top.row0 < top.row1) copied_tile(c, x, y, &top, scratch);
    if (bottom.row0 < bottom.row1) copied_tile(c, x, y, &bottom, scratch);
}
