/* Correlation of pairs of tiles by products of spectra: see the contract in spectra.h.
 *
 * The way back is the way there with real and imaginary parts swapped, F^-1(z) = S F(S z) / N: the
 * products are stored swapped, and the spectra of the weights are divided by N. */

INLINE ptrdiff_t points_of(const tile_t *t) { return t->outer * t->rows * t->columns; }
static ptrdiff_t plane_elements(const tile_t *t) { return t->outer * t->rows * 2 * t->pitch; }
INLINE int in_place(const tile_t *t) { return t->channels == 1 && t->filters == 1; }

/* Two columns of scratch, and the rows' spectra of every channel. */
static ptrdiff_t scratch_elements(const tile_t *t) {
    const ptrdiff_t columns = t->outer > t->rows ? t->outer : t->rows;
    const ptrdiff_t rows = (2 + t->channels) * t->columns;
    return POINT * (rows > 2 * columns ? rows : 2 * columns);
}

/* w_N^(row * column) of each group of LANES rows, as vectors of the rows, column after column. From
 * double precision, with w^k = w^(k mod R) w^(k - k mod R). */
static void fill_turns(ptrdiff_t rows, ptrdiff_t columns, void *turns) {
    enum { FEW = 1024 };
    const ptrdiff_t n = rows * columns;
    double fine[FEW][2], coarse[2] = {1, 0};
    const double angle = -2 * 3.14159265358979323846 / (double)n;
    real *to = turns;
    for (ptrdiff_t k = 0; k < FEW; k++)
        fine[k][0] = cos(angle * (double)k), fine[k][1] = sin(angle * (double)k);
    for (ptrdiff_t r = 0; r < rows; r++) {
        real *row = to + r / LANES * LANES * columns * 2 + r % LANES;
        ptrdiff_t base = 0;
        coarse[0] = 1, coarse[1] = 0;
        for (ptrdiff_t j = 0; j < columns; j++) {
            const ptrdiff_t k = r * j;
            if (k - base >= FEW) {
                base = k;
                coarse[0] = cos(angle * (double)k), coarse[1] = sin(angle * (double)k);
            }
            const double *f = fine[k - base];
            row[j * POINT] = (real)(coarse[0] * f[0] - coarse[1] * f[1]);
            row[j * POINT + LANES] = (real)(coarse[0] * f[1] + coarse[1] * f[0]);
        }
    }
}

/* The cells of row (o, r) that are within: the first and the one after the last, and where in x. */
INLINE const real *cells_of_row(const tile_t *t, const tile_source_t *s, ptrdiff_t o, ptrdiff_t r,
                                ptrdiff_t *begin, ptrdiff_t *end) {
    const real *x = s->x;
    const ptrdiff_t first = t->folded ? r * t->columns : 0;
    *begin = *end = 0;
    if (!t->folded) {
        if (o < s->begin[0] || o >= s->end[0] || r < s->begin[1] || r >= s->end[1]) return NULL;
        x += (o - s->begin[0]) * s->step[0] + (r - s->begin[1]) * s->step[1];
    }
    const ptrdiff_t from = s->begin[2] > first ? s->begin[2] : first;
    const ptrdiff_t to = s->end[2] < first + t->columns ? s->end[2] : first + t->columns;
    if (from >= to) return NULL;
    *begin = from - first, *end = to - first;
    return x + (from - s->begin[2]) * s->step[2];
}

static void look_at_row(const real *x, ptrdiff_t step, ptrdiff_t n, int least, spread_t *found) {
    enum { FEW = 512 };
    if (step == 1) {
        row_spread(n, x, least, found);
        return;
    }
    real few[FEW];
    for (ptrdiff_t i = 0; i < n; i += FEW) {
        const ptrdiff_t count = n - i < FEW ? n - i : FEW;
        copy_row(few, x + i * step, step, count);
        row_spread(count, few, least, found);
    }
}

static void look_at_tile(const tile_t *t, const tile_source_t *s, int least, spread_t *found) {
    const ptrdiff_t n = s->end[2] - s->begin[2], *step = s->step;
    if (n <= 0) return;
    for (ptrdiff_t o = 0; o < (t->folded ? 1 : s->end[0] - s->begin[0]); o++)
        for (ptrdiff_t r = 0; r < (t->folded ? 1 : s->end[1] - s->begin[1]); r++)
            look_at_row((const real *)s->x + o * step[0] + r * step[1], step[2], n, least, found);
}

static void load_tile(const tile_t *t, const tile_source_t *s, int half, void *plane) {
    real *row = (real *)plane + half * t->pitch;
    for (ptrdiff_t o = 0; o < t->outer; o++)
        for (ptrdiff_t r = 0; r < t->rows; r++, row += 2 * t->pitch) {
            ptrdiff_t begin, end;
            const real *x = cells_of_row(t, s, o, r, &begin, &end);
            zero_row(row, begin);
            if (x) copy_row(row + begin, x, s->step[2], end - begin);
            zero_row(row + end, t->columns - end);
        }
}

/* to[i * step] = from[i * stride], i < n. */
INLINE void copy_cells(real *to, ptrdiff_t step, const real *from, ptrdiff_t stride, ptrdiff_t n) {
    if (step == 1) {
        copy_row(to, from, stride, n);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) to[i * step] = from[i * stride];
}

static void store_tile(const tile_t *t, const tile_target_t *s, int half, const void *plane) {
    const real *from = (const real *)plane + half * t->pitch;
    const ptrdiff_t row = 2 * t->pitch, stride = s->stride[2];
    real *y = s->y;
    if (t->folded) {
        for (ptrdiff_t i = 0; i < s->count[2];) {
            const ptrdiff_t r = i * stride / t->columns, j = i * stride % t->columns;
            ptrdiff_t n = (t->columns - j + stride - 1) / stride;
            if (n > s->count[2] - i) n = s->count[2] - i;
            copy_cells(y + i * s->step[2], s->step[2], from + r * row + j, stride, n);
            i += n;
        }
        return;
    }
    for (ptrdiff_t o = 0; o < s->count[0]; o++)
        for (ptrdiff_t r = 0; r < s->count[1]; r++)
            copy_cells(y + o * s->step[0] + r * s->step[1], s->step[2],
                       from + (o * s->stride[0] * t->rows + r * s->stride[1]) * row, stride,
                       s->count[2]);
}

/* Along the columns of one slab, and along the axis above. */
static void slab_columns(const tile_t *t, real *slab, real *scratch) {
    for (ptrdiff_t j = 0; j < t->columns; j += LANES) {
        const column_t column = {slab + j, 2 * t->pitch, t->pitch};
        transform(t->rows, column, column, t->row_roots, scratch);
    }
}
static void outer_columns(const tile_t *t, real *plane, real *scratch) {
    if (t->outer == 1) return;
    for (ptrdiff_t r = 0; r < t->rows; r++)
        for (ptrdiff_t j = 0; j < t->columns; j += LANES) {
            const ptrdiff_t row = 2 * t->pitch;
            const column_t column = {plane + r * row + j, t->rows * row, t->pitch};
            transform(t->outer, column, column, t->outer_roots, scratch);
        }
}

/* LANES rows to a column of scratch, and back, with the turns. */
INLINE void turn(vec *re, vec *im, const real *turns) {
#pragma GCC unroll 16
    for (int l = 0; l < LANES; l++) {
        const point_t z = times((point_t){re[l], im[l]}, get(turns + l * POINT, LANES));
        re[l] = z.re, im[l] = z.im;
    }
}
static void gather_rows(const tile_t *t, const real *rows, const real *turns, real *column) {
    for (ptrdiff_t j = 0; j < t->columns; j += LANES, column += LANES * POINT) {
        vec re[LANES], im[LANES];
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) re[l] = load(rows + l * 2 * t->pitch + j);
        transpose(re);
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) im[l] = load(rows + (l * 2 + 1) * t->pitch + j);
        transpose(im);
        if (turns) turn(re, im, turns + j * POINT);
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) put(column + l * POINT, LANES, (point_t){re[l], im[l]});
    }
}
static void scatter_rows(const tile_t *t, const real *column, const real *turns, real *rows) {
    for (ptrdiff_t j = 0; j < t->columns; j += LANES, column += LANES * POINT) {
        vec re[LANES], im[LANES];
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) {
            re[l] = load(column + l * POINT);
            im[l] = load(column + l * POINT + LANES);
        }
        if (turns) turn(re, im, turns + j * POINT);
        transpose(re);
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) store(rows + l * 2 * t->pitch + j, re[l]);
        transpose(im);
#pragma GCC unroll 16
        for (int l = 0; l < LANES; l++) store(rows + (l * 2 + 1) * t->pitch + j, im[l]);
    }
}

static const real *turns_of(const tile_t *t, ptrdiff_t row) {
    return t->turns ? (const real *)t->turns + row * t->columns * 2 : NULL;
}

static void transform_weights(const tile_t *t, void *plane, void *spectrum, void *scratch) {
    const vec scale = splat((real)(1 / (double)points_of(t)));
    real *rows = plane, *to = spectrum, *columns = scratch;
    real *column = columns + t->columns * POINT;
    outer_columns(t, plane, scratch);
    for (ptrdiff_t o = 0; o < t->outer; o++) {
        slab_columns(t, rows, scratch);
        for (ptrdiff_t r = 0; r < t->rows; r += LANES, rows += LANES * 2 * t->pitch) {
            gather_rows(t, rows, turns_of(t, r), column);
            transform(t->columns, in_scratch(column), in_scratch(column), t->column_roots, columns);
            for (ptrdiff_t j = 0; j < t->columns; j++, to += POINT) {
                const point_t z = get(column + j * POINT, LANES);
                put(to, LANES, (point_t){z.re * scale, -z.im * scale});
            }
        }
    }
}

/* sum_c x[c] * w[c], swapped; the channels' columns of both lie so far apart. */
INLINE void products(const tile_t *t, const real *x, const real *w, ptrdiff_t w_channel,
                     real *sum) {
    const ptrdiff_t n = t->columns * POINT;
    for (ptrdiff_t j = 0; j < n; j += POINT) {
        point_t z = times(get(x + j, LANES), get(w + j, LANES));
        for (ptrdiff_t c = 1; c < t->channels; c++)
            z = plus(z, times(get(x + c * n + j, LANES), get(w + c * w_channel + j, LANES)));
        put(sum + j, LANES, swapped(z));
    }
}

static void correlate_rows(const tile_t *t, ptrdiff_t r, real *planes, const real *spectra,
                           real *scratch) {
    const ptrdiff_t column = t->columns * POINT, plane = plane_elements(t);
    const ptrdiff_t spectrum = points_of(t) * 2;
    const real *turns = turns_of(t, r % t->rows);
    const column_t other = in_scratch(scratch + column);
    real *x = in_place(t) ? other.re : scratch + 2 * column, *rows = planes + r * 2 * t->pitch;
    for (ptrdiff_t c = 0; c < t->channels; c++) {
        gather_rows(t, rows + c * plane, turns, other.re);
        transform(t->columns, other, in_scratch(x + c * column), t->column_roots, scratch);
    }
    if (!in_place(t)) rows += t->channels * plane;
    for (ptrdiff_t k = 0; k < t->filters; k++) {
        const real *w = spectra + k * t->channels * spectrum + r * t->columns * 2;
        products(t, x, w, spectrum, other.re);
        transform(t->columns, other, other, t->column_roots, scratch);
        scatter_rows(t, other.re, turns, rows + k * plane);
    }
}

static void correlate_tiles(const tile_t *t, void *planes, const void *spectra, void *scratch) {
    const ptrdiff_t plane = plane_elements(t), slab = plane / t->outer;
    real *x = planes, *y = in_place(t) ? x : x + t->channels * plane;
    for (ptrdiff_t c = 0; c < t->channels; c++) outer_columns(t, x + c * plane, scratch);
    for (ptrdiff_t o = 0; o < t->outer; o++) {
        for (ptrdiff_t c = 0; c < t->channels; c++)
            slab_columns(t, x + c * plane + o * slab, scratch);
        for (ptrdiff_t r = 0; r < t->rows; r += LANES)
            correlate_rows(t, o * t->rows + r, x, spectra, scratch);
        for (ptrdiff_t k = 0; k < t->filters; k++)
            slab_columns(t, y + k * plane + o * slab, scratch);
    }
    for (ptrdiff_t k = 0; k < t->filters; k++) outer_columns(t, y + k * plane, scratch);
}
