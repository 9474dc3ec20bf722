/* Means of boxes of bytes: whole numbers, so that sums may run.
 *
 *     image ── add the row that enters, take off the one that leaves ──► sums of columns, u16
 *       sums of columns, with what lies around them ── along the row ──► sums of boxes ── / d ──►
 *
 * The image is read in place: what lies beyond its left and right border is the sum of the column
 * that stands there. Along the row small sums stay in u16 and are doubled; others are differences
 * of running sums in u32, which may wrap. Every sum is exact, whatever its order. */
enum { COLUMN_MOST = 257 }; /* of 255, in u16 */

VECTORIZED static void enter_bytes(const uint8_t *x, ptrdiff_t n, uint16_t *sums) {
    for (ptrdiff_t j = 0; j < n; j++) sums[j] += x[j];
}
VECTORIZED static void leave_bytes(const uint8_t *x, ptrdiff_t n, uint16_t *sums) {
    for (ptrdiff_t j = 0; j < n; j++) sums[j] -= x[j];
}
VECTORIZED static void slide_bytes(const uint8_t *enter, const uint8_t *leave, ptrdiff_t n,
                                   uint16_t *sums) {
    for (ptrdiff_t j = 0; j < n; j++) sums[j] += enter[j] - leave[j];
}

/* sums / d, which a byte holds. An odd d has no ties, and its quotients lie so far from them that
 * a product with 1 / d is rounded alike. */
VECTORIZED static void mean_bytes(const uint16_t *sums, ptrdiff_t n, real d, uint8_t *to) {
    if ((int)d % 2) {
        const real scale = 1 / d;
        for (ptrdiff_t j = 0; j < n; j++) to[j] = (uint8_t)(int32_t)NEAREST(sums[j] * scale);
    } else
        for (ptrdiff_t j = 0; j < n; j++) to[j] = (uint8_t)(int32_t)NEAREST(sums[j] / d);
}
VECTORIZED static void mean_words(const uint16_t *sums, ptrdiff_t n, real d, real *to) {
    for (ptrdiff_t j = 0; j < n; j++) to[j] = sums[j] / d;
}
VECTORIZED static void mean_between(const uint32_t *first, const uint32_t *end, ptrdiff_t n, real d,
                                    real *to) {
    for (ptrdiff_t j = 0; j < n; j++) to[j] = (real)(int32_t)(end[j] - first[j]) / d;
}

typedef uint16_t words __attribute__((vector_size(VECTOR_BYTES)));
#define CELL uint16_t
#define CELLS words
#define ALONG words_along
#define OVER(v, d) ((void)(d), (v))
#include "along_body.h"
#undef CELL
#undef CELLS
#undef ALONG
#undef OVER

/* running[i] = the sum of x[i - step], x[i - 2 step], ...; n + step of them. */
static void run_along(const uint16_t *x, ptrdiff_t n, ptrdiff_t step, uint32_t *running) {
    for (ptrdiff_t k = 0; k < step; k++) {
        uint32_t sum = running[k] = 0;
        for (ptrdiff_t i = k; i < n; i += step) running[i + step] = sum += x[i];
    }
}

/* The sums of the plane's columns with those around them: `sums` has room on either side. */
static void extend_columns(const chain_t *c, uint16_t *sums, ptrdiff_t left, ptrdiff_t right) {
    const ptrdiff_t step = c->step;
    for (ptrdiff_t q = -left; q < c->columns + right; q++) {
        if (q == 0) q = c->columns;
        if (q >= c->columns + right) break;
        const ptrdiff_t p = border_source(c->column_border, q, c->columns);
        for (ptrdiff_t k = 0; k < step; k++)
            sums[q * step + k] = p < 0 ? 0 : sums[p * step + k];
    }
}

/* From the column sums of some rows to those of others: row `enter` more, row `leave` less. */
static void slide_row(const chain_t *c, const uint8_t *x, ptrdiff_t enter, ptrdiff_t leave,
                      uint16_t *sums) {
    const ptrdiff_t in = border_source(c->row_border, enter, c->rows), n = c->columns * c->step;
    const ptrdiff_t out = border_source(c->row_border, leave, c->rows);
    if (in >= 0 && out >= 0)
        slide_bytes(x + in * c->x_row, x + out * c->x_row, n, sums);
    else if (in >= 0)
        enter_bytes(x + in * c->x_row, n, sums);
    else if (out >= 0)
        leave_bytes(x + out * c->x_row, n, sums);
}

/* Elements of scratch: rows of words and of u32, each with what lies around it. */
static ptrdiff_t bytes_scratch(const chain_t *c) {
    const ptrdiff_t wide = (c->columns + c->left + c->right + 1) * c->step + CYCONV_SPARE;
    return 5 * wide;
}

static void bytes_tile(const chain_t *c, const char *x, char *y, ptrdiff_t row0, ptrdiff_t row1,
                       ptrdiff_t column0, ptrdiff_t column1, real *scratch) {
    const ptrdiff_t step = c->step, n = c->columns * step, wide = bytes_scratch(c) / 5;
    const ptrdiff_t first = column0 * step, some = (column1 - column0) * step;
    const ptrdiff_t high = c->box_rows, along = c->box_columns, left = c->box_left;
    const real d = (real)c->box_divisor;
    const int small = high * along <= COLUMN_MOST;
    const int bytes = small && c->target == CYCONV_U8 && d == high * along;
    const int direct = c->target == (storage_t)OWN_TYPE && c->y_row % REAL_BYTES == 0;
    uint16_t *sums = (uint16_t *)scratch + left * step, *work = (uint16_t *)(scratch + wide);
    uint32_t *running = (uint32_t *)(scratch + 2 * wide);
    uint16_t *boxes = (uint16_t *)running; /* of a small box */
    memset(sums, 0, n * sizeof *sums);
    for (ptrdiff_t r = row0 - c->box_up; r < row0 - c->box_up + high; r++) {
        const ptrdiff_t source = border_source(c->row_border, r, c->rows);
        if (source >= 0) enter_bytes((const uint8_t *)x + source * c->x_row, n, sums);
    }
    for (ptrdiff_t r = row0; r < row1; r++) {
        char *to = y + r * c->y_row + first * storage_size(c->target);
        real *cells = direct ? (real *)to : scratch + 4 * wide;
        const uint16_t *from = sums + first - left * step;
        extend_columns(c, sums, left, along - 1 - left);
        if (small)
            words_along(along, 1, from, some, step, work, work + wide, boxes);
        else
            run_along(from, some + (along - 1) * step, step, running);
        if (bytes)
            mean_bytes(boxes, some, d, (uint8_t *)to);
        else if (small)
            mean_words(boxes, some, d, cells);
        else
            mean_between(running, running + along * step, some, d, cells);
        if (!bytes && !direct) store_cells(c->target, c->saturate, cells, some, to);
        if (r + 1 < row1)
            slide_row(c, (const uint8_t *)x, r - c->box_up + high, r - c->box_up, sums);
    }
}
