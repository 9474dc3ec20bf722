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

#define TYPE_OF_REAL (REAL_BYTES == 4 ? CYCONV_F32 : CYCONV_F64)
#define NO_CELL PTRDIFF_MIN
#define CONSTANT_CELL (PTRDIFF_MIN + 1)

INLINE int holds_cell(const tile_source_t *s, int a, ptrdiff_t i) {
    return i >= s->begin[a] && i < s->end[a];
}

/* Which cell of a tile, or of the image beyond it, stands at cell i of an axis. */
INLINE ptrdiff_t cell_at(const tile_source_t *s, int a, ptrdiff_t i) {
    if (holds_cell(s, a, i)) return i;
    if (i >= s->held[a]) return NO_CELL;
    const ptrdiff_t from = border_source(s->border, s->place[a] + i, s->size[a]);
    return from < 0 ? CONSTANT_CELL : from - s->place[a];
}

enum {
    APART = 64,    /* cells that lie apart, gathered at a time */
    ROWS_AHEAD = 4 /* of a tile, that are fetched */
};

/* n cells of `size` bytes, each `from_step` cells after the one before, to cells `to_step` apart.
 */
static void move_cells(ptrdiff_t size, const void *x, ptrdiff_t from_step, void *y,
                       ptrdiff_t to_step, ptrdiff_t n) {
    const char *from = x;
    char *to = y;
#define MOVE(SIZE)                                                              \
    case SIZE:                                                                  \
        for (ptrdiff_t i = 0; i < n; i++)                                       \
            memcpy(to + i * to_step * SIZE, from + i * from_step * SIZE, SIZE); \
        return;
    switch (size) {
        MOVE(1)
        MOVE(2)
        MOVE(4)
        MOVE(8)
    }
#undef MOVE
}

/* to[i] = x[i * step], i < n. */
INLINE void read_cells(storage_t type, const void *x, ptrdiff_t step, ptrdiff_t n, real *to) {
    const ptrdiff_t size = storage_size(type);
    int64_t cells[APART];
    if (type == TYPE_OF_REAL)
        copy_row(to, x, step, n);
    else if (step == 1)
        load_cells(type, x, n, to);
    else
        for (ptrdiff_t i = 0; i < n; i += APART) {
            const ptrdiff_t some = n - i < APART ? n - i : APART;
            move_cells(size, (const char *)x + i * step * size, step, cells, 1, some);
            load_cells(type, cells, some, to + i);
        }
}

/* Where cell i of a line is, of which x is the cell at `begin`. */
INLINE const void *cell_of(const tile_source_t *s, const void *x, ptrdiff_t i) {
    return (const char *)x + (i - s->begin[2]) * s->step[2] * storage_size(s->type);
}

/* to[i] = from[-i], i < n. */
VECTORIZED static void copy_back(real *restrict to, const real *restrict from, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) to[i] = from[-i];
}

/* Cells [from, last) of a line, all on one side of those that are within; `line[i]` for the cells
 * that are there. A border is made of runs: of one cell, or of the image's in its order or back. */
static void load_border(const tile_source_t *s, const void *x, ptrdiff_t from, ptrdiff_t last,
                        ptrdiff_t begin, ptrdiff_t end, real *line) {
    const ptrdiff_t held = s->held[2] < last ? s->held[2] : last;
    const ptrdiff_t place = s->place[2], size = s->size[2];
    ptrdiff_t i = from, n;
    for (; i < held; i += n) {
        const ptrdiff_t at = border_source(s->border, place + i, size), cell = at - place;
        const ptrdiff_t turn = border_source(s->border, place + i + 1, size) - at;
        const int alike = at < 0 || s->border == CYCONV_NEAREST;
        n = held - i;
        if (turn == 1 && n > size - at) n = size - at;
        if (turn == -1 && n > at + 1) n = at + 1;
        if (turn != 1 && turn != -1 && !alike) n = 1;
        const ptrdiff_t other = n > 1 && !alike ? cell + turn * (n - 1) : cell;
        if (alike || n == 1) {
            real value = (real)s->constant;
            if (at >= 0) read_cells(s->type, cell_of(s, x, cell), 1, 1, &value);
            for (ptrdiff_t k = 0; k < n; k++) line[i + k] = value;
        } else if (cell < begin || cell >= end || other < begin || other >= end) {
            read_cells(s->type, cell_of(s, x, cell), turn * s->step[2], n, line + i);
        } else if (turn == 1) {
            copy_row(line + i, line + cell, 1, n);
        } else {
            copy_back(line + i, line + cell, n);
        }
    }
    if (i < last) zero_row(line + i, last - i);
}

/* Cells [first, last) of a line of a tile, of which x is the cell at `begin`. */
static void load_line(const tile_source_t *s, const void *x, ptrdiff_t first, ptrdiff_t last,
                      real *to) {
    ptrdiff_t begin = s->begin[2] > first ? s->begin[2] : first;
    ptrdiff_t end = s->end[2] < last ? s->end[2] : last;
    if (begin >= end) begin = end = last;
    if (begin < end)
        read_cells(s->type, cell_of(s, x, begin), s->step[2], end - begin, to + begin - first);
    load_border(s, x, first, begin, begin, end, to - first);
    load_border(s, x, end, last, begin, end, to - first);
}

/* A row of a tile, or of the image beyond it. */
typedef struct {
    ptrdiff_t o, r;
} row_t;

INLINE row_t row_at(const tile_source_t *s, ptrdiff_t o, ptrdiff_t r) {
    return (row_t){cell_at(s, 0, o), cell_at(s, 1, r)};
}
INLINE int holds_row(const tile_source_t *s, row_t row) {
    return holds_cell(s, 0, row.o) && holds_cell(s, 1, row.r);
}
INLINE int is_zero(row_t row) { return row.o == NO_CELL || row.r == NO_CELL; }
INLINE int is_constant(row_t row) { return row.o == CONSTANT_CELL || row.r == CONSTANT_CELL; }
INLINE const void *cells_of(const tile_source_t *s, row_t row) {
    const ptrdiff_t at = (row.o - s->begin[0]) * s->step[0] + (row.r - s->begin[1]) * s->step[1];
    return (const char *)s->x + at * storage_size(s->type);
}

/* Those around the image after its own, which most of them repeat. */
static void load_tile(const tile_t *t, const tile_source_t *s, int half, void *plane) {
    const ptrdiff_t pitch = 2 * t->pitch, n = t->columns;
    real *const rows = (real *)plane + half * t->pitch;
    for (ptrdiff_t r = 0; t->folded && r < t->rows; r++)
        load_line(s, s->x, r * n, r * n + n, rows + r * pitch);
    for (int around = 0; around < 2 && !t->folded; around++)
        for (ptrdiff_t i = 0; i < t->outer * t->rows; i++) {
            const row_t here = {i / t->rows, i % t->rows};
            real *row = rows + i * pitch;
            if (holds_row(s, here) == around) continue;
            const row_t from = row_at(s, here.o, here.r);
            if (is_zero(from)) {
                zero_row(row, n);
            } else if (is_constant(from)) {
                for (ptrdiff_t j = 0; j < n; j++) row[j] = j < s->held[2] ? (real)s->constant : 0;
            } else if (around && holds_row(s, from)) {
                copy_row(row, rows + (from.o * t->rows + from.r) * pitch, 1, n);
            } else {
                load_line(s, cells_of(s, from), 0, n, row);
            }
        }
}

/* Runs of CYCONV_RUN are those of the whole line. */
static void look_at_line(const tile_source_t *s, const void *x, int least, sizes_t *found) {
    enum { FEW = 32 * CYCONV_RUN };
    real few[FEW + CYCONV_RUN];
    const ptrdiff_t first = s->held[2] > 0 ? 0 : s->begin[2];
    const ptrdiff_t last = s->held[2] > s->end[2] ? s->held[2] : s->end[2];
    if (first >= last) return;
    if (first == s->begin[2] && last == s->end[2] && s->step[2] == 1 && s->type == TYPE_OF_REAL) {
        add_sizes(last - first, x, least, found);
        return;
    }
    for (ptrdiff_t i = first, end; i < last; i = end) {
        end = last - i < FEW + CYCONV_RUN ? last : i + FEW;
        load_line(s, x, i, end, few);
        add_sizes(end - i, few, least, found);
    }
}

/* The piece of a row that lies some rows on: pieces are too short for the processor to see. */
INLINE void fetch_row(const tile_source_t *s, const void *x) {
    const ptrdiff_t size = storage_size(s->type), n = (s->end[2] - s->begin[2]) * s->step[2];
    const uintptr_t cells = (uintptr_t)x + (uintptr_t)(ROWS_AHEAD * s->step[1] * size);
    for (ptrdiff_t i = 0; i < n * size + 64; i += 64)
        __builtin_prefetch((const void *)(cells + (uintptr_t)i)); /* perhaps beyond the image */
}

INLINE ptrdiff_t end_of(const tile_source_t *s, int a) {
    return s->held[a] > s->end[a] ? s->held[a] : s->end[a];
}

static void look_at_tile(const tile_t *t, const tile_source_t *s, int least, spread_t *found) {
    const real constant = (real)s->constant;
    sizes_t sizes = no_sizes();
    if (t->folded) look_at_line(s, s->x, least, &sizes);
    for (ptrdiff_t o = 0; !t->folded && o < end_of(s, 0); o++)
        for (ptrdiff_t r = 0; r < end_of(s, 1); r++) {
            const row_t from = row_at(s, o, r), here = {o, r};
            if (is_zero(from)) continue;
            if (is_constant(from)) {
                add_sizes(1, &constant, least, &sizes);
            } else if (holds_row(s, here) || !holds_row(s, from)) {
                look_at_line(s, cells_of(s, from), least, &sizes);
                fetch_row(s, cells_of(s, from));
            }
        }
    merge_sizes(&sizes, found);
}

/* to[i * step] = from[i * stride], i < n. */
INLINE void write_cells(const tile_target_t *s, void *to, const real *from, ptrdiff_t stride,
                        ptrdiff_t n) {
    const ptrdiff_t step = s->step[2], size = storage_size(s->type);
    int64_t cells[APART];
    real sums[APART];
    if (s->type == TYPE_OF_REAL && step == 1)
        copy_row(to, from, stride, n);
    else if (s->type == TYPE_OF_REAL)
        move_cells(REAL_BYTES, from, stride, to, step, n);
    else if (step == 1 && stride == 1)
        store_cells(s->type, s->saturate, from, n, to);
    else
        for (ptrdiff_t i = 0; i < n; i += APART) {
            const ptrdiff_t some = n - i < APART ? n - i : APART;
            copy_row(sums, from + i * stride, stride, some);
            store_cells(s->type, s->saturate, sums, some, cells);
            move_cells(size, cells, 1, (char *)to + i * step * size, step, some);
        }
}

static void store_tile(const tile_t *t, const tile_target_t *s, int half, const void *plane) {
    const real *from = (const real *)plane + half * t->pitch;
    const ptrdiff_t row = 2 * t->pitch, stride = s->stride[2], size = storage_size(s->type);
    char *y = s->y;
    if (t->folded) {
        for (ptrdiff_t i = 0; i < s->count[2];) {
            const ptrdiff_t r = i * stride / t->columns, j = i * stride % t->columns;
            ptrdiff_t n = (t->columns - j + stride - 1) / stride;
            if (n > s->count[2] - i) n = s->count[2] - i;
            write_cells(s, y + i * s->step[2] * size, from + r * row + j, stride, n);
            i += n;
        }
        return;
    }
    for (ptrdiff_t o = 0; o < s->count[0]; o++)
        for (ptrdiff_t r = 0; r < s->count[1]; r++)
            write_cells(s, y + (o * s->step[0] + r * s->step[1]) * size,
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
