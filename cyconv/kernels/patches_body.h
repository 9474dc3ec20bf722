/* Moving pixels: weights into panels, input rows into zero-bordered strips, patches into columns.
 */

/* Blocks of LANES taps are transposed in registers; what a vector writes past a tap's row is
 * written again by the next. */
static void pack_filters(const void *weights, ptrdiff_t w_row, ptrdiff_t m, ptrdiff_t taps,
                         void *panels) {
    const real *w = weights;
    real *A = panels;
    for (ptrdiff_t i = 0; i < m; i += CYCONV_MR, w += CYCONV_MR * w_row) {
        const ptrdiff_t rows = m - i < CYCONV_MR ? m - i : CYCONV_MR;
        /* A whole vector is stored for each tap of MR weights: (LANES - MR) elements of the taps
         * after it, at most (LANES - 1) / MR of them. The very last ones are left to the plain
         * loop. */
        const ptrdiff_t last = i + CYCONV_MR < m ? taps : taps - (LANES - 1) / CYCONV_MR;
        ptrdiff_t t = 0;
        if (LANES >= CYCONV_MR)
            for (; t + LANES <= last && i + CYCONV_MR <= m; t += LANES) {
                vec block[LANES];
#pragma GCC unroll 16
                for (int l = 0; l < LANES; l++)
                    block[l] = load(w + (l < CYCONV_MR ? l : 0) * w_row + t);
                transpose(block);
#pragma GCC unroll 16
                for (int l = 0; l < LANES; l++, A += CYCONV_MR) store(A, block[l]);
            }
        for (; t < taps; t++)
            for (ptrdiff_t j = 0; j < rows; j++) *A++ = w[j * w_row + t];
    }
}

/* One tap of `rows` filters, w_row apart. */
INLINE real *pack_tap(const ptrdiff_t rows, const real *w, ptrdiff_t w_row, real *A) {
    if (w_row == 1)
        memcpy(A, w, (size_t)rows * sizeof(real));
    else
#pragma GCC unroll 6
        for (ptrdiff_t j = 0; j < rows; j++) A[j] = w[j * w_row];
    return A + rows;
}

/* Neighbouring filters of one plane are read before the next plane, which may be a page away. */
static void pack_scattered(const void *weights, const scattered_t *s, ptrdiff_t m, void *panels) {
    enum { TOGETHER = 8 * CYCONV_MR };
    const ptrdiff_t taps = s->rows * s->columns;
    for (ptrdiff_t i0 = 0; i0 < m; i0 += TOGETHER)
        for (ptrdiff_t d = 0; d < s->planes; d++)
            for (ptrdiff_t i = i0; i < m && i < i0 + TOGETHER; i += CYCONV_MR) {
                const real *w = (const real *)weights + i * s->w_filter + d * s->w_plane;
                const ptrdiff_t rows = m - i < CYCONV_MR ? m - i : CYCONV_MR;
                real *A = (real *)panels + (i * s->planes + d * rows) * taps;
                for (ptrdiff_t r = 0; r < s->rows; r++)
                    for (ptrdiff_t c = 0; c < s->columns; c++) {
                        const real *tap = w + r * s->w_row + c * s->w_column;
                        A = rows == CYCONV_MR ? pack_tap(CYCONV_MR, tap, s->w_filter, A)
                                              : pack_tap(rows, tap, s->w_filter, A);
                    }
            }
}

/* row[j] = from[(j - begin) * stride] for begin <= j < end, zero for the other j < n. */
INLINE void bordered_row(const int cells, real *row, ptrdiff_t n, const void *from,
                         ptrdiff_t stride, ptrdiff_t begin, ptrdiff_t end) {
    if (begin) zero_row(row, begin);
    if (end > begin) copy_cells(cells, row + begin, from, stride, end - begin);
    if (end < n) zero_row(row + end, n - end);
}

/* row[j] = from[j * stride + shift], j < n, zero where that index is outside [0, in). */
INLINE void gather_row(const int cells, real *row, ptrdiff_t n, const void *from,
                       ptrdiff_t from_stride, ptrdiff_t shift, ptrdiff_t stride, ptrdiff_t in) {
    ptrdiff_t begin, end;
    valid_range(shift, stride, in, n, &begin, &end);
    const void *first =
        end > begin ? cell_at(cells, from, (begin * stride + shift) * from_stride) : NULL;
    bordered_row(cells, row, n, first, stride * from_stride, begin, end);
}

/* Rows of one plane that are in the image, in whole vectors: for each phase, zeros before `begin`
 * and from `end` on. Reads no element from `limit` on; returns how many rows that let it fill.
 * What is written past a row is written again by the next one. */
typedef struct {
    ptrdiff_t begin, end, first; /* `first`: the element of an image row for row[begin] */
} border_t;

INLINE ptrdiff_t fill_rows(const int cells, const int stride, ptrdiff_t rows, ptrdiff_t phases,
                           ptrdiff_t pitch, const border_t *border, const void *from,
                           ptrdiff_t from_step, const void *limit, real *row) {
    const vec zero = {0};
    for (ptrdiff_t i = 0; i < rows; i++, from = cell_at(cells, from, from_step))
        for (ptrdiff_t b = 0; b < phases; b++, row += pitch) {
            const ptrdiff_t begin = border[b].begin, n = border[b].end - begin;
            const void *x = cell_at(cells, from, border[b].first);
            const ptrdiff_t last = ((n - 1) / LANES * LANES + LANES - 1) * stride;
            if (n > 0 && cell_at(cells, x, last) >= limit) return i;
            ptrdiff_t j = 0;
            for (; j < begin; j += LANES) store(row + j, zero);
            for (j = 0; j < n; j += LANES)
                store(row + begin + j, stride == 1
                                           ? load_cells_at(cells, cell_at(cells, x, j))
                                           : every_second_cell(cells, cell_at(cells, x, 2 * j)));
            for (j = begin + (n > 0 ? n : 0); j < pitch; j += LANES) store(row + j, zero);
        }
    return rows;
}

/* Rows that are read next: few of each plane, so that no run of lines shows where they lie. */
INLINE void fetch_rows(const int cells, ptrdiff_t rows, ptrdiff_t n, const void *from,
                       ptrdiff_t step) {
    for (; rows > 0; rows--, from = cell_at(cells, from, step))
        for (ptrdiff_t j = 0; j < n; j += CYCONV_CACHE_LINE / cell_bytes(cells))
            __builtin_prefetch(cell_at(cells, from, j));
}

INLINE void fill_strip_of(const int cells, const geometry_t *g, const strip_t *s,
                          const char *const *planes, ptrdiff_t count, ptrdiff_t p0, ptrdiff_t q0,
                          real *row) {
    enum { KNOWN = 2 };
    const ptrdiff_t step = g->w.stride * g->w.x_stride, width = s->column_phases * s->pitch;
    const int vectors = s->column_phases <= KNOWN && g->w.x_stride == 1 && g->h.x_stride >= 0 &&
                        (step == 1 || step == 2);
    border_t border[KNOWN];
    for (ptrdiff_t b = 0; vectors && b < s->column_phases; b++) {
        const ptrdiff_t shift = q0 * step + s->column_phase[b] - g->w.pad;
        valid_range(shift, step, g->w.in, s->pitch, &border[b].begin, &border[b].end);
        border[b].first = border[b].begin * step + shift;
    }
    for (ptrdiff_t d = 0; d < count; d++)
        for (ptrdiff_t a = 0; a < s->row_phases; a++) {
            const void *plane = planes[d];
            const ptrdiff_t shift = p0 * g->h.stride + s->row_phase[a] - g->h.pad;
            ptrdiff_t i, begin = s->filled, end = s->filled;
            if (plane) valid_range(shift, g->h.stride, g->h.in, s->filled, &begin, &end);
            for (i = 0; i < begin; i++, row += width) zero_row(row, width);
            if (vectors && end > begin) {
                const void *from =
                    cell_at(cells, plane, (begin * g->h.stride + shift) * g->h.x_stride);
                const void *limit = cell_at(cells, plane, (g->h.in - 1) * g->h.x_stride + g->w.in);
                const ptrdiff_t down = g->h.stride * g->h.x_stride;
                if (d + 1 < count && planes[d + 1]) {
                    const void *next =
                        cell_at(cells, planes[d + 1],
                                (begin * g->h.stride + shift) * g->h.x_stride + border[0].first);
                    fetch_rows(cells, end - begin, (border[0].end - border[0].begin) * step, next,
                               down);
                }
                i += step == 1 ? fill_rows(cells, 1, end - begin, s->column_phases, s->pitch,
                                           border, from, down, limit, row)
                               : fill_rows(cells, 2, end - begin, s->column_phases, s->pitch,
                                           border, from, down, limit, row);
                row += (i - begin) * width;
            }
            for (; i < end; i++)
                for (ptrdiff_t b = 0; b < s->column_phases; b++, row += s->pitch)
                    gather_row(cells, row, s->pitch,
                               cell_at(cells, plane, (i * g->h.stride + shift) * g->h.x_stride),
                               g->w.x_stride, q0 * g->w.stride + s->column_phase[b] - g->w.pad,
                               g->w.stride, g->w.in);
            for (; i < s->filled; i++, row += width) zero_row(row, width);
            row += (s->rows - s->filled) * width;
        }
}

static void fill_strip(const geometry_t *g, const strip_t *s, const char *const *planes,
                       ptrdiff_t count, ptrdiff_t p0, ptrdiff_t q0, void *strip){
#define FILL(cells) fill_strip_of(cells, g, s, planes, count, p0, q0, strip)
    OF_CELLS(g -> x_cells, FILL)
#undef FILL
}

INLINE void gather_of(const int cells, ptrdiff_t taps, const void *source, const ptrdiff_t *offset,
                      ptrdiff_t ld, const run_t *runs, ptrdiff_t count, int exact, real *to) {
    if (count == 1 && runs->length == NR) {
        const void *first = cell_at(cells, source, runs->start);
        for (ptrdiff_t t = 0; t < taps; t++, to += NR) {
            const void *from = cell_at(cells, first, offset ? offset[t] : t * ld);
            /* The last of the next panel: a line that the first may share with this one. */
            __builtin_prefetch(cell_at(cells, from, 2 * NR - 1));
#pragma GCC unroll 4
            for (int j = 0; j < NR; j += LANES)
                store(to + j, load_cells_at(cells, cell_at(cells, from, j)));
        }
        return;
    }
    for (ptrdiff_t t = 0; t < taps; t++, to += NR) {
        const void *tap = cell_at(cells, source, offset ? offset[t] : t * ld);
        real *at = to;
        for (ptrdiff_t i = 0; i < count; at += runs[i++].length) {
            const void *from = cell_at(cells, tap, runs[i].start);
            if (exact)
                copy_cells(cells, at, from, 1, runs[i].length);
            else /* what is written past a run is written again by the next one */
                for (ptrdiff_t j = 0; j < runs[i].length; j += LANES)
                    store(at + j, load_cells_at(cells, cell_at(cells, from, j)));
        }
    }
}

static void gather(int cells, ptrdiff_t taps, const void *source, const ptrdiff_t *offset,
                   ptrdiff_t ld, const run_t *runs, ptrdiff_t count, int exact, void *panel) {
#define GATHER(cells) gather_of(cells, taps, source, offset, ld, runs, count, exact, panel)
    OF_CELLS(cells, GATHER)
#undef GATHER
}

/* One kernel row for each column of a panel, transposed: copied first, with its zero border, unless
 * all rows are whole and contiguous; then only what is left of them after whole vectors. */
static void gather_columns(const geometry_t *g, const char *const *rows, const ptrdiff_t *begin,
                           const ptrdiff_t *end, void *scratch, void *panel) {
    const ptrdiff_t S = g->w.kernel, step = g->w.dilation * g->w.x_stride;
    ptrdiff_t whole = step == 1 ? S / LANES * LANES : 0;
    for (int j = 0; j < NR; j++)
        if (!rows[j] || begin[j] || end[j] < S) whole = 0;
    const ptrdiff_t ld = (S - whole + LANES - 1) / LANES * LANES;
    real *to = panel;
    for (int j = 0; j < NR; j++) {
        real *row = (real *)scratch + j * ld;
        if (whole)
            copy_row(row, (const real *)rows[j] + whole, 1, S - whole);
        else if (rows[j])
            bordered_row(CYCONV_REAL, row, S, (const real *)rows[j] + begin[j] * step, step,
                         begin[j], end[j]);
        else
            zero_row(row, S);
    }
    for (ptrdiff_t s = 0; s < S; s += LANES, to += LANES * NR)
        for (int j = 0; j < NR; j += LANES) {
            vec block[LANES];
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++)
                block[l] = load(s < whole ? (const real *)rows[j + l] + s
                                          : (const real *)scratch + (j + l) * ld + s - whole);
            transpose(block);
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++) store(to + l * NR + j, block[l]);
        }
}

INLINE void patches_of(const int cells, const geometry_t *g, const char *const *planes,
                       ptrdiff_t l0, ptrdiff_t l1, real *row, ptrdiff_t ld) {
    const ptrdiff_t Q = g->w.out;
    for (ptrdiff_t d = 0; d < g->D; d++)
        for (ptrdiff_t r = 0; r < g->h.kernel; r++)
            for (ptrdiff_t s = 0; s < g->w.kernel; s++, row += ld) {
                const ptrdiff_t shift = s * g->w.dilation - g->w.pad;
                real *to = row;
                for (ptrdiff_t l = l0; l < l1;) {
                    const ptrdiff_t p = l / Q, q = l % Q;
                    const ptrdiff_t n = Q - q < l1 - l ? Q - q : l1 - l;
                    const ptrdiff_t h = p * g->h.stride + r * g->h.dilation - g->h.pad;
                    if (planes[d] && h >= 0 && h < g->h.in)
                        gather_row(cells, to, n, cell_at(cells, planes[d], h * g->h.x_stride),
                                   g->w.x_stride, q * g->w.stride + shift, g->w.stride, g->w.in);
                    else
                        memset(to, 0, (size_t)n * sizeof(real));
                    to += n;
                    l += n;
                }
            }
}

static void patches(const geometry_t *g, const char *const *planes, ptrdiff_t l0, ptrdiff_t l1,
                    void *columns, ptrdiff_t ld) {
#define PATCHES(cells) patches_of(cells, g, planes, l0, l1, columns, ld)
    OF_CELLS(g->x_cells, PATCHES)
#undef PATCHES
}

static void widen(int cells, ptrdiff_t rows, ptrdiff_t n, const void *from, ptrdiff_t from_row,
                  ptrdiff_t from_step, void *to, ptrdiff_t ld) {
    if (from_step == 1 && from_row == n && ld == n) n *= rows, rows = 1;
#define WIDEN(cells)                     \
    for (ptrdiff_t i = 0; i < rows; i++) \
    copy_cells(cells, (real *)to + i * ld, cell_at(cells, from, i * from_row), from_step, n)
    OF_CELLS(cells, WIDEN)
#undef WIDEN
}

static void store_pixels(const geometry_t *g, const void *block, ptrdiff_t ld, ptrdiff_t l0,
                         ptrdiff_t l1, void *y, const epilogue_t *e) {
    const ptrdiff_t Q = g->w.out;
    for (ptrdiff_t l = l0, n; l < l1; l += n) {
        const ptrdiff_t p = l / Q, q = l % Q;
        n = Q - q < l1 - l ? Q - q : l1 - l;
        finish_rows(g->y_cells, g->K, n, (const real *)block + l - l0, ld,
                    (char *)y + (p * g->h.y_stride + q * g->w.y_stride) * cell_bytes(g->y_cells),
                    g->y_k, g->w.y_stride, e);
    }
}
