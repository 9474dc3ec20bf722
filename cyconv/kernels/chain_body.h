/* Chains of stages over tiles of an image: see chain.h. */
#include "storage_body.h"

/* a * b, rounded: the compiler does not fuse it with a sum. f32 sums are fused. */
#if REAL_BYTES == 4
INLINE vec product(vec a, vec b) { return a * b; }
#else
INLINE vec product(vec a, vec b) {
    vec v = a * b;
#if defined(__x86_64__) || defined(__i386__)
    __asm__("" : "+v"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#else
    __asm__("" : "+m"(v));
#endif
    return v;
}
#endif

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
        const vec divisor = splat((real)s->divisor);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sum[v] /= divisor;
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
                        real *out) {
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
    for (int h = 0; h < 4; h++, out += pitch) store(out, sum[h][0]), store(out + LANES, sum[h][1]);
}

/* Rows of `n` elements, in groups of vectors: a group of columns at a time where the stage reads so
 * many rows that only theirs stay near, else row by row. */
INLINE void sum_rows(const stage_t *s, int pairs, const real *in, ptrdiff_t pitch, ptrdiff_t rows,
                     ptrdiff_t n, real *out) {
    enum { WIDE = 8, MIDDLE = 4 };
    const int narrow = s->up + s->below > 12;
    const ptrdiff_t group = narrow ? WIDE * LANES : n;
    for (ptrdiff_t first = 0; first < n; first += group)
        for (ptrdiff_t r = 0; r < rows; r++) {
            const ptrdiff_t end = first + group < n ? first + group : n;
            ptrdiff_t j = first;
            for (; j + (WIDE - 1) * LANES < end; j += WIDE * LANES)
                sum_cells(s, pairs, WIDE, in + r * pitch + j, out + r * pitch + j);
            for (; j + (MIDDLE - 1) * LANES < end; j += MIDDLE * LANES)
                sum_cells(s, pairs, MIDDLE, in + r * pitch + j, out + r * pitch + j);
            for (; j < end; j += LANES)
                sum_cells(s, pairs, 1, in + r * pitch + j, out + r * pitch + j);
        }
}

/* The sums of n rows. The rows of the plane are cut into blocks of n; a window is the end of one
 * block and the beginning of the next:
 *
 *     | . . a b c | d e . . . |       a + (b + c)  +  (d + e)
 *
 * Ends are summed upwards, beginnings downwards: three additions a cell for any n, no difference
 * of large numbers, and what is not finite leaves with its window. `row` is the plane's row that
 * in[0] is. */
static void box_down(const stage_t *s, const real *in, ptrdiff_t pitch, ptrdiff_t row,
                     ptrdiff_t rows, ptrdiff_t columns, real *out) {
    enum { V = 4 };
    const ptrdiff_t n = s->box;
    const vec divisor = splat((real)s->divisor);
    for (ptrdiff_t j = 0; j < columns; j += V * LANES) {
        const real *x = in + j;
        real *y = out + j;
        for (ptrdiff_t r = 0, next; r < rows; r = next) {
            const ptrdiff_t into = (row + r) % n;
            next = r + n - (into < 0 ? into + n : into);
            const ptrdiff_t last = next < rows ? next : rows;
            vec sum[V];
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) sum[v] = load(x + (next - 1) * pitch + v * LANES);
            for (ptrdiff_t i = next - 1;;) {
                if (i < rows)
#pragma GCC unroll 8
                    for (int v = 0; v < V; v++) store(y + i * pitch + v * LANES, sum[v]);
                if (--i < r) break;
#pragma GCC unroll 8
                for (int v = 0; v < V; v++) sum[v] += load(x + i * pitch + v * LANES);
            }
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) sum[v] = (vec){0};
            for (ptrdiff_t i = next; i < r + n - 1; i++)
#pragma GCC unroll 8
                for (int v = 0; v < V; v++) sum[v] += load(x + i * pitch + v * LANES);
            for (ptrdiff_t i = r; i < last; i++) {
                const int more = i + n > next;
#pragma GCC unroll 8
                for (int v = 0; v < V; v++) {
                    real *to = y + i * pitch + v * LANES;
                    if (more) sum[v] += load(x + (i + n - 1) * pitch + v * LANES);
                    store(to, (load(to) + sum[v]) / divisor);
                }
            }
        }
    }
}

/* The sums of n neighbours along a row, by doubling: of n = 13 = 1 + 4 + 8,
 *
 *     s1 = x,   s2[i] = s1[i] + s1[i + 1],   s4[i] = s2[i] + s2[i + 2],   ...
 *     y[i] = (s1[i] + s4[i + 1]) + s8[i + 5]
 *
 * log2(n) additions of whole rows, the same for every cell. `work` holds a row. */
static void box_along(const stage_t *s, const real *in, ptrdiff_t pitch, ptrdiff_t rows,
                      ptrdiff_t columns, ptrdiff_t step, real *work, real *out) {
    const ptrdiff_t wide = columns + (s->box - 1) * step;
    const vec divisor = splat((real)s->divisor);
    for (ptrdiff_t r = 0; r < rows; r++) {
        real *y = out + r * pitch;
        ptrdiff_t offset = 0, m = 1;
        memcpy(work, in + r * pitch, wide * sizeof(real));
        for (ptrdiff_t bits = s->box; bits; bits >>= 1, m *= 2) {
            const ptrdiff_t left = wide - m * step;
            if (bits & 1) {
                const real *from = work + offset * step;
                if (!offset)
                    for (ptrdiff_t j = 0; j < columns; j += LANES) store(y + j, load(from + j));
                else
                    for (ptrdiff_t j = 0; j < columns; j += LANES)
                        store(y + j, load(y + j) + load(from + j));
                offset += m;
            }
            if (bits > 1)
                for (ptrdiff_t j = 0; j < left; j += LANES)
                    store(work + j, load(work + j) + load(work + j + m * step));
        }
        for (ptrdiff_t j = 0; j < columns; j += LANES) store(y + j, load(y + j) / divisor);
    }
}

/* Cells as they are after `type` held them. */
static void rounded_cells(storage_t type, int saturate, real *cells, ptrdiff_t n, void *held) {
    if (type == (REAL_BYTES == 4 ? CYCONV_F32 : CYCONV_F64)) return;
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

/* Row `r` of the plane, which may lie outside it, between the columns of `a`. */
static void load_row(const chain_t *c, const char *x, ptrdiff_t r, const area_t *a, real *to) {
    const ptrdiff_t source = border_source(c->row_border, r, c->rows), step = c->step;
    const ptrdiff_t size = storage_size(c->source);
    const ptrdiff_t first = a->column0 > 0 ? a->column0 : 0;
    const ptrdiff_t last = a->column1 < c->columns ? a->column1 : c->columns;
    const char *row = x + source * c->x_row;
    if (source < 0) {
        for (ptrdiff_t j = 0; j < (a->column1 - a->column0) * step; j++) to[j] = (real)c->constant;
        return;
    }
    real *inside = to + (first - a->column0) * step;
    if (first < last)
        load_cells(c->source, row + first * step * size, (last - first) * step, inside);
    for (ptrdiff_t q = a->column0; q < a->column1; q++) {
        if (q == first && first < last) q = last;
        if (q >= a->column1) break;
        const ptrdiff_t p = border_source(c->column_border, q, c->columns);
        real *pixel = to + (q - a->column0) * step;
        if (p < 0)
            for (ptrdiff_t k = 0; k < step; k++) pixel[k] = (real)c->constant;
        else if (p >= first && p < last)
            for (ptrdiff_t k = 0; k < step; k++) pixel[k] = inside[(p - first) * step + k];
        else
            load_cells(c->source, row + p * step * size, step, pixel);
    }
}

static void run_stage(const chain_t *c, const stage_t *s, const area_t *in_area, const real *in,
                      ptrdiff_t rows, ptrdiff_t n, real *work, real *out) {
    if (s->box && s->down)
        box_down(s, in, c->pitch, in_area->row0, rows, n, out);
    else if (s->box)
        box_along(s, in, c->pitch, rows, n, c->step, work, out);
    else if (s->dense) {
        const ptrdiff_t blocks = s->up + s->below > 1 ? rows / 4 * 4 : 0;
        for (ptrdiff_t r = 0; r < blocks; r += 4)
            for (ptrdiff_t j = 0; j < n; j += 2 * LANES)
                dense_block(s, c->step, in + r * c->pitch + j, c->pitch, out + r * c->pitch + j);
        in += blocks * c->pitch, out += blocks * c->pitch;
        sum_rows(s, 0, in, c->pitch, rows - blocks, n, out);
    } else if (s->pairs > 0)
        sum_rows(s, 1, in, c->pitch, rows, n, out);
    else if (s->pairs < 0)
        sum_rows(s, -1, in, c->pitch, rows, n, out);
    else
        sum_rows(s, 0, in, c->pitch, rows, n, out);
}

/* One branch over a loaded tile; returns where its result lies, in `one` or `two`. */
static const real *run_branch(const chain_t *c, int branch, const area_t *result, const real *tile,
                              real *one, real *two, real *work) {
    const stage_t *stage = c->stage[branch];
    const int stages = c->stages[branch];
    ptrdiff_t up = 0, below = 0, left = 0, right = 0;
    for (int i = 0; i < stages; i++) {
        up += stage[i].up, below += stage[i].below;
        left += stage[i].left, right += stage[i].right;
    }
    area_t area = {result->row0 - up, result->row1 + below, result->column0 - left,
                   result->column1 + right};
    const real *in = tile + (c->up - up) * c->pitch + (c->left - left) * c->step;
    for (int i = 0; i < stages; i++) {
        const stage_t *s = &stage[i];
        const area_t before = area;
        area.row0 += s->up, area.row1 -= s->below;
        area.column0 += s->left, area.column1 -= s->right;
        const ptrdiff_t rows = area.row1 - area.row0, n = (area.column1 - area.column0) * c->step;
        real *out = i % 2 ? two : one;
        run_stage(c, s, &before, in, rows, n, work, out);
        if (i + 1 < stages || c->finish == CYCONV_SUM || c->finish == CYCONV_LENGTH)
            for (ptrdiff_t r = 0; r < rows; r++)
                rounded_cells(c->between, c->saturate, out + r * c->pitch, n, work);
        if (i + 1 < stages) set_constant(c, &area, out);
        in = out;
    }
    return in;
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

static ptrdiff_t chain_scratch(const chain_t *c, ptrdiff_t rows) {
    return c->pitch * (3 * (rows + c->up + c->below) + (c->branches > 1 ? rows : 0) + 4);
}

static void chain_tile(const chain_t *c, const char *x, char *y, ptrdiff_t row0, ptrdiff_t row1,
                       ptrdiff_t column0, ptrdiff_t column1, void *scratch) {
    const area_t result = {row0, row1, column0, column1};
    const area_t loaded = {row0 - c->up, row1 + c->below, column0 - c->left, column1 + c->right};
    const ptrdiff_t rows = row1 - row0, n = (column1 - column0) * c->step;
    const ptrdiff_t whole = (loaded.row1 - loaded.row0) * c->pitch;
    const ptrdiff_t size = storage_size(c->target);
    real *work = scratch, *tile = work + 4 * c->pitch, *one = tile + whole, *two = one + whole;
    real *total = two + whole;
    char *to = y + row0 * c->y_row + column0 * c->step * size;
    for (ptrdiff_t r = loaded.row0; r < loaded.row1; r++)
        load_row(c, x, r, &loaded, tile + (r - loaded.row0) * c->pitch);
    for (int b = 0; b < c->branches; b++) {
        const real *out = run_branch(c, b, &result, tile, one, two, work);
        if (c->finish == CYCONV_EACH) {
            for (ptrdiff_t r = 0; r < rows; r++)
                store_cells(c->target, c->saturate, out + r * c->pitch, n,
                            to + b * c->y_branch + r * c->y_row);
        } else if (c->finish != CYCONV_HYPOT) {
            add_branch(c, b, out, rows, n, work, total);
        } else if (b == 0) {
            for (ptrdiff_t r = 0; r < rows; r++)
                memcpy(total + r * c->pitch, out + r * c->pitch, n * sizeof(real));
        } else {
            for (ptrdiff_t r = 0; r < rows; r++)
                lengths(total + r * c->pitch, out + r * c->pitch, n, work);
        }
    }
    if (c->finish == CYCONV_EACH) return;
    for (ptrdiff_t r = 0; r < rows; r++) {
        if (c->finish == CYCONV_LENGTH) square_roots(total + r * c->pitch, n);
        store_cells(c->target, c->saturate, total + r * c->pitch, n, to + r * c->y_row);
    }
}
