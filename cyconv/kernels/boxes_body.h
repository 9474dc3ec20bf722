/* Sums of boxes: of n cells down the rows or along them, at a cost that hardly grows with n.
 *
 * Long windows: the cells of a line are cut into blocks of n, where the plane's cell 0 begins one;
 * a window is the end of one block and the beginning of the next:
 *
 *     | . . a b c | d e . . . |       a + (b + c)  +  (d + e)
 *
 * Ends are summed backwards, beginnings forwards: three additions a cell for any n, no difference
 * of large numbers, and what is not finite leaves with its window. */

/* What becomes of the sum of a box: a product, or a quotient, which is another number. */
typedef struct {
    vec factor, divisor, inverse;
    int divides;
} mean_t;
INLINE mean_t mean_of(const stage_t *s) {
    const real divisor = (real)s->divisor;
    return (mean_t){splat((real)s->factor), splat(divisor), splat(1 / divisor), divisor != 1};
}
INLINE vec mean_by(const int divides, vec sum, const mean_t *m) {
    return divides ? quotient(sum, m->divisor, m->inverse) : sum * m->factor;
}
INLINE vec mean_cells(vec sum, const mean_t *m) { return mean_by(m->divides, sum, m); }

/* What a box down the rows keeps from one band of rows to the next: the ends of the block that its
 * windows begin in, n rows, and the sum of the beginning of the next. */
typedef struct {
    real *ends, *beginning;
    const real **rows;     /* room for those that a band reads */
    ptrdiff_t pitch, next; /* the plane's row where the next block begins */
} blocks_t;

/* CALL(V, j, kept) for every column j of n, V vectors of them: whole vectors, the last of which
 * lies over the one before it and keeps what it keeps in a place of its own, behind the others. */
#define FOR_COLUMNS(n, CALL)                                          \
    do {                                                              \
        ptrdiff_t j = 0;                                              \
        for (; j + 8 * LANES <= (n); j += 8 * LANES) CALL(8, j, j);   \
        for (; j + LANES <= (n) || j == 0; j += LANES) CALL(1, j, j); \
        if (j < (n)) CALL(1, (n) - LANES, (n));                       \
    } while (0)

/* sum[v] += x[v] */
INLINE void add_cells(const int V, const real *x, vec *sum) {
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sum[v] += load(x + v * LANES);
}
INLINE void keep_cells(const int V, const vec *sum, real *kept) {
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) store(kept + v * LANES, sum[v]);
}

/* The ends of the block that row in[0] lies in, from that row on, of `rest` rows; and the sum of
 * the rows of the next one that the first window of n holds. */
INLINE void enter_columns(const int V, ptrdiff_t n, ptrdiff_t rest, const real *const *in,
                          ptrdiff_t j, ptrdiff_t pitch, real *ends, real *beginning) {
    vec sum[8] = {{0}};
    add_cells(V, in[rest - 1] + j, sum);
    keep_cells(V, sum, ends + (rest - 1) * pitch);
    for (ptrdiff_t i = rest - 2; i >= 0; i--) {
        add_cells(V, in[i] + j, sum);
        keep_cells(V, sum, ends + i * pitch);
    }
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sum[v] = (vec){0};
    for (ptrdiff_t i = rest; i < n - 1; i++) add_cells(V, in[i] + j, sum);
    keep_cells(V, sum, beginning);
}

/* V vectors of cells are wanted soon. */
INLINE void will_read(const int V, uintptr_t cells) {
#pragma GCC unroll 8
    for (int byte = 0; byte < V * VECTOR_BYTES; byte += 64)
        __builtin_prefetch((const void *)(cells + (uintptr_t)byte));
}

/* `rows` rows of windows that begin in one block; entering[i]: the row that window i ends with. The
 * window that is the block itself, `alone` of them, has that in its ends. Rows that follow each
 * other in a column are too far apart to be fetched unasked. */
INLINE void slide_columns(const int V, ptrdiff_t rows, ptrdiff_t alone, const real *const *entering,
                          ptrdiff_t j, ptrdiff_t pitch, const real *ends, real *beginning,
                          const mean_t *mean, real *out, ptrdiff_t out_pitch) {
    const uintptr_t apart = (uintptr_t)entering[0] - (uintptr_t)entering[-1];
    vec sum[8];
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sum[v] = load(beginning + v * LANES);
    for (ptrdiff_t i = 0; i < rows; i++, ends += pitch, out += out_pitch) {
        if (i >= alone) add_cells(V, entering[i] + j, sum);
        if (V == 8) will_read(V, (uintptr_t)(entering[i] + j) + (uintptr_t)rows * apart);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++)
            store(out + v * LANES, mean_cells(load(ends + v * LANES) + sum[v], mean));
    }
    keep_cells(V, sum, beginning);
}

/* The sums of n rows, of `columns` cells, or of a vector if that is more. in[0] is the plane's row
 * `row`; calls go on where the last one ended. */
static void box_down(const stage_t *s, blocks_t *b, const real *const *in, ptrdiff_t row,
                     ptrdiff_t rows, ptrdiff_t columns, real *out, ptrdiff_t out_pitch) {
    const ptrdiff_t n = s->box, pitch = b->pitch;
    const mean_t mean = mean_of(s);
    for (ptrdiff_t r = 0, last; r < rows; r = last) {
        if (row + r >= b->next) {
            const ptrdiff_t rest = n - ((row + r) % n + n) % n;
            real *ends = b->ends + (n - rest) * pitch;
            b->next = row + r + rest;
#define ENTER(V, j, kept) \
    enter_columns(V, n, rest, in + r, j, pitch, ends + (kept), b->beginning + (kept))
            FOR_COLUMNS(columns, ENTER);
#undef ENTER
        }
        last = b->next - row < rows ? b->next - row : rows;
        const ptrdiff_t into = row + r + n - b->next;
        const real *ends = b->ends + into * pitch;
        real *to = out + r * out_pitch;
#define SLIDE(V, j, kept)                                                          \
    slide_columns(V, last - r, into == 0, in + r + n - 1, j, pitch, ends + (kept), \
                  b->beginning + (kept), &mean, to + (j), out_pitch)
        FOR_COLUMNS(columns, SLIDE);
#undef SLIDE
    }
}

/* Of n neighbours few sums are common to many windows: n = q a + r,
 *
 *     part[i] = x[i] + ... + x[i + a - 1],   y[i] = part[i] + part[i + a] + ... + x[i + q a] + ...
 *
 * a + q + r loads a cell, by the a that needs the fewest. */
typedef struct {
    ptrdiff_t in_part, parts, rest;
} split_t;
static split_t split_box(ptrdiff_t n) {
    split_t best = {1, n, 0};
    for (ptrdiff_t a = 2; a * a <= n; a++)
        if (a + n / a + n % a < best.in_part + best.parts + best.rest)
            best = (split_t){a, n / a, n % a};
    return best;
}

/* sum[v] = the sum of `count` vectors, `far` elements apart; a few counts are known where this is
 * compiled. */
INLINE void add_apart(const int V, ptrdiff_t count, const real *x, ptrdiff_t far, vec *sum) {
#define ADD(i) add_cells(V, x + (i) * far, sum)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) sum[v] = load(x + v * LANES);
    if (count == 3)
        ADD(1), ADD(2);
    else if (count == 4)
        ADD(1), ADD(2), ADD(3);
    else
        for (ptrdiff_t i = 1; i < count; i++) ADD(i);
#undef ADD
}

/* V vectors of windows from element j on. */
INLINE void short_windows(const int V, const split_t *by, const real *x, ptrdiff_t step,
                          const real *part, ptrdiff_t j, vec *sum) {
    add_apart(V, by->parts, part + j, by->in_part * step, sum);
    for (ptrdiff_t i = by->in_part * by->parts; i < by->in_part * by->parts + by->rest; i++)
        add_cells(V, x + i * step + j, sum);
}

static void sum_parts(const split_t *by, const real *x, ptrdiff_t n, ptrdiff_t step, real *part) {
    enum { V = 4 };
    vec sum[V];
    ptrdiff_t j = 0;
    for (; j + V * LANES <= n; j += V * LANES) {
        add_apart(V, by->in_part, x + j, step, sum);
        keep_cells(V, sum, part + j);
    }
    for (; j < n; j += LANES) {
        add_apart(1, by->in_part, x + j, step, sum);
        keep_cells(1, sum, part + j);
    }
}

static void add_parts(const split_t *by, const mean_t *mean, const real *x, ptrdiff_t columns,
                      ptrdiff_t step, const real *part, real *out) {
    enum { V = 4 };
    vec sum[V];
    ptrdiff_t j = 0;
    for (; j + V * LANES <= columns; j += V * LANES) {
        short_windows(V, by, x, step, part, j, sum);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) store(out + j + v * LANES, mean_cells(sum[v], mean));
    }
    for (; j < columns; j += LANES) {
        short_windows(1, by, x, step, part, j, sum);
        sum[0] = mean_cells(sum[0], mean);
        if (j + LANES <= columns)
            store(out + j, sum[0]);
        else
            store_few(out + j, sum[0], columns - j);
    }
}

/* The sums of n neighbours along each row. The parts of a few rows are summed before they are
 * added: what was just stored cannot be loaded from another place at once. They are few enough to
 * stay in the first-level cache; `work` has room for four rows of their reach. */
static void box_along(const stage_t *s, const real *in, ptrdiff_t pitch, ptrdiff_t rows,
                      ptrdiff_t columns, ptrdiff_t step, real *work, real *out,
                      ptrdiff_t out_pitch) {
    enum { SOME = 2048 / sizeof(real), FEW = 4 };
    const split_t by = split_box(s->box);
    const mean_t mean = mean_of(s);
    const ptrdiff_t reach = (by.parts - 1) * by.in_part * step;
    for (ptrdiff_t first = 0; first < rows; first += FEW)
        for (ptrdiff_t j = 0; j < columns; j += SOME) {
            const ptrdiff_t n = columns - j < SOME ? columns - j : SOME;
            const ptrdiff_t last = first + FEW < rows ? first + FEW : rows;
            for (ptrdiff_t r = first; r < last; r++)
                sum_parts(&by, in + r * pitch + j, n + reach, step, work + (r - first) * pitch);
            for (ptrdiff_t r = first; r < last; r++)
                add_parts(&by, &mean, in + r * pitch + j, n, step, work + (r - first) * pitch,
                          out + r * out_pitch + j);
        }
}

/* Windows that are longer are summed in LANES rows together, as vectors of a cell of each, if a
 * pixel has at most so many elements. */
enum { LONG = 16, PIXEL = 16 };

/* turned[l][r] = rows[r][j + l] */
INLINE void turn(const real *const *rows, ptrdiff_t j, vec *turned) {
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) turned[r] = load(rows[r] + j);
    transpose(turned);
}

/* sum[k] of the elements k of a pixel, with one more: `k` goes round. Returns what it was. */
INLINE vec add_element(const int step, vec cell, vec *sum, ptrdiff_t *k) {
    vec *at = sum + (step == 1 ? 0 : *k);
    const vec before = *at;
    *at += cell;
    *k = *k + 1 < step ? *k + 1 : 0;
    return before;
}

/* The ends of a block of `count` elements from element j of the rows on. Whole vectors are turned:
 * up to LANES elements before the block's first are read, and written. */
INLINE void turned_ends(const int step, const real *const *rows, ptrdiff_t j, ptrdiff_t count,
                        real *ends) {
    vec sum[PIXEL], turned[LANES];
    ptrdiff_t k = 0; /* of the elements from the last one on */
    for (int i = 0; i < step; i++) sum[i] = (vec){0};
    for (ptrdiff_t e = count - LANES; e > -LANES; e -= LANES) {
        turn(rows, j + e, turned);
#pragma GCC unroll 16
        for (int l = LANES - 1; l >= 0; l--)
            store(ends + (e + l) * LANES, add_element(step, turned[l], sum, &k) + turned[l]);
    }
}

/* The windows that begin at `count` elements of a block: its ends, and the beginning of the next
 * one, of which `before` elements from element `next` on belong to the first window already.
 * `room` elements of a row may be written: what the next block's windows lie over, or nothing. */
INLINE void turned_windows(const int step, const int divides, const mean_t *mean,
                           const real *const *rows, ptrdiff_t next, ptrdiff_t before,
                           ptrdiff_t count, const real *ends, ptrdiff_t some, real *out,
                           ptrdiff_t pitch, ptrdiff_t room) {
    vec sum[PIXEL], turned[LANES], whole[LANES];
    ptrdiff_t k = 0;
    for (int i = 0; i < step; i++) sum[i] = (vec){0};
    for (ptrdiff_t e = 0; e < before; e += LANES) {
        turn(rows, next + e, turned);
        for (ptrdiff_t l = 0; l < LANES && e + l < before; l++)
            add_element(step, turned[l], sum, &k);
    }
    next += before;
    for (ptrdiff_t e = 0; e < count; e += LANES) {
        turn(rows, next + e, turned);
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) {
            const vec beginning = add_element(step, turned[l], sum, &k);
            whole[l] = mean_by(divides, load(ends + (e + l) * LANES) + beginning, mean);
        }
        transpose(whole);
        real *to = out + e;
        if (e + LANES <= room && some == LANES)
#pragma GCC unroll 16
            for (int r = 0; r < LANES; r++) store(to + r * pitch, whole[r]);
        else
            for (ptrdiff_t r = 0; r < some; r++)
                if (e + LANES <= room)
                    store(to + r * pitch, whole[r]);
                else
                    store_few(to + r * pitch, whole[r], room - e);
    }
}

/* Up to LANES rows of `columns` pixels of windows; `column` is the plane's where the rows begin. */
INLINE void long_windows(const int step, const int divides, const stage_t *s,
                         const real *const *rows, ptrdiff_t column, ptrdiff_t columns, real *work,
                         ptrdiff_t some, real *out, ptrdiff_t pitch) {
    const ptrdiff_t n = s->box;
    const mean_t mean = mean_of(s);
    real *ends = work + LANES * LANES;
    for (ptrdiff_t first = 0, next; first < columns; first = next) {
        next = first + n - ((column + first) % n + n) % n;
        const ptrdiff_t last = next < columns ? next : columns;
        turned_ends(step, rows, first * step, (next - first) * step, ends);
        turned_windows(step, divides, &mean, rows, next * step, (first + n - next) * step,
                       (last - first) * step, ends, some, out + first * step, pitch,
                       (columns - first) * step);
    }
}

/* The sums of many neighbours along rows, of which some elements before the first are there to be
 * read. `work` holds LANES rows. */
static void long_box_along(const stage_t *s, const real *in, ptrdiff_t pitch, ptrdiff_t column,
                           ptrdiff_t rows, ptrdiff_t n, ptrdiff_t step, real *work, real *out,
                           ptrdiff_t out_pitch) {
    for (ptrdiff_t r = 0; r < rows; r += LANES) {
        const ptrdiff_t some = rows - r < LANES ? rows - r : LANES;
        const real *from[LANES];
        real *to = out + r * out_pitch;
        for (ptrdiff_t l = 0; l < LANES; l++)
            from[l] = in + (r + (l < some ? l : some - 1)) * pitch;
        if (step == 1 && s->divisor == 1)
            long_windows(1, 0, s, from, column, n, work, some, to, out_pitch);
        else if (step == 1)
            long_windows(1, 1, s, from, column, n, work, some, to, out_pitch);
        else
            long_windows((int)step, s->divisor != 1, s, from, column, n / step, work, some, to,
                         out_pitch);
    }
}
