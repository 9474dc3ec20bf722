/* Sums of boxes: of n cells down the rows or along them, at a cost that hardly grows with n. */

/* What becomes of the sum of a box: a product, or a quotient, which is another number. */
typedef struct {
    vec factor, divisor, inverse;
    int divides;
} mean_t;
INLINE mean_t mean_of(const stage_t *s) {
    const real divisor = (real)s->divisor;
    return (mean_t){splat((real)s->factor), splat(divisor), splat(1 / divisor), divisor != 1};
}
INLINE vec mean_cells(vec sum, const mean_t *m) {
    return m->divides ? quotient(sum, m->divisor, m->inverse) : sum * m->factor;
}

/* What a box down the rows keeps from one band of rows to the next: the ends of the block that its
 * windows begin in, n rows, and the sum of the beginning of the next. */
typedef struct {
    real *ends, *beginning;
    ptrdiff_t next; /* the plane's row where the next block begins */
} blocks_t;

/* The ends of the block that row `row` lies in, from that row on, and the beginning that the
 * windows before the next one have in common. */
static void enter_block(const stage_t *s, blocks_t *b, const real *in, ptrdiff_t pitch,
                        ptrdiff_t row, ptrdiff_t columns) {
    enum { V = 4 };
    const ptrdiff_t n = s->box, into = (row % n + n) % n, rest = n - into;
    b->next = row + rest;
    for (ptrdiff_t j = 0; j < columns; j += V * LANES) {
        real *ends = b->ends + into * pitch + j;
        vec sum[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sum[v] = load(in + (rest - 1) * pitch + j + v * LANES);
        for (ptrdiff_t i = rest - 1;;) {
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) store(ends + i * pitch + v * LANES, sum[v]);
            if (--i < 0) break;
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) sum[v] += load(in + i * pitch + j + v * LANES);
        }
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sum[v] = (vec){0};
        for (ptrdiff_t i = rest; i < n - 1; i++)
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) sum[v] += load(in + i * pitch + j + v * LANES);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) store(b->beginning + j + v * LANES, sum[v]);
    }
}

/* The sums of n rows. The rows of the plane are cut into blocks of n; a window is the end of one
 * block and the beginning of the next:
 *
 *     | . . a b c | d e . . . |       a + (b + c)  +  (d + e)
 *
 * Ends are summed upwards, beginnings downwards: three additions a cell for any n, no difference
 * of large numbers, and what is not finite leaves with its window. `row` is the plane's row that
 * in[0] is; calls go on where the last one ended. */
static void box_down(const stage_t *s, blocks_t *b, const real *in, ptrdiff_t pitch, ptrdiff_t row,
                     ptrdiff_t rows, ptrdiff_t columns, real *out, ptrdiff_t out_pitch) {
    enum { V = 4 };
    const ptrdiff_t n = s->box;
    const mean_t mean = mean_of(s);
    for (ptrdiff_t r = 0, last; r < rows; r = last) {
        if (row + r >= b->next) enter_block(s, b, in + r * pitch, pitch, row + r, columns);
        last = b->next - row < rows ? b->next - row : rows;
        for (ptrdiff_t j = 0; j < columns; j += V * LANES) {
            const real *ends = b->ends + (row + n - b->next) * pitch + j;
            vec sum[V];
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) sum[v] = load(b->beginning + j + v * LANES);
            for (ptrdiff_t i = r; i < last; i++) {
                const int more = row + i + n > b->next;
#pragma GCC unroll 8
                for (int v = 0; v < V; v++) {
                    if (more) sum[v] += load(in + (i + n - 1) * pitch + j + v * LANES);
                    const vec whole = load(ends + i * pitch + v * LANES) + sum[v];
                    store(out + i * out_pitch + j + v * LANES, mean_cells(whole, &mean));
                }
            }
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) store(b->beginning + j + v * LANES, sum[v]);
        }
    }
}

#define CELL real
#define CELLS vec
#define ALONG sums_along
#define MEAN(v) mean_cells(v, &mean)
#define PREPARE(s) const mean_t mean = mean_of(s)
#include "along_body.h"
#undef CELL
#undef CELLS
#undef ALONG
#undef MEAN
#undef PREPARE

/* The sums of n neighbours along each row, some at a time: what is summed for them stays in the
 * first-level cache. `work` holds two rows. */
static void box_along(const stage_t *s, const real *in, ptrdiff_t pitch, ptrdiff_t rows,
                      ptrdiff_t columns, ptrdiff_t step, real *work, real *out,
                      ptrdiff_t out_pitch) {
    enum { SOME = 4096 / sizeof(real) };
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < columns; j += SOME)
            sums_along(s, s->box, in + r * pitch + j, columns - j < SOME ? columns - j : SOME, step,
                       work, work + pitch, out + r * out_pitch + j);
}

/* Rows whose long windows are summed together, as vectors of one cell of each. */
enum { GROUPS = 2, TOGETHER = GROUPS * LANES, LONG = 16 };

/* to[j][r] = from[r][j], or back: n cells of `rows` rows, the last of which stands for others. */
static void turn_in(const real *from, ptrdiff_t pitch, ptrdiff_t rows, ptrdiff_t n, real *to) {
    vec block[LANES];
    for (ptrdiff_t j = 0; j < n; j += LANES)
        for (int g = 0; g < GROUPS; g++) {
            for (int l = 0; l < LANES; l++) {
                const ptrdiff_t r = g * LANES + l < rows ? g * LANES + l : rows - 1;
                block[l] = load(from + r * pitch + j);
            }
            transpose(block);
            for (int l = 0; l < LANES; l++) store(to + (j + l) * TOGETHER + g * LANES, block[l]);
        }
}

static void turn_out(const real *from, ptrdiff_t pitch, ptrdiff_t rows, ptrdiff_t n, real *to) {
    vec block[LANES];
    for (ptrdiff_t j = 0; j < n; j += LANES)
        for (int g = 0; g < GROUPS; g++) {
            for (int l = 0; l < LANES; l++) block[l] = load(from + (j + l) * TOGETHER + g * LANES);
            transpose(block);
            for (int l = 0; l < LANES && g * LANES + l < rows; l++) {
                real *y = to + (g * LANES + l) * pitch + j;
                if (j + LANES <= n)
                    store(y, block[l]);
                else
                    store_few(y, block[l], n - j);
            }
        }
}

INLINE void add_cells(vec *sum, const real *cells) {
#pragma GCC unroll 8
    for (int g = 0; g < GROUPS; g++) sum[g] += load(cells + g * LANES);
}
INLINE void store_sums(real *cells, const vec *sum) {
#pragma GCC unroll 8
    for (int g = 0; g < GROUPS; g++) store(cells + g * LANES, sum[g]);
}

/* The sums of windows as `box_down` has them, along turned rows; `column` is the plane's where x
 * begins. One of the elements of a pixel at a time. */
static void long_windows(const stage_t *s, const real *x, ptrdiff_t column, ptrdiff_t columns,
                         ptrdiff_t step, real *y) {
    const ptrdiff_t n = s->box, cell = step * TOGETHER;
    const mean_t mean = mean_of(s);
    for (ptrdiff_t first = 0, next; first < columns; first = next) {
        next = first + n - ((column + first) % n + n) % n;
        const ptrdiff_t last = next < columns ? next : columns;
        vec sum[GROUPS] = {{0}};
        for (ptrdiff_t i = next - 1; i >= first; i--) {
            add_cells(sum, x + i * cell);
            store_sums(y + i * cell, sum);
        }
        vec beginning[GROUPS] = {{0}};
        for (ptrdiff_t i = next; i < first + n - 1; i++) add_cells(beginning, x + i * cell);
        for (ptrdiff_t i = first; i < last; i++) {
            if (i + n > next) add_cells(beginning, x + (i + n - 1) * cell);
            vec whole[GROUPS];
#pragma GCC unroll 8
            for (int g = 0; g < GROUPS; g++) whole[g] = beginning[g];
            add_cells(whole, y + i * cell);
#pragma GCC unroll 8
            for (int g = 0; g < GROUPS; g++) whole[g] = mean_cells(whole[g], &mean);
            store_sums(y + i * cell, whole);
        }
    }
}

/* The sums of many neighbours along rows: the rows are turned, and their windows are cut into
 * blocks as those down the rows are. `work` holds two times TOGETHER rows. */
static void long_box_along(const stage_t *s, const real *in, ptrdiff_t pitch, ptrdiff_t column,
                           ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t step, real *work, real *out,
                           ptrdiff_t out_pitch) {
    real *x = work, *y = work + TOGETHER * pitch;
    const ptrdiff_t most = 256 + 2 * s->box; /* columns that stay near while they are summed */
    for (ptrdiff_t r = 0; r < rows; r += TOGETHER) {
        const ptrdiff_t some = rows - r < TOGETHER ? rows - r : TOGETHER;
        for (ptrdiff_t first = 0; first < columns / step; first += most) {
            const ptrdiff_t n = columns / step - first < most ? columns / step - first : most;
            const ptrdiff_t place = first * step;
            turn_in(in + r * pitch + place, pitch, some, (n + s->box - 1) * step, x);
            for (ptrdiff_t k = 0; k < step; k++)
                long_windows(s, x + k * TOGETHER, column + first, n, step, y + k * TOGETHER);
            turn_out(y, out_pitch, some, n * step, out + r * out_pitch + place);
        }
    }
}
