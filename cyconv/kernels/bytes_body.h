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

/* m / 2^(16 + shift) = (1 + e) / d with so small an e that all of these products, of sums of d
 * bytes and d / 2, are truncated as their quotients are. 0 where no such m of 16 bits is found. */
static uint16_t reciprocal(int d, int *shift) {
    *shift = 0;
    while (2 << *shift <= d) ++*shift;
    const int64_t one = (int64_t)1 << (16 + *shift), m = one / d + 1, most = 255 * d + d / 2;
    return most <= UINT16_MAX && m <= UINT16_MAX && most * (m * d - one) < one ? (uint16_t)m : 0;
}

/* sums / d to nearest, of d bytes each. An odd d has no ties. */
VECTORIZED static void mean_odd(const uint16_t *sums, ptrdiff_t n, int d, uint16_t m, int shift,
                                uint8_t *to) {
    const uint16_t half = (uint16_t)(d / 2);
    for (ptrdiff_t j = 0; j < n; j++) {
        const uint16_t sum = sums[j] + half;
        to[j] = (uint8_t)((uint16_t)((uint32_t)sum * m >> 16) >> shift);
    }
}
VECTORIZED static void mean_any(const uint16_t *sums, ptrdiff_t n, real d, uint8_t *to) {
    for (ptrdiff_t j = 0; j < n; j++) to[j] = (uint8_t)(int32_t)NEAREST(sums[j] / d);
}
static void mean_bytes(const uint16_t *sums, ptrdiff_t n, int d, uint8_t *to) {
    int shift;
    const uint16_t m = d % 2 ? reciprocal(d, &shift) : 0;
    if (m)
        mean_odd(sums, n, d, m, shift, to);
    else
        mean_any(sums, n, (real)d, to);
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
#define MEAN(v) (v)
#define PREPARE(s) (void)s
#include "along_body.h"
#undef CELL
#undef CELLS
#undef ALONG
#undef MEAN
#undef PREPARE

typedef uint32_t counts __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t counts_unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(4)));
typedef uint16_t half_words __attribute__((vector_size(VECTOR_BYTES / 2)));
/* v[0], v[0] + v[1], ..., by doubling. */
INLINE counts sums_within(counts v) {
    const counts zero = {0};
    (void)zero;
#if LANES == 4
    v += SHUFFLE(zero, v, 3, 4, 5, 6);
    v += SHUFFLE(zero, v, 2, 3, 4, 5);
#elif LANES == 8
    v += SHUFFLE(zero, v, 0, 8, 9, 10, 4, 12, 13, 14);
    v += SHUFFLE(zero, v, 0, 1, 8, 9, 4, 5, 12, 13);
    const counts half = SHUFFLE(zero, v, 0, 1, 2, 3, 11, 11, 11, 11);
    v += half;
#endif
    return v;
}

/* running[i] = the sum of x[i - step], x[i - 2 step], ...; n + step of them, and whole vectors. */
static void run_along(const uint16_t *x, ptrdiff_t n, ptrdiff_t step, uint32_t *running) {
    if (step > 1 || LANES > 8) {
        for (ptrdiff_t k = 0; k < step; k++) {
            uint32_t sum = running[k] = 0;
            for (ptrdiff_t i = k; i < n; i += step) running[i + step] = sum += x[i];
        }
        return;
    }
    counts before = {running[0] = 0};
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        half_words narrow;
        memcpy(&narrow, x + i, sizeof narrow);
        const counts cells = sums_within(__builtin_convertvector(narrow, counts)) + before;
        *(counts_unaligned *)(running + 1 + i) = cells;
#if LANES == 8
        before = SHUFFLE(cells, cells, 7, 7, 7, 7, 7, 7, 7, 7);
#elif LANES == 4
        before = SHUFFLE(cells, cells, 3, 3, 3, 3);
#endif
    }
}

/* For the columns left and right of the plane that a box reads, one after the other: the cell whose
 * sum stands there, -1 where that is 0. */
static void map_columns(const chain_t *c, ptrdiff_t left, ptrdiff_t right, int32_t *map) {
    for (ptrdiff_t q = -left; q < c->columns + right; q++) {
        if (q == 0) q = c->columns;
        if (q >= c->columns + right) break;
        const ptrdiff_t p = border_source(c->column_border, q, c->columns);
        for (ptrdiff_t k = 0; k < c->step; k++) *map++ = (int32_t)(p < 0 ? -1 : p * c->step + k);
    }
}

static void extend_columns(const int32_t *map, ptrdiff_t n, const uint16_t *sums, uint16_t *to) {
    for (ptrdiff_t j = 0; j < n; j++) to[j] = map[j] < 0 ? 0 : sums[map[j]];
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

/* Elements of scratch: rows of words, of u32 and of indices, with what lies around them. */
static ptrdiff_t bytes_scratch(const chain_t *c) {
    const ptrdiff_t wide = (c->columns + c->left + c->right + 1) * c->step + CYCONV_SPARE;
    return 6 * wide;
}

static void bytes_tile(const chain_t *c, const char *x, char *y, ptrdiff_t row0, ptrdiff_t row1,
                       ptrdiff_t column0, ptrdiff_t column1, real *scratch) {
    const ptrdiff_t step = c->step, n = c->columns * step, wide = bytes_scratch(c) / 6;
    const ptrdiff_t first = column0 * step, some = (column1 - column0) * step;
    const ptrdiff_t high = c->box_rows, along = c->box_columns, left = c->box_left;
    const real d = (real)c->box_divisor;
    const int small = high * along <= COLUMN_MOST;
    const int bytes = small && c->target == CYCONV_U8 && d == high * along;
    const int direct = c->target == (storage_t)OWN_TYPE && c->y_row % REAL_BYTES == 0;
    uint16_t *sums = (uint16_t *)scratch + left * step, *work = (uint16_t *)(scratch + wide);
    uint32_t *running = (uint32_t *)(scratch + 2 * wide);
    uint16_t *boxes = (uint16_t *)running; /* of a small box */
    int32_t *map = (int32_t *)(scratch + 5 * wide);
    map_columns(c, left, along - 1 - left, map);
    memset(sums, 0, n * sizeof *sums);
    for (ptrdiff_t r = row0 - c->box_up; r < row0 - c->box_up + high; r++) {
        const ptrdiff_t source = border_source(c->row_border, r, c->rows);
        if (source >= 0) enter_bytes((const uint8_t *)x + source * c->x_row, n, sums);
    }
    for (ptrdiff_t r = row0; r < row1; r++) {
        char *to = y + r * c->y_row + first * storage_size(c->target);
        real *cells = direct ? (real *)to : scratch + 4 * wide;
        const uint16_t *from = sums + first - left * step;
        extend_columns(map, left * step, sums, sums - left * step);
        extend_columns(map + left * step, (along - 1 - left) * step, sums, sums + n);
        if (small)
            words_along(NULL, along, from, some, step, work, work + wide, boxes);
        else
            run_along(from, some + (along - 1) * step, step, running);
        if (bytes)
            mean_bytes(boxes, some, (int)d, (uint8_t *)to);
        else if (small)
            mean_words(boxes, some, d, cells);
        else
            mean_between(running, running + along * step, some, d, cells);
        if (!bytes && !direct) store_cells(c->target, c->saturate, cells, some, to);
        if (r + 1 < row1)
            slide_row(c, (const uint8_t *)x, r - c->box_up + high, r - c->box_up, sums);
    }
}
