/* multiply, pack_filters, pack_scattered, filters_in_lanes, stencil and stencil_pair. */

enum { ROWS = 20, MOST_ROWS = 53, MOST_COLUMNS = 70, MOST_TAPS = 100 };

/* Weights w[i * w_row + t] in panels of CYCONV_MR rows. */
static void pack(const real *w, ptrdiff_t w_row, ptrdiff_t m, ptrdiff_t taps, real *A) {
    for (ptrdiff_t i = 0; i < m; i++) {
        const ptrdiff_t first = i / CYCONV_MR * CYCONV_MR;
        const ptrdiff_t rows = m - first < CYCONV_MR ? m - first : CYCONV_MR;
        for (ptrdiff_t t = 0; t < taps; t++)
            A[first * taps + t * rows + i - first] = w[i * w_row + t];
    }
}

static void check_pack_filters(const kernels_t *k) {
    for (ptrdiff_t m = 1; m <= ROWS; m++)
        for (ptrdiff_t taps = 1; taps <= 20; taps++) {
            const ptrdiff_t w_row = taps + between(0, 3);
            begin("pack_filters m %td taps %td w_row %td", m, taps, w_row);
            const real *w = random_buffer(WEIGHTS, (m - 1) * w_row + taps);
            real *got = buffer(GOT, m * taps), *want = buffer(WANT, m * taps);
            k->pack_filters(w, w_row, m, taps, got);
            pack(w, w_row, m, taps, want);
            compare(got, want, m * taps);
        }
}

/* Filters, planes, rows and columns in any order in memory, the kernel reversed or not. */
static void check_pack_scattered(const kernels_t *k) {
    for (int turn = 0; turn < 300; turn++) {
        const ptrdiff_t m = between(1, MOST_ROWS + 50), gap = between(0, 2);
        scattered_t s = {between(1, 9), between(1, 3), between(1, 3), 0, 0, 0, 0};
        const ptrdiff_t size[4] = {m, s.planes, s.rows, s.columns};
        ptrdiff_t *const step[4] = {&s.w_filter, &s.w_plane, &s.w_row, &s.w_column};
        ptrdiff_t total = 1, start = 0;
        for (ptrdiff_t i = 0, first = between(0, 3), back = between(0, 1); i < 4; i++) {
            const ptrdiff_t axis = (first + i) % 4;
            *step[axis] = total;
            total *= size[axis] + gap;
            if (axis >= 2 && back) {
                start += (size[axis] - 1) * *step[axis];
                *step[axis] *= -1;
            }
        }
        const ptrdiff_t taps = s.planes * s.rows * s.columns;
        begin("pack_scattered m %td planes %td rows %td columns %td strides %td %td %td %td", m,
              s.planes, s.rows, s.columns, s.w_filter, s.w_plane, s.w_row, s.w_column);
        const real *w = (const real *)random_buffer(WEIGHTS, total) + start;
        real *dense = buffer(OTHER, m * taps), *got = buffer(GOT, m * taps);
        real *want = buffer(WANT, m * taps), *to = dense;
        for (ptrdiff_t i = 0; i < m; i++)
            for (ptrdiff_t d = 0; d < s.planes; d++)
                for (ptrdiff_t r = 0; r < s.rows; r++)
                    for (ptrdiff_t c = 0; c < s.columns; c++)
                        *to++ = w[i * s.w_filter + d * s.w_plane + r * s.w_row + c * s.w_column];
        k->pack_scattered(w, &s, m, got);
        pack(dense, taps, m, taps, want);
        compare(got, want, m * taps);
    }
}

/* B by pitch or by offsets, of neighbouring columns or in panels; C by rows, by every second or
 * third column, or transposed. */
static void check_product(const kernels_t *k, ptrdiff_t m, ptrdiff_t n, int panels, int by_offset) {
    static const ptrdiff_t lengths[] = {1, 2, 3, 7, 9, 27};
    const ptrdiff_t taps = between(0, 19) ? lengths[between(0, 5)] : MOST_TAPS,
                    layout = between(0, 4), nr = k->nr;
    const ptrdiff_t ldb = panels ? nr : n + between(0, 5);
    const ptrdiff_t b_panel = panels ? taps * nr + between(0, 1) * nr : nr;
    const ptrdiff_t c_column = layout < 2 ? 1 : layout < 4 ? layout : m + between(0, 2);
    const ptrdiff_t c_row = layout < 4 ? n * c_column + between(0, 3) : 1;
    const int accumulate = between(0, 1) != 0;
    real bias[MOST_ROWS];
    epilogue_t values;
    const epilogue_t *e = random_epilogue(&values, bias, m);
    begin("multiply m %td n %td taps %td ldb %td b_panel %td offsets %d c_row %td c_column %td "
          "accumulate %d bias %d clamp %d",
          m, n, taps, ldb, b_panel, by_offset, c_row, c_column, accumulate, e && e->bias,
          e && e->clamp);

    ptrdiff_t offset[MOST_TAPS], last = 0;
    for (ptrdiff_t t = 0; t < taps; t++) {
        offset[t] = !by_offset ? t * ldb : panels ? between(0, taps - 1) * nr : between(0, 200);
        last = offset[t] > last ? offset[t] : last;
    }
    const ptrdiff_t columns = (n - 1) / nr * b_panel + (n - 1) % nr + 1;
    const real *B = random_buffer(INPUT, last + columns + CYCONV_OVERREAD);
    const real *w = random_buffer(WEIGHTS, m * taps);
    real *A = buffer(OTHER, m * taps + 16); /* a vector may be read past the end */
    pack(w, taps, m, taps, A);

    const ptrdiff_t size = (m - 1) * c_row + (n - 1) * c_column + 1;
    real *got = buffer(GOT, size), *want = buffer(WANT, size);
    random_residual(&values, got, size);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            const ptrdiff_t at = i * c_row + j * c_column, column = j / nr * b_panel + j % nr;
            real sum = 0;
            for (ptrdiff_t t = 0; t < taps; t++) sum += w[i * taps + t] * B[offset[t] + column];
            if (accumulate) sum += got[at] = small(4);
            want[at] = finished(sum, e, i, at);
        }
    if (m & 1) {
        k->multiply(m, n, taps, A, B, ldb, b_panel, by_offset ? offset : NULL, got, c_row, c_column,
                    accumulate, e);
    } else {
        const ptrdiff_t rows = between(1, 3), planes = between(1, 3), bytes = between(1, 200);
        ahead_t ahead = {B, 0, bytes, planes, rows, bytes, between(1, 5), 0, 0, 0};
        k->multiply_ahead(m, n, taps, A, B, ldb, b_panel, by_offset ? offset : NULL, got, c_row,
                          c_column, accumulate, e, &ahead);
        const char *end = (const char *)B + ahead.row * bytes;
        const int inside = ahead.plane <= planes && ahead.row < rows && ahead.at < bytes;
        if (ahead.from != end || !inside) fail("what is fetched lies elsewhere");
    }
    compare(got, want, size);
}

static void check_multiply(const kernels_t *k) {
    for (ptrdiff_t m = 1; m <= MOST_ROWS; m += m < ROWS ? 1 : 11)
        for (ptrdiff_t n = 1; n <= MOST_COLUMNS; n++)
            for (int way = (int)between(0, 3), i = 0; i < 2; i++, way = 3 - way)
                check_product(k, m, n, way & 1, way >> 1);
}

/* Filters in the lanes, over rows of a strip that a tap reaches at any offset. */
static void check_filters_in_lanes(const kernels_t *k) {
    for (int trial = 0; trial < TRIALS; trial++) {
        const ptrdiff_t v = between(1, 3), m = between(1, 3) * v * k->lanes, taps = between(1, 40);
        const ptrdiff_t rows = between(1, 9), columns = between(1, 20), n = rows * columns;
        const ptrdiff_t row = columns + between(0, 4), y_k = n + between(0, 3);
        real *bias = buffer(OTHER, m);
        epilogue_t values;
        const epilogue_t *e = random_epilogue(&values, bias, m);
        const int accumulate = (int)between(0, 1);
        begin("filters_in_lanes v %td, m %td, %td x %td outputs, taps %td, bias %d clamp %d, "
              "accumulate %d",
              v, m, rows, columns, taps, e && e->bias, e && e->clamp, accumulate);
        ptrdiff_t offset[40], last = 0;
        for (ptrdiff_t t = 0; t < taps; t++) {
            offset[t] = between(0, 60);
            last = offset[t] > last ? offset[t] : last;
        }
        const real *strip = random_buffer(INPUT, last + (rows - 1) * row + columns);
        const real *w = random_buffer(WEIGHTS, m * taps);
        const ptrdiff_t size = (m - 1) * y_k + n, block = v * k->lanes;
        real *got = buffer(GOT, size), *want = buffer(WANT, size);
        if (accumulate) memcpy(got, random_buffer(WANT, size), (size_t)size * sizeof(real));
        random_residual(&values, got, size);
        for (ptrdiff_t i = 0; i < m; i++)
            for (ptrdiff_t j = 0; j < n; j++) {
                const real *x = strip + j / columns * row + j % columns;
                real sum = 0;
                for (ptrdiff_t t = 0; t < taps; t++)
                    sum += w[i / block * block * taps + t * block + i % block] * x[offset[t]];
                if (accumulate) sum += want[i * y_k + j];
                want[i * y_k + j] = finished(sum, e, i, i * y_k + j);
            }
        k->filters_in_lanes(v, m, rows, columns, taps, w, strip, row, offset, got, y_k, accumulate,
                            e);
        compare(got, want, size);
    }
}

enum { RUNS = 5 };

/* Taps of a stencil over a strip with rows of so many elements; returns their number, and in
 * `last` where the farthest is. */
static ptrdiff_t random_runs(stencil_t *s, ptrdiff_t row, ptrdiff_t *start, ptrdiff_t *length,
                             ptrdiff_t *last) {
    enum { MOST_LENGTH = 8 };
    ptrdiff_t taps = 0;
    s->runs = between(1, RUNS), s->start = start, s->length = length, s->row = row;
    for (ptrdiff_t i = 0; i < s->runs; i++) {
        start[i] = between(0, 4 * row);
        length[i] = between(1, MOST_LENGTH);
        taps += length[i];
        const ptrdiff_t end = start[i] + (length[i] - 1) * row;
        *last = end > *last ? end : *last;
    }
    return taps;
}

static real stencil_sum(const stencil_t *s, const real *strip, ptrdiff_t p, ptrdiff_t q) {
    const real *w = s->w;
    real sum = 0;
    for (ptrdiff_t i = 0; i < s->runs; i++)
        for (ptrdiff_t j = 0; j < s->length[i]; j++)
            sum += *w++ * strip[s->start[i] + (p + j) * s->row + q];
    return sum;
}

static void check_stencil(const kernels_t *k) {
    for (ptrdiff_t rows = 1; rows <= 20; rows++)
        for (ptrdiff_t columns = 1; columns <= 50; columns++) {
            const ptrdiff_t filter = between(0, 3), row = columns + 2 + between(0, 9);
            real bias[4];
            epilogue_t values;
            ptrdiff_t start[RUNS], length[RUNS], last = 0;
            stencil_t s = {.y_column = between(0, 2) ? 1 : between(2, 3),
                           .accumulate = between(0, 2) == 0,
                           .filter = filter};
            const ptrdiff_t taps = random_runs(&s, row, start, length, &last);
            s.y_row = columns * s.y_column + between(0, 1) * between(1, 5);
            s.e = random_epilogue(&values, bias, 4);
            s.w = random_buffer(WEIGHTS, taps);
            begin("stencil rows %td columns %td runs %td of %td.. taps, row %td y_row %td "
                  "y_column %td accumulate %d bias %d clamp %d",
                  rows, columns, s.runs, length[0], row, s.y_row, s.y_column, s.accumulate,
                  s.e && s.e->bias, s.e && s.e->clamp);

            const real *strip =
                random_buffer(INPUT, last + (rows - 1) * row + columns + CYCONV_OVERREAD);
            const ptrdiff_t size = (rows - 1) * s.y_row + (columns - 1) * s.y_column + 1;
            real *got = buffer(GOT, size), *want = buffer(WANT, size);
            random_residual(&values, got, size);
            for (ptrdiff_t p = 0; p < rows; p++)
                for (ptrdiff_t q = 0; q < columns; q++) {
                    const ptrdiff_t at = p * s.y_row + q * s.y_column;
                    real sum = stencil_sum(&s, strip, p, q);
                    if (s.accumulate) sum += got[at] = small(4);
                    want[at] = finished(sum, s.e, filter, at);
                }
            k->stencil(&s, strip, rows, columns, got);
            compare(got, want, size);
        }
}

static void check_stencil_pair(const kernels_t *k) {
    for (ptrdiff_t rows = 1; rows <= 12; rows++)
        for (ptrdiff_t cells = 2; cells <= 70; cells++) {
            const ptrdiff_t columns[] = {cells - cells / 2, cells / 2}, filter = between(0, 3);
            const ptrdiff_t row = columns[0] + 2 + between(0, 9);
            real bias[4];
            epilogue_t values;
            const epilogue_t *e = random_epilogue(&values, bias, 4);
            ptrdiff_t start[2][RUNS], length[2][RUNS], taps[2], last = 0;
            stencil_t s[2] = {{.y_row = cells + between(0, 1) * between(1, 90)}};
            s[1] = s[0];
            for (int i = 0; i < 2; i++) {
                taps[i] = random_runs(s + i, row, start[i], length[i], &last);
                s[i].y_column = 2, s[i].filter = filter, s[i].e = e;
            }
            const real *w = random_buffer(WEIGHTS, taps[0] + taps[1]);
            s[0].w = w, s[1].w = w + taps[0];
            begin("stencil_pair rows %td cells %td runs %td and %td, row %td y_row %td bias %d "
                  "clamp %d",
                  rows, cells, s[0].runs, s[1].runs, row, s[0].y_row, e && e->bias, e && e->clamp);

            const ptrdiff_t apart = between(0, 3);
            const real *strip = random_buffer(INPUT, apart + last + (rows - 1) * row + columns[0] +
                                                         CYCONV_OVERREAD);
            const ptrdiff_t size = (rows - 1) * s[0].y_row + cells;
            real *got = buffer(GOT, size), *want = buffer(WANT, size);
            random_residual(&values, got, size);
            for (ptrdiff_t p = 0; p < rows; p++)
                for (ptrdiff_t q = 0; q < cells; q++) {
                    const ptrdiff_t at = p * s[0].y_row + q;
                    const real sum = stencil_sum(s + q % 2, strip + q % 2 * apart, p, q / 2);
                    want[at] = finished(sum, e, filter, at);
                }
            k->stencil_pair(s, strip, strip + apart, rows, columns, got);
            compare(got, want, size);
        }
}

/* Of fractions, whose sums are rounded: each element is the same chain of multiply-adds, alone or
 * in a tile of any width, and in a stencil. */
static void check_order(const kernels_t *k) {
    enum { TAPS = 25, PITCH = MOST_COLUMNS + 8, HEIGHT = 9 };
    ptrdiff_t offset[TAPS];
    real A[MOST_ROWS * TAPS], y[HEIGHT * MOST_COLUMNS], alone;
    if (!FLOATS) return;
    for (ptrdiff_t t = 0; t < TAPS; t++) offset[t] = t / 5 * PITCH + t % 5;
    const ptrdiff_t size = (HEIGHT + 4) * PITCH + CYCONV_OVERREAD;
    real *B = random_buffer(INPUT, size), *w = random_buffer(WEIGHTS, MOST_ROWS * TAPS);
    for (ptrdiff_t i = 0; i < size; i++) B[i] /= (real)between(3, 999);
    for (ptrdiff_t i = 0; i < MOST_ROWS * TAPS; i++) w[i] /= (real)between(3, 999);
    for (ptrdiff_t m = 1; m <= MOST_ROWS; m += m < ROWS ? 1 : 11)
        for (ptrdiff_t n = 1; n <= MOST_COLUMNS; n += 3) {
            real *C = buffer(GOT, m * n);
            begin("multiply m %td n %td, one element beside all", m, n);
            pack(w, TAPS, m, TAPS, A);
            k->multiply(m, n, TAPS, A, B, 0, k->nr, offset, C, n, 1, 0, NULL);
            for (ptrdiff_t i = 0; i < m; i++)
                for (ptrdiff_t j = i % 4; j < n; j += 4) {
                    k->multiply(1, 1, TAPS, w + i * TAPS, B + j, 0, k->nr, offset, &alone, 1, 1, 0,
                                NULL);
                    if (C[i * n + j] != alone) fail("element %td, %td", i, j);
                }
        }
    /* Taps down the columns of a kernel of 5 x 5, or each by itself. */
    for (ptrdiff_t rows = 1; rows <= HEIGHT; rows++)
        for (ptrdiff_t n = 1; n <= MOST_COLUMNS; n += 3)
            for (int columns = 0; columns < 2; columns++) {
                ptrdiff_t start[TAPS], length[TAPS];
                const ptrdiff_t runs = columns ? 5 : TAPS;
                for (ptrdiff_t i = 0; i < runs; i++) {
                    start[i] = columns ? i : i % 5 * PITCH + i / 5;
                    length[i] = columns ? 5 : 1;
                }
                for (ptrdiff_t t = 0; t < TAPS; t++) offset[t] = t % 5 * PITCH + t / 5;
                const stencil_t s = {.w = w,
                                     .runs = runs,
                                     .start = start,
                                     .length = length,
                                     .row = PITCH,
                                     .y_row = n,
                                     .y_column = 1};
                begin("stencil rows %td columns %td runs %td, beside multiply", rows, n, runs);
                k->stencil(&s, B, rows, n, y);
                for (ptrdiff_t i = 0; i < rows * n; i += 3) {
                    k->multiply(1, 1, TAPS, w, B + i / n * PITCH + i % n, 0, k->nr, offset, &alone,
                                1, 1, 0, NULL);
                    if (y[i] != alone) fail("element %td, %td", i / n, i % n);
                }
            }
}
