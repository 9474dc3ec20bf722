/* Chains of stages over tiles of an image: see chain.h. */
#include "storage_body.h"

/* a * b, rounded: the compiler does not fuse it with a sum. f32 sums are fused. */
#if REAL_BYTES == 4
INLINE vec product(vec a, vec b) { return a * b; }
#else
INLINE vec product(vec a, vec b) {
    vec v = a * b;
#if defined(__AVX512F__) || (defined(__AVX__) && VECTOR_BYTES <= 32) || \
    (defined(__SSE2__) && VECTOR_BYTES <= 16) /* one register holds v */
    __asm__("" : "+v"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#else
    __asm__("" : "+m"(v));
#endif
    return v;
}
#endif

/* sum / divisor, of which `inverse` is 1 / divisor, rounded. What the fused remainder of a product
 * corrects is rounded as the quotient is (Markstein, 1990); where it is NaN, the product was not
 * finite. */
INLINE vec quotient(vec sum, vec divisor, vec inverse) {
#if defined(__FMA__) || defined(__aarch64__)
    const vec near = sum * inverse, rest = sum - near * divisor, v = near + rest * inverse;
    return choose(v == v, v, near);
#else
    (void)inverse;
    return sum / divisor;
#endif
}

/* V vectors of neighbouring cells of a weighted sum; `pairs` is known where this is compiled. */
INLINE void sum_cells(const stage_t *s, int pairs, int V, const real *in, real *out) {
    const real *w = s->w;
    vec sum[8];
    const vec zero = splat(s->dense ? (real)0 : -(real)0); /* -0 changes nothing */
#pragma GCC unroll 8
    for (int v = 0; v < V; v++)
        sum[v] = zero + product(splat(w[0]), load(in + s->at[0] + v * LANES));
    for (ptrdiff_t t = 1; t < s->terms; t++) {
        const vec weight = splat(w[t]);
        const real *a = in + s->at[t], *b = pairs ? in + s->mirrored[t] : NULL;
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
            vec cell = load(a + v * LANES);
            if (pairs > 0) cell += load(b + v * LANES);
            if (pairs < 0) cell -= load(b + v * LANES);
            sum[v] += product(cell, weight);
        }
    }
    if (s->divisor != 1) {
        const vec divisor = splat((real)s->divisor), inverse = splat(1 / (real)s->divisor);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sum[v] = quotient(sum[v], divisor, inverse);
    }
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) store(out + v * LANES, sum[v]);
}

/* The products of one row of cells with the weights at w, w - taps, ... in the sums of the rows of
 * results from `first` to `last`: a cell is loaded once for all. */
INLINE void dense_row(const int first, const int last, const real *w, ptrdiff_t taps,
                      const real *in, ptrdiff_t step, vec sum[][2]) {
    for (ptrdiff_t t = 0; t < taps; t++, in += step, w++) {
        const vec a = load(in), b = load(in + LANES);
#pragma GCC unroll 4
        for (int h = first; h < last; h++) {
            const vec weight = splat(w[-h * taps]);
            sum[h][0] += product(a, weight);
            sum[h][1] += product(b, weight);
        }
    }
}

/* Four rows of two vectors of a dense kernel's sums, of three rows of taps or more. Row i of cells
 * meets row i - h of the weights in row h of the results. */
static void dense_block(const stage_t *s, ptrdiff_t step, const real *in, ptrdiff_t pitch,
                        real *out, ptrdiff_t out_pitch) {
    const ptrdiff_t rows = s->up + s->below + 1, taps = s->left + s->right + 1;
    const real *w = s->w;
    vec sum[4][2] = {{{0}}};
    dense_row(0, 1, w, taps, in, step, sum);
    dense_row(0, 2, w + taps, taps, in + pitch, step, sum);
    dense_row(0, 3, w + 2 * taps, taps, in + 2 * pitch, step, sum);
    w += 3 * taps, in += 3 * pitch;
    for (ptrdiff_t i = 3; i < rows; i++, w += taps, in += pitch)
        dense_row(0, 4, w, taps, in, step, sum);
    dense_row(1, 4, w, taps, in, step, sum);
    dense_row(2, 4, w + taps, taps, in + pitch, step, sum);
    dense_row(3, 4, w + 2 * taps, taps, in + 2 * pitch, step, sum);
#pragma GCC unroll 4
    for (int h = 0; h < 4; h++, out += out_pitch)
        store(out, sum[h][0]), store(out + LANES, sum[h][1]);
}

/* Two rows of n elements of the sums of a kernel of R rows of S taps, whose weights stay in
 * registers. */
INLINE void dense_strip(const int R, const int S, const stage_t *s, ptrdiff_t step, const real *in,
                        ptrdiff_t pitch, ptrdiff_t n, real *out, ptrdiff_t out_pitch) {
    const real *given = s->w;
    vec w[9];
#pragma GCC unroll 9
    for (int t = 0; t < R * S; t++) w[t] = splat(given[t]);
    for (ptrdiff_t j = 0; j < n; j += 2 * LANES) {
        vec sum[2][2] = {{{0}}};
#pragma GCC unroll 4
        for (int i = 0; i <= R; i++)
#pragma GCC unroll 3
            for (int t = 0; t < S; t++) {
                const real *at = in + i * pitch + j + t * step;
                const vec a = load(at), b = load(at + LANES);
#pragma GCC unroll 2
                for (int h = 0; h < 2; h++) {
                    if (i - h < 0 || i - h >= R) continue;
                    sum[h][0] += product(a, w[(i - h) * S + t]);
                    sum[h][1] += product(b, w[(i - h) * S + t]);
                }
            }
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            store(out + h * out_pitch + j, sum[h][0]);
            store(out + h * out_pitch + j + LANES, sum[h][1]);
        }
    }
}

/* Some of `rows` rows of n elements of a dense kernel's sums, from the first on: returns how many.
 */
static ptrdiff_t dense_rows(const stage_t *s, ptrdiff_t step, const real *in, ptrdiff_t pitch,
                            ptrdiff_t rows, ptrdiff_t n, real *out, ptrdiff_t out_pitch) {
    ptrdiff_t r = 0;
    if (s->up + s->below == 2 && s->left + s->right == 2) {
        for (; r + 2 <= rows; r += 2)
            dense_strip(3, 3, s, step, in + r * pitch, pitch, n, out + r * out_pitch, out_pitch);
        return r;
    }
    for (; s->up + s->below > 1 && r + 4 <= rows; r += 4)
        for (ptrdiff_t j = 0; j < n; j += 2 * LANES)
            dense_block(s, step, in + r * pitch + j, pitch, out + r * out_pitch + j, out_pitch);
    return r;
}

/* Rows of `n` elements, in groups of vectors: a group of columns at a time where the stage reads so
 * many rows that only theirs stay near, else row by row. */
INLINE void sum_rows(const stage_t *s, int pairs, const real *in, ptrdiff_t pitch, ptrdiff_t rows,
                     ptrdiff_t n, real *out, ptrdiff_t out_pitch) {
    enum { WIDE = 8, MIDDLE = 4 };
    const int narrow = s->up + s->below > 12;
    const ptrdiff_t group = narrow ? WIDE * LANES : n;
    for (ptrdiff_t first = 0; first < n; first += group)
        for (ptrdiff_t r = 0; r < rows; r++) {
            const ptrdiff_t end = first + group < n ? first + group : n;
            ptrdiff_t j = first;
            for (; j + (WIDE - 1) * LANES < end; j += WIDE * LANES)
                sum_cells(s, pairs, WIDE, in + r * pitch + j, out + r * out_pitch + j);
            for (; j + (MIDDLE - 1) * LANES < end; j += MIDDLE * LANES)
                sum_cells(s, pairs, MIDDLE, in + r * pitch + j, out + r * out_pitch + j);
            for (; j < end; j += LANES)
                sum_cells(s, pairs, 1, in + r * pitch + j, out + r * out_pitch + j);
        }
}

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

/* The type of an image whose cells are sums as they are. */
enum { OWN_TYPE = REAL_BYTES == 4 ? CYCONV_F32 : CYCONV_F64 };

#if REAL_BYTES == 4
#include "bytes_body.h"
#endif

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

/* `rows` rows of n elements, of which in[0], in row `row` and column `column` of the plane, is the
 * first that is read.
 * Whole vectors are written, by twos where the kernel is dense; by fours of a box down the rows;
 * n elements of a box along them. */
static void run_stage(const chain_t *c, const stage_t *s, blocks_t *blocks, const real *in,
                      ptrdiff_t row, ptrdiff_t column, ptrdiff_t rows, ptrdiff_t n, real *work,
                      real *out, ptrdiff_t out_pitch) {
    const ptrdiff_t pitch = c->pitch;
    if (s->box && s->down)
        box_down(s, blocks, in, pitch, row, rows, n, out, out_pitch);
    else if (s->box > LONG)
        long_box_along(s, in, pitch, column, rows, n, c->step, work, out, out_pitch);
    else if (s->box)
        box_along(s, in, pitch, rows, n, c->step, work, out, out_pitch);
    else if (s->dense) {
        const ptrdiff_t done = dense_rows(s, c->step, in, pitch, rows, n, out, out_pitch);
        in += done * pitch, out += done * out_pitch;
        sum_rows(s, 0, in, pitch, rows - done, n, out, out_pitch);
    } else if (s->pairs > 0)
        sum_rows(s, 1, in, pitch, rows, n, out, out_pitch);
    else if (s->pairs < 0)
        sum_rows(s, -1, in, pitch, rows, n, out, out_pitch);
    else
        sum_rows(s, 0, in, pitch, rows, n, out, out_pitch);
}

/* Whether the last stage of a branch writes the result itself: no other pass over it is needed. */
static int writes_result(const chain_t *c, const stage_t *last) {
    return c->finish == CYCONV_EACH && c->target == (storage_t)OWN_TYPE &&
           !(last->box && last->down) && c->y_row % REAL_BYTES == 0;
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
    if (writes_result(c, s)) {
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

VECTORIZED static void square_roots(real *cells, ptrdiff_t n) {
#if REAL_BYTES == 4
    for (ptrdiff_t j = 0; j < n; j++) cells[j] = sqrtf(cells[j]);
#else
    for (ptrdiff_t j = 0; j < n; j++) cells[j] = sqrt(cells[j]);
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
    square_roots(work, n);
    memcpy(a, work, n * sizeof(real));
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
    if (has_long_box(c)) return TOGETHER;
    return c->up + c->below > 12 ? 16 : 4;
}

/* What a tile's scratch holds; `divide` returns how many elements, of no scratch too. */
typedef struct {
    rows_t loaded;
    branch_t branch[CYCONV_BRANCHES];
    real *work, *out, *total;
    int32_t *map;
} tile_t;

static real *some_rows(const chain_t *c, ptrdiff_t rows, real *scratch, ptrdiff_t *used) {
    real *first = scratch ? scratch + *used : NULL;
    *used += rows * c->pitch;
    return first;
}

static ptrdiff_t divide(const chain_t *c, ptrdiff_t row0, tile_t *t, real *scratch) {
    const ptrdiff_t band = band_rows(c), halo = c->up + c->below;
    ptrdiff_t used = 0;
    t->work = some_rows(c, has_long_box(c) ? 2 * TOGETHER : 4, scratch, &used);
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
            if (!s->box || !s->down) continue;
            blocks->next = PTRDIFF_MIN;
            blocks->beginning = some_rows(c, 1, scratch, &used);
            blocks->ends = some_rows(c, s->box, scratch, &used);
        }
    return used;
}

static ptrdiff_t chain_scratch(const chain_t *c) {
    tile_t t;
#if REAL_BYTES == 4
    if (c->box_rows) return bytes_scratch(c);
#endif
    return divide(c, 0, &t, NULL);
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
        if (c->finish == CYCONV_LENGTH) square_roots(total, n);
        store_cells(c->target, c->saturate, total, n, to + r * c->y_row);
    }
}

static void chain_tile(const chain_t *c, const char *x, char *y, ptrdiff_t row0, ptrdiff_t row1,
                       ptrdiff_t column0, ptrdiff_t column1, void *scratch) {
    const ptrdiff_t size = storage_size(c->target);
    tile_t t;
#if REAL_BYTES == 4
    if (c->box_rows) {
        bytes_tile(c, x, y, row0, row1, column0, column1, scratch);
        return;
    }
#endif
    divide(c, row0, &t, scratch);
    area_t band = {row0, row0, column0, column1};
    const area_t across = {row0, row1, column0 - c->left, column1 + c->right};
    map_border(c, &across, t.map);
    for (; band.row0 < row1; band.row0 = band.row1) {
        band.row1 = band.row0 + band_rows(c) < row1 ? band.row0 + band_rows(c) : row1;
        const ptrdiff_t end = band.row1 + c->below;
        make_room(c, &t.loaded, band.row0 - c->up, end);
        for (; t.loaded.end < end; t.loaded.end++)
            load_row(c, x, t.loaded.end, &across, t.map, row_of(c, &t.loaded, t.loaded.end));
        run_band(c, &t, &band, y + band.row0 * c->y_row + column0 * c->step * size);
    }
}
