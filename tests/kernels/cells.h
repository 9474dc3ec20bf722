/* Cells of 16 bits: what is widened, what is finished and rounded, and kernels that do both. Values
 * are small integers, which both kinds hold: f16 1024 + n has the bits of n from its lowest on,
 * bf16 128 + n those of n. */

static uint16_t half_of(int cells, int n) {
    return (uint16_t)((cells == CYCONV_F16 ? 0x6400 : 0x4300) + n);
}
static real value_of(int cells, int n) { return (real)((cells == CYCONV_F16 ? 1024 : 128) + n); }

static void same_bytes(const void *got, const void *want, ptrdiff_t n) {
    for (ptrdiff_t i = -MARGIN; i < n; i++)
        if (((const char *)got)[i] != ((const char *)want)[i]) fail("byte %td of %td", i, n);
}

static void check_widen(const kernels_t *k) {
    for (int round = 0; round < 300; round++) {
        const int cells = between(0, 1) ? CYCONV_F16 : CYCONV_BF16;
        const ptrdiff_t rows = between(1, 4), n = between(1, 70), step = between(1, 3);
        const ptrdiff_t from_row = (n - 1) * step + 1 + between(0, 5) * between(0, 1);
        const ptrdiff_t ld = n + between(0, 3), all = (rows - 1) * from_row + (n - 1) * step + 1;
        begin("widen: cells %d, %td x %td, step %td, row %td", cells, rows, n, step, from_row);
        uint16_t *from = guarded(INPUT, all * 2);
        for (ptrdiff_t i = 0; i < all; i++) from[i] = half_of(cells, (int)between(0, 99));
        const ptrdiff_t bytes = ((rows - 1) * ld + n) * (ptrdiff_t)sizeof(real);
        real *got = guarded(GOT, bytes), *want = guarded(WANT, bytes);
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < n; j++)
                want[i * ld + j] = value_of(cells, from[i * from_row + j * step] & 127);
        k->widen(cells, rows, n, from, from_row, step, got, ld);
        same_bytes(got, want, bytes);
    }
}

static void check_finish_rows(const kernels_t *k) {
    for (int round = 0; round < 300; round++) {
        const int cells = between(0, 1) ? CYCONV_F16 : CYCONV_BF16;
        const ptrdiff_t rows = between(1, 4), n = between(1, 70), step = between(1, 3);
        const ptrdiff_t y_row = (n - 1) * step + 1 + between(0, 3), ld = n + between(0, 3);
        const ptrdiff_t bytes = ((rows - 1) * y_row + (n - 1) * step + 1) * 2;
        begin("finish_rows: cells %d, %td x %td, step %td, row %td", cells, rows, n, step, y_row);
        real *block = guarded(INPUT, ((rows - 1) * ld + n) * (ptrdiff_t)sizeof(real));
        uint16_t *got = guarded(GOT, bytes), *want = guarded(WANT, bytes);
        real bias[4];
        const epilogue_t e = {.bias = bias, .low = -INFINITY, .high = INFINITY};
        const int acts = (int)between(0, 1);
        for (ptrdiff_t i = 0; i < rows; i++) {
            bias[i] = (real)between(0, 9);
            for (ptrdiff_t j = 0; j < n; j++) {
                const int value = (int)between(0, 90);
                block[i * ld + j] = value_of(cells, value);
                want[i * y_row + j * step] = half_of(cells, value + (acts ? (int)bias[i] : 0));
            }
        }
        k->finish_rows(cells, rows, n, block, ld, got, y_row, step, acts ? &e : NULL);
        same_bytes(got, want, bytes);
    }
}

/* Depthwise layers of cells, in rows and in lanes: the reals' results, rounded. */
static void check_depthwise_cells(const kernels_t *k) {
    enum { MOST = 1 << 15, MOST_GROUPS = 40 };
    static real wide[MOST], sums[MOST];
    static _Alignas(64) char scratch[MOST * 16];
    ptrdiff_t fitting = 0;
    for (int round = 0; round < 600; round++) {
        const ptrdiff_t stride = between(1, 2), most = between(0, 1) ? 20 : 60;
        geometry_t g = {.N = between(1, 2), .C = 1, .K = 1, .D = 1};
        g.G = between(0, 1) ? between(1, 3) : k->lanes + between(0, 3);
        for (axis_t *a = &g.h; a <= &g.w; a++) {
            a->in = between(1, a == &g.h || g.G > 3 ? 9 : most), a->pad = between(0, 1);
            a->stride = stride, a->kernel = 3, a->dilation = 1;
            a->out = (a->in + a->pad + between(0, 1) - 3) / stride + 1;
        }
        g.w.x_stride = g.w.y_stride = 1, g.h.x_stride = g.w.in + between(0, 1);
        g.h.y_stride = g.w.out, g.slabs = g.N * g.G;
        g.x_c = g.h.in * g.h.x_stride, g.x_n = g.G * g.x_c;
        g.y_k = g.h.out * g.w.out, g.y_n = g.G * g.y_k;
        if (g.h.out < 1 || g.w.out < 1) continue;
        const int cells = g.x_cells = g.y_cells = between(0, 1) ? CYCONV_F16 : CYCONV_BF16;
        const ptrdiff_t x_size = g.slabs * g.x_c - (g.h.x_stride - g.w.in);
        const ptrdiff_t y_size = g.slabs * g.y_k;
        begin("depthwise cells %d of %td x %td planes %td x %td (row %td) to %td x %td, stride %td",
              cells, g.N, g.G, g.h.in, g.w.in, g.h.x_stride, g.h.out, g.w.out, stride);
        real bias[MOST_GROUPS], w[MOST_GROUPS * 9], in_lanes[MOST_GROUPS * 9] = {0};
        epilogue_t values;
        const epilogue_t *e = random_epilogue(&values, bias, g.G);
        random_residual(&values, sums, y_size);
        const ptrdiff_t lanes = k->lanes, blocks = (g.G + lanes - 1) / lanes;
        for (ptrdiff_t i = 0; i < g.G * 9; i++) {
            w[i] = small(4) / 4;
            in_lanes[(i / 9 / lanes * 9 + i % 9) * lanes + i / 9 % lanes] = w[i];
        }
        uint16_t *x = guarded(INPUT, x_size * 2);
        for (ptrdiff_t i = 0; i < x_size; i++) x[i] = half_of(cells, (int)between(0, 99));
        k->widen(cells, 1, x_size, x, x_size, 1, wide, x_size);
        geometry_t reals = g;
        reals.x_cells = reals.y_cells = CYCONV_REAL;
        ptrdiff_t offset[9];
        for (ptrdiff_t t = 0; t < 9; t++)
            offset[t] = (t / 3 * ((g.w.out - 1) * stride + 3) + t % 3) * lanes;
        for (int way = 0; way < 2; way++) {
            if (!(way ? k->in_lanes_fits(&g) : k->image3_fits(&g))) continue;
            fitting++;
            uint16_t *got = guarded(GOT, y_size * 2), *want = guarded(WANT, y_size * 2);
            values.y = sums;
            if (way)
                k->in_lanes(&reals, wide, in_lanes, offset, sums, e, 0, g.N * blocks, scratch);
            else
                k->image3(&reals, wide, w, sums, e, 0, g.slabs, 0, g.h.out);
            k->finish_rows(cells, 1, y_size, sums, y_size, want, y_size, 1, NULL);
            values.y = got;
            if (way)
                k->in_lanes(&g, x, in_lanes, offset, got, e, 0, g.N * blocks, scratch);
            else
                k->image3(&g, x, w, got, e, 0, g.slabs, 0, g.h.out);
            same_bytes(got, want, y_size * 2);
        }
    }
    if (fitting < 300) fail("only %td of the layers fit", fitting);
}
