/* fill_strip, gather, patches and store_pixels. */

enum { TRIALS = 800 };

static void check_fill_strip(const kernels_t *k) {
    for (int trial = 0; trial < TRIALS; trial++) {
        geometry_t g = {.h = {.in = between(1, 9), .stride = between(1, 3), .pad = between(0, 4)},
                        .w = {.in = between(1, 70), .stride = between(1, 3), .pad = between(0, 4)}};
        ptrdiff_t row_phase[3], column_phase[3];
        for (int i = 0; i < 3; i++) {
            row_phase[i] = between(0, 6);
            column_phase[i] = between(0, 6);
        }
        const ptrdiff_t rows = between(1, 6);
        const strip_t s = {.row_phases = between(1, 3),
                           .column_phases = between(1, 3),
                           .rows = rows,
                           .filled = between(1, rows),
                           .pitch = between(1, 60),
                           .row_phase = row_phase,
                           .column_phase = column_phase};
        const ptrdiff_t count = between(1, MAX_PLANES), p0 = between(0, 4);
        const ptrdiff_t q0 = between(0, 2) ? 0 : between(0, 30);
        const char *planes[MAX_PLANES];
        random_image(&g, count, 1, planes);
        begin("fill_strip %td planes of %td x %td, strides of x %td, %td, stride %td, %td pad %td, "
              "%td; strip of %td x %td phases, rows %td of %td, pitch %td, "
              "from %td, %td",
              count, g.h.in, g.w.in, g.h.x_stride, g.w.x_stride, g.h.stride, g.w.stride, g.h.pad,
              g.w.pad, s.row_phases, s.column_phases, s.filled, s.rows, s.pitch, p0, q0);

        const ptrdiff_t size = count * s.row_phases * s.rows * s.column_phases * s.pitch;
        real *got = buffer(GOT, size + k->lanes), *want = buffer(WANT, size + k->lanes), *at = want;
        for (ptrdiff_t d = 0; d < count; d++)
            for (ptrdiff_t a = 0; a < s.row_phases; a++)
                for (ptrdiff_t i = 0; i < s.rows; i++)
                    for (ptrdiff_t b = 0; b < s.column_phases; b++)
                        for (ptrdiff_t j = 0; j < s.pitch; j++)
                            *at++ =
                                pixel(&g, planes[d], (p0 + i) * g.h.stride + row_phase[a] - g.h.pad,
                                      (q0 + j) * g.w.stride + column_phase[b] - g.w.pad);
        k->fill_strip(&g, &s, planes, count, p0, q0, got);
        leave_open(got + size, want + size, k->lanes);
        const ptrdiff_t width = s.column_phases * s.pitch;
        for (ptrdiff_t phase = 0; phase < count * s.row_phases; phase++) {
            const ptrdiff_t end = (phase * s.rows + s.filled) * width;
            leave_open(got + end, want + end, (s.rows - s.filled) * width);
        }
        compare(got, want, size + k->lanes);
    }
}

static void check_gather(const kernels_t *k) {
    enum { RUNS = 5, TAPS = 6 };
    for (int trial = 0; trial < TRIALS; trial++) {
        const ptrdiff_t taps = between(1, TAPS), ld = between(0, 200), nr = k->nr;
        const int exact = between(0, 1) != 0, by_offset = between(0, 1) != 0;
        run_t runs[RUNS];
        ptrdiff_t offset[TAPS], count = 0, n = 0, end = 0;
        for (ptrdiff_t most = between(1, RUNS); count < most && n < nr; count++) {
            const ptrdiff_t length = between(0, 3) ? between(1, nr - n) : nr - n;
            runs[count] = (run_t){.start = between(0, 300), .length = length};
            n += length;
        }
        for (ptrdiff_t t = 0; t < taps; t++) offset[t] = by_offset ? between(0, 300) : t * ld;
        for (ptrdiff_t t = 0; t < taps; t++)
            for (ptrdiff_t i = 0; i < count; i++) {
                const ptrdiff_t last = offset[t] + runs[i].start + runs[i].length;
                end = last > end ? last : end;
            }
        begin("gather taps %td, %td runs of %td pixels in all, offsets %d, ld %td, exact %d", taps,
              count, n, by_offset, ld, exact);

        const real *source = random_buffer(INPUT, end + (exact ? 0 : k->lanes));
        const ptrdiff_t size = taps * nr + k->lanes;
        real *got = buffer(GOT, size), *want = buffer(WANT, size);
        k->gather(CYCONV_REAL, taps, source, by_offset ? offset : NULL, ld, runs, count, exact,
                  got);
        for (ptrdiff_t t = 0; t < taps; t++) {
            real *at = want + t * nr;
            for (ptrdiff_t i = 0; i < count; at += runs[i++].length)
                memcpy(at, source + offset[t] + runs[i].start,
                       (size_t)runs[i].length * sizeof(real));
            leave_open(got + t * nr + n, at, nr - n);
        }
        leave_open(got + taps * nr, want + taps * nr, k->lanes);
        compare(got, want, size);
    }
}

static void check_patches(const kernels_t *k) {
    for (int trial = 0; trial < TRIALS; trial++) {
        geometry_t g = {.D = between(1, MAX_PLANES)};
        for (int i = 0; i < 2; i++)
            *(i ? &g.w : &g.h) = (axis_t){.in = between(1, i ? 60 : 9),
                                          .out = between(1, i ? 50 : 6),
                                          .kernel = between(1, 3),
                                          .stride = between(1, 3),
                                          .pad = between(0, 4),
                                          .dilation = between(1, 3)};
        const ptrdiff_t l0 = between(0, g.h.out * g.w.out - 1);
        const ptrdiff_t l1 = between(l0 + 1, g.h.out * g.w.out), ld = l1 - l0 + between(0, 3);
        const char *planes[MAX_PLANES];
        random_image(&g, g.D, 1, planes);
        begin("patches %td planes of %td x %td, strides of x %td, %td, kernel %td, %td stride %td, "
              "%td pad %td, %td dilation %td, %td; columns %td to %td of rows of %td, ld %td",
              g.D, g.h.in, g.w.in, g.h.x_stride, g.w.x_stride, g.h.kernel, g.w.kernel, g.h.stride,
              g.w.stride, g.h.pad, g.w.pad, g.h.dilation, g.w.dilation, l0, l1, g.w.out, ld);

        const ptrdiff_t R = g.h.kernel, S = g.w.kernel, size = (g.D * R * S - 1) * ld + l1 - l0;
        real *got = buffer(GOT, size), *want = buffer(WANT, size);
        for (ptrdiff_t t = 0; t < g.D * R * S; t++)
            for (ptrdiff_t l = l0; l < l1; l++) {
                const ptrdiff_t p = l / g.w.out, q = l % g.w.out, r = t / S % R, s = t % S;
                want[t * ld + l - l0] =
                    pixel(&g, planes[t / S / R], p * g.h.stride + r * g.h.dilation - g.h.pad,
                          q * g.w.stride + s * g.w.dilation - g.w.pad);
            }
        k->patches(&g, planes, l0, l1, got, ld);
        compare(got, want, size);
    }
}

static void check_store_pixels(const kernels_t *k) {
    enum { FILTERS = 8 };
    for (int trial = 0; trial < TRIALS; trial++) {
        geometry_t g = {.K = between(1, FILTERS),
                        .h = {.out = between(1, 6)},
                        .w = {.out = between(1, 50), .y_stride = between(0, 2) ? 1 : 3}};
        g.h.y_stride = g.w.out * g.w.y_stride + between(0, 5);
        g.y_k = g.h.out * g.h.y_stride + between(0, 5);
        const ptrdiff_t l0 = between(0, g.h.out * g.w.out - 1);
        const ptrdiff_t l1 = between(l0 + 1, g.h.out * g.w.out), ld = l1 - l0 + between(0, 3);
        real bias[FILTERS];
        epilogue_t values;
        const epilogue_t *e = random_epilogue(&values, bias, g.K);
        begin("store_pixels K %td, pixels %td to %td of rows of %td, ld %td, strides of y %td, "
              "%td, %td, bias %d clamp %d",
              g.K, l0, l1, g.w.out, ld, g.y_k, g.h.y_stride, g.w.y_stride, e && e->bias,
              e && e->clamp);

        const real *block = random_buffer(INPUT, (g.K - 1) * ld + l1 - l0);
        const ptrdiff_t size =
            (g.K - 1) * g.y_k + (g.h.out - 1) * g.h.y_stride + (g.w.out - 1) * g.w.y_stride + 1;
        real *got = buffer(GOT, size), *want = buffer(WANT, size);
        random_residual(&values, got, size);
        for (ptrdiff_t i = 0; i < g.K; i++)
            for (ptrdiff_t l = l0; l < l1; l++) {
                const ptrdiff_t at =
                    i * g.y_k + l / g.w.out * g.h.y_stride + l % g.w.out * g.w.y_stride;
                want[at] = finished(block[i * ld + l - l0], e, i, at);
            }
        k->store_pixels(&g, block, ld, l0, l1, got, e);
        compare(got, want, size);
    }
}

/* Phases of every kind of stride; the rows of a phase end where the page does. */
static void check_interleave(const kernels_t *k) {
    enum { ROWS = 4 };
    for (int trial = 0; trial < TRIALS; trial++) {
        static const ptrdiff_t strides[] = {1, 2, 3, 4, 5, 8};
        const ptrdiff_t s = strides[between(0, 5)], rows = between(1, ROWS);
        const ptrdiff_t cells = between(1, 5 * s * k->lanes), n = (cells + s - 1) / s;
        const ptrdiff_t ld = n + between(0, 3), phase = rows * ld + between(0, 3);
        const ptrdiff_t step = between(0, 2) ? 1 : 3, y_row = cells * step + between(0, 3);
        real bias[ROWS];
        epilogue_t values;
        const epilogue_t *e = random_epilogue(&values, bias, rows);
        begin("interleave %td, %td rows of %td cells, step %td, bias %d clamp %d", s, rows, cells,
              step, e && e->bias, e && e->clamp);
        const real *block =
            random_buffer(INPUT, (s - 1) * phase + (rows - 1) * ld + n + k->lanes - 1);
        const ptrdiff_t size = (rows - 1) * y_row + (cells - 1) * step + 1;
        real *got = buffer(GOT, size), *want = buffer(WANT, size);
        random_residual(&values, got, size);
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < cells; j++) {
                const ptrdiff_t at = i * y_row + j * step;
                want[at] = finished(block[j % s * phase + i * ld + j / s], e, i, at);
            }
        k->interleave(s, rows, cells, block, phase, ld, got, y_row, step, e);
        compare(got, want, size);
    }
}
