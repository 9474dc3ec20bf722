/* The Winograd variants, weights to outputs, and spread_tiles. Integers have none. */

#if FLOATS

static void check_spread_tiles(const kernels_t *k) {
    for (int trial = 0; trial < 300; trial++) {
        const ptrdiff_t nr = k->nr, rows = between(1, 8), tiles = between(1, 3 * nr);
        const ptrdiff_t panels = (tiles + nr - 1) / nr, ld = panels * nr + between(0, 5);
        const ptrdiff_t row_stride = nr + between(0, 5);
        const ptrdiff_t panel_stride = rows * row_stride + between(0, 5);
        begin("spread_tiles rows %td tiles %td ld %td panel_stride %td row_stride %td", rows, tiles,
              ld, panel_stride, row_stride);
        const real *stage = random_buffer(INPUT, (rows - 1) * ld + panels * nr);
        const ptrdiff_t size = (panels - 1) * panel_stride + (rows - 1) * row_stride + nr;
        real *got = buffer(GOT, size), *want = buffer(WANT, size);
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t t = 0; t < panels * nr; t++)
                want[i * row_stride + t / nr * panel_stride + t % nr] = stage[i * ld + t];
        k->spread_tiles(rows, tiles, stage, ld, got, panel_stride, row_stride);
        compare(got, want, size);
    }
}

/* Direct sums of whole numbers are exact. The transforms' absolute row sums for F(6, 3) are at most
 * 67 (A^T), 1 (G) and 13 (B^T), in two dimensions their squares: values on the way stay below
 * (67 * 13)^2 < 2^20 times the sums, and so do the errors, in units of the last place. */
static const double tolerance = 0x1p20 * EPSILON;

enum { POINTS = 64, MOST_FILTERS = CYCONV_MR, MOST_TILES = 64 };

static real U[POINTS][MAX_PLANES][MOST_FILTERS], V[POINTS][MAX_PLANES][MOST_TILES];

/* U of all filters; beyond each xi's values up to a vector is open. */
static void transform_weights(const kernels_t *k, const winograd_t *v, const real *w,
                              ptrdiff_t w_row, ptrdiff_t filters, ptrdiff_t planes) {
    const ptrdiff_t points = v->alpha[0] * v->alpha[1], n = planes * filters;
    const ptrdiff_t xi_stride = n + k->lanes + between(0, 3), size = points * xi_stride;
    real *got = buffer(GOT, size), *want = buffer(WANT, size);
    v->weights(w, w_row, filters, planes, got, xi_stride);
    for (ptrdiff_t xi = 0; xi < points; xi++) {
        leave_open(got + xi * xi_stride, want + xi * xi_stride, n + k->lanes);
        for (ptrdiff_t i = 0; i < n; i++) U[xi][i / filters][i % filters] = got[xi * xi_stride + i];
    }
    compare(got, want, size);
}

/* V of one plane, likewise. */
static void transform_input(const kernels_t *k, const winograd_t *v, const geometry_t *g,
                            const char *const *planes, ptrdiff_t d, const char *next, ptrdiff_t row,
                            ptrdiff_t column, ptrdiff_t tiles) {
    const ptrdiff_t points = v->alpha[0] * v->alpha[1];
    const ptrdiff_t xi_stride = tiles + k->lanes + between(0, 3), size = points * xi_stride;
    real *got = buffer(GOT, size), *want = buffer(WANT, size);
    v->input(g, planes[d], next, row, column, tiles, got, xi_stride);
    for (ptrdiff_t xi = 0; xi < points; xi++) {
        leave_open(got + xi * xi_stride, want + xi * xi_stride, tiles + k->lanes);
        memcpy(V[xi][d], got + xi * xi_stride, (size_t)tiles * sizeof(real));
    }
    compare(got, want, size);
}

/* One filter's outputs of a row of tiles beside direct sums; then the report of an Inf. */
static void compare_outputs(const kernels_t *k, const winograd_t *v, const geometry_t *g,
                            const char *const *planes, ptrdiff_t count, const real *w, ptrdiff_t i,
                            ptrdiff_t row, ptrdiff_t column, ptrdiff_t tiles) {
    const ptrdiff_t points = v->alpha[0] * v->alpha[1], m = v->m[0], n = v->m[1];
    const ptrdiff_t s = v->r[1], taps = v->r[0] * s;
    const ptrdiff_t xi_stride = tiles + between(0, 3);
    real *M = buffer(OTHER, points * xi_stride + k->lanes), bias;
    epilogue_t values;
    const epilogue_t *e = random_epilogue(&values, &bias, 1);
    for (ptrdiff_t xi = 0; xi < points; xi++)
        for (ptrdiff_t t = 0; t < tiles; t++) {
            double sum = 0;
            for (ptrdiff_t d = 0; d < count; d++) sum += (double)U[xi][d][i] * V[xi][d][t];
            M[xi * xi_stride + t] = (real)sum;
        }
    const ptrdiff_t size = (g->h.out - 1) * g->h.y_stride + (g->w.out - 1) * g->w.y_stride + 1;
    real *got = buffer(GOT, size), *want = buffer(WANT, size);
    random_residual(&values, got, size);
    const int bad = v->output(g, M, xi_stride, row, column, tiles, got, e);
    if (bad) fail("filter %td: finite outputs are reported as not finite", i);
    for (ptrdiff_t p = row * m; p < (row + 1) * m && p < g->h.out; p++)
        for (ptrdiff_t q = column * n; q < (column + tiles) * n && q < g->w.out; q++) {
            const ptrdiff_t at = p * g->h.y_stride + q * g->w.y_stride;
            real sum = 0;
            for (ptrdiff_t t = 0; t < count * taps; t++)
                sum += w[t] * pixel(g, planes[t / taps], p + t % taps / s - g->h.pad,
                                    q + t % s - g->w.pad);
            sum = finished(sum, e, 0, at);
            if (!(fabs((double)got[at] - (double)sum) <= tolerance))
                fail("filter %td: output %td, %td is %.17g, not %.17g", i, p, q, (double)got[at],
                     (double)sum);
            want[at] = got[at];
        }
    compare(got, want, size);

    M[between(0, points - 1) * xi_stride + between(0, tiles - 1)] = INFINITY;
    if (!v->output(g, M, xi_stride, row, column, tiles, got, e))
        fail("filter %td: an Inf in M is not reported", i);
}

static void check_variant(const kernels_t *k, const winograd_t *v) {
    const ptrdiff_t m = v->m[0], n = v->m[1], taps = v->r[0] * v->r[1];
    for (int trial = 0; trial < 50; trial++) {
        geometry_t g = {.h = {.in = between(1, 20), .pad = between(0, 2)}};
        g.w = (axis_t){.in = between(1, 2 * k->lanes * n + 9), .pad = between(0, 2)};
        g.h.out = g.h.in + g.h.pad - v->r[0] + 1 + between(0, 2);
        g.w.out = g.w.in + g.w.pad - v->r[1] + 1 + between(0, 2);
        if (g.h.out < 1 || g.w.out < 1) continue;
        g.w.y_stride = between(0, 3) ? 1 : 2;
        g.h.y_stride = g.w.out * g.w.y_stride + between(0, 5);
        const ptrdiff_t across = (g.w.out + n - 1) / n, down = (g.h.out + m - 1) / m;
        const ptrdiff_t row = between(0, down - 1), column = between(0, 1) * between(0, across - 1);
        ptrdiff_t tiles = between(0, 2) ? across - column : between(1, across - column);
        if (tiles > MOST_TILES) tiles = MOST_TILES;
        const ptrdiff_t count = between(1, MAX_PLANES), filters = between(1, MOST_FILTERS);
        const char *planes[MAX_PLANES];
        random_image(&g, count, 1, planes);
        begin("winograd F(%d x %d, %d x %d) %td planes of %td x %td, strides of x %td, %td, pad "
              "%td, %td; "
              "%td filters of %td x %td, strides of y %td, %td; %td tiles from %td, %td",
              v->m[0], v->m[1], v->r[0], v->r[1], count, g.h.in, g.w.in, g.h.x_stride, g.w.x_stride,
              g.h.pad, g.w.pad, filters, g.h.out, g.w.out, g.h.y_stride, g.w.y_stride, tiles, row,
              column);

        const ptrdiff_t w_row = count * taps + between(0, 5);
        const real *w = random_buffer(WEIGHTS, (filters - 1) * w_row + count * taps);
        transform_weights(k, v, w, w_row, filters, count);
        for (ptrdiff_t d = 0; d < count; d++)
            transform_input(k, v, &g, planes, d, d + 1 < count ? planes[d + 1] : NULL, row, column,
                            tiles);
        for (ptrdiff_t i = 0; i < filters; i++)
            compare_outputs(k, v, &g, planes, count, w + i * w_row, i, row, column, tiles);
    }
}

static void check_winograd(const kernels_t *k) {
    check_spread_tiles(k);
    for (int i = 0; i < CYCONV_WINOGRAD_VARIANTS; i++) {
        const winograd_t *v = &k->winograd[i];
        begin("winograd variant %d", i);
        for (int a = 0; a < 2; a++)
            if (v->r[a] < 1 || v->m[a] < 1 || v->alpha[a] != v->m[a] + v->r[a] - 1)
                fail("m %d, r %d, alpha %d", v->m[a], v->r[a], v->alpha[a]);
        check_variant(k, v);
    }
}

#else

static void check_winograd(const kernels_t *k) {
    begin("no winograd of integers");
    if (k->spread_tiles) fail("spread_tiles is there");
    for (int i = 0; i < CYCONV_WINOGRAD_VARIANTS; i++)
        if (k->winograd[i].m[0] || k->winograd[i].weights) fail("variant %d is there", i);
}
#endif
