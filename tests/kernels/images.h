/* image3, in_lanes and gradient3. */

enum { IMAGE_TRIALS = 3000 };

static void check_image3(const kernels_t *k) {
    ptrdiff_t fitting = 0;
    for (int trial = 0; trial < IMAGE_TRIALS; trial++) {
        const ptrdiff_t stride = between(1, 2), pad = between(0, 1), most = between(0, 1) ? 20 : 70;
        geometry_t g = {.N = between(1, 2),
                        .G = between(1, 3),
                        .C = 1,
                        .K = between(1, 2),
                        .D = 1,
                        .h = {.in = between(1, 12), .pad = between(0, 3)},
                        .w = {.in = between(1, most), .pad = pad, .y_stride = 1}};
        g.slabs = g.N * g.G;
        g.h.stride = g.w.stride = stride;
        g.h.kernel = g.w.kernel = 3;
        g.h.dilation = g.w.dilation = 1;
        g.h.out = (g.h.in + g.h.pad + between(0, 3) - 3) / stride + 1;
        g.w.out = (g.w.in + pad + between(0, 1) - 3) / stride + 1;
        const char *planes[6];
        random_image(&g, g.N * g.G, 0, planes);
        g.x_c = g.slabs > 1 ? (planes[1] - planes[0]) / (ptrdiff_t)sizeof(real) : 0;
        g.x_n = g.G * g.x_c;
        g.h.y_stride = g.w.out + between(0, 1) * between(1, 5);
        g.y_k = g.h.out * g.h.y_stride + between(0, 5);
        g.y_n = g.G * g.K * g.y_k;
        if (g.h.out < 1 || g.w.out < 1 || !k->image3_fits(&g)) continue;
        fitting++;
        real bias[6];
        epilogue_t values;
        const epilogue_t *e = random_epilogue(&values, bias, g.G * g.K);
        const ptrdiff_t first = between(0, g.slabs - 1), last = between(first + 1, g.slabs);
        const ptrdiff_t p0 = between(0, g.h.out - 1), p1 = between(p0 + 1, g.h.out);
        begin("image3 slabs %td to %td of %td groups, %td filters, %td x %td to %td x %td, strides "
              "of x %td, y %td, stride %td pad %td, %td, rows %td to %td, bias %d clamp %d",
              first, last, g.G, g.K, g.h.in, g.w.in, g.h.out, g.w.out, g.h.x_stride, g.h.y_stride,
              stride, g.h.pad, pad, p0, p1, e && e->bias, e && e->clamp);

        const real *w = random_buffer(WEIGHTS, g.G * g.K * 9);
        const ptrdiff_t size = g.N * g.y_n;
        real *got = buffer(GOT, size), *want = buffer(WANT, size);
        random_residual(&values, got, size);
        for (ptrdiff_t slab = first; slab < last; slab++)
            for (ptrdiff_t f = slab % g.G * g.K; f < (slab % g.G + 1) * g.K; f++)
                for (ptrdiff_t p = p0; p < p1; p++)
                    for (ptrdiff_t q = 0; q < g.w.out; q++) {
                        real sum = 0;
                        for (ptrdiff_t t = 0; t < 9; t++)
                            sum +=
                                w[f * 9 + t] * pixel(&g, planes[slab], p * stride + t / 3 - g.h.pad,
                                                     q * stride + t % 3 - pad);
                        const ptrdiff_t at = slab / g.G * g.y_n + f * g.y_k + p * g.h.y_stride + q;
                        want[at] = finished(sum, e, f, at);
                    }
        k->image3(&g, planes[0], w, got, e, first, last, p0, p1);
        compare(got, want, size);
    }
    if (fitting < IMAGE_TRIALS / 6) fail("only %td of the images fit", fitting);
}

/* Depthwise layers of any kernel, channels in the lanes. */
static void check_in_lanes(const kernels_t *k) {
    enum { LANE_TRIALS = 400, MOST_TAPS = 25 };
    ptrdiff_t fitting = 0;
    for (int trial = 0; trial < LANE_TRIALS; trial++) {
        geometry_t g = {
            .N = between(1, 2), .G = k->lanes + between(0, k->lanes), .C = 1, .K = 1, .D = 1};
        for (axis_t *a = &g.h; a <= &g.w; a++) {
            a->in = between(1, 9), a->kernel = between(1, 5), a->pad = between(0, 6);
            a->stride = between(1, 3), a->dilation = between(1, 2);
            const ptrdiff_t most = a->in + a->pad + between(0, 3);
            a->out = (most - (a->kernel - 1) * a->dilation - 1) / a->stride + 1;
        }
        g.slabs = g.N * g.G;
        g.w.x_stride = g.w.y_stride = 1, g.h.x_stride = g.w.in, g.h.y_stride = g.w.out;
        g.x_c = g.h.in * g.w.in + between(0, 3), g.y_k = g.h.out * g.w.out + between(0, 3);
        g.x_n = g.G * g.x_c, g.y_n = g.G * g.y_k;
        if (g.h.out < 1 || g.w.out < 1 || !k->in_lanes_fits(&g)) continue;
        fitting++;
        const ptrdiff_t taps = g.h.kernel * g.w.kernel, blocks = (g.G + k->lanes - 1) / k->lanes;
        const ptrdiff_t width = (g.w.out - 1) * g.w.stride + (g.w.kernel - 1) * g.w.dilation + 1;
        const ptrdiff_t first = between(0, g.N * blocks - 1);
        const ptrdiff_t last = between(first + 1, g.N * blocks);
        real bias[64];
        epilogue_t values;
        const epilogue_t *e = random_epilogue(&values, bias, g.G);
        begin(
            "in_lanes blocks %td to %td of %td channels, %td x %td to %td x %td, kernel %td x %td, "
            "stride %td, %td, pad %td, %td, dilation %td, %td",
            first, last, g.G, g.h.in, g.w.in, g.h.out, g.w.out, g.h.kernel, g.w.kernel, g.h.stride,
            g.w.stride, g.h.pad, g.w.pad, g.h.dilation, g.w.dilation);

        ptrdiff_t offset[MOST_TAPS];
        for (ptrdiff_t t = 0; t < taps; t++)
            offset[t] =
                (t / g.w.kernel * g.h.dilation * width + t % g.w.kernel * g.w.dilation) * k->lanes;
        const ptrdiff_t size = (g.N - 1) * g.y_n + (g.G - 1) * g.y_k + g.h.out * g.w.out;
        const real *x =
            random_buffer(INPUT, (g.N - 1) * g.x_n + (g.G - 1) * g.x_c + g.h.in * g.w.in);
        const real *w = random_buffer(WEIGHTS, blocks * taps * k->lanes);
        real *got = buffer(GOT, size), *want = buffer(WANT, size);
        random_residual(&values, got, size);
        for (ptrdiff_t block = first; block < last; block++)
            for (ptrdiff_t l = 0; l < k->lanes; l++) {
                const ptrdiff_t n = block / blocks, c = block % blocks * k->lanes + l;
                for (ptrdiff_t i = 0; i < g.h.out * g.w.out && c < g.G; i++) {
                    real sum = 0;
                    for (ptrdiff_t t = 0; t < taps; t++) {
                        const ptrdiff_t r = t / g.w.kernel, s = t % g.w.kernel;
                        sum += w[(block % blocks * taps + t) * k->lanes + l] *
                               pixel(&g, (const char *)(x + n * g.x_n + c * g.x_c),
                                     i / g.w.out * g.h.stride + r * g.h.dilation - g.h.pad,
                                     i % g.w.out * g.w.stride + s * g.w.dilation - g.w.pad);
                    }
                    const ptrdiff_t at = n * g.y_n + c * g.y_k + i;
                    want[at] = finished(sum, e, c, at);
                }
            }
        char *scratch = guarded(OTHER, k->in_lanes_scratch(&g));
        k->in_lanes(&g, x, w, offset, got, e, first, last, scratch);
        compare(got, want, size);
    }
    if (fitting < LANE_TRIALS / 6) fail("only %td of the layers fit", fitting);
}

static void check_gradient3(const kernels_t *k) {
    ptrdiff_t fitting = 0;
    for (int trial = 0; trial < IMAGE_TRIALS; trial++) {
        const ptrdiff_t step = between(1, 2), pad = between(0, 1), most = between(0, 1) ? 10 : 35;
        geometry_t g = {.N = between(1, 2),
                        .G = between(1, 2),
                        .C = between(1, 2),
                        .K = between(1, 2),
                        .h = {.out = 3, .kernel = between(1, 6), .stride = 1, .pad = between(0, 3)},
                        .w = {.out = 3, .kernel = between(1, most), .stride = 1, .pad = pad}};
        const ptrdiff_t planes_of = g.G * g.C, filters = g.G * g.K;
        g.D = g.C;
        g.slabs = g.N * g.G;
        g.h.dilation = g.w.dilation = step;
        g.h.in = (g.h.kernel - 1) * step + 3 - g.h.pad - between(0, 2);
        g.w.in = (g.w.kernel - 1) * step + 3 - pad - between(0, 1);
        if (g.h.in < 1 || g.w.in < 1) continue;
        const char *planes[8];
        random_image(&g, g.N * planes_of, 0, planes);
        g.x_c = g.N * planes_of > 1 ? (planes[1] - planes[0]) / (ptrdiff_t)sizeof(real) : 0;
        g.x_n = planes_of * g.x_c;
        g.w.y_stride = between(1, 2);
        g.h.y_stride = 3 * g.w.y_stride + between(0, 1);
        g.y_k = 3 * g.h.y_stride;
        g.y_n = filters * g.y_k;
        if (!k->gradient3_fits(&g)) continue;
        fitting++;
        real bias[4];
        epilogue_t values;
        const epilogue_t *e = random_epilogue(&values, bias, filters);
        const ptrdiff_t first = between(0, g.slabs - 1), last = between(first + 1, g.slabs);
        const ptrdiff_t w_row = g.w.kernel + between(0, 3), w_plane = g.h.kernel * w_row;
        const ptrdiff_t w_strides[] = {g.D * w_plane, w_plane, w_row};
        begin(
            "gradient3 slabs %td to %td of %td groups, %td planes, %td filters, %td x %td of %td x "
            "%td, strides of x %td, %td, w %td, step %td pad %td, %td, bias %d clamp %d",
            first, last, g.G, g.D, g.K, g.h.kernel, g.w.kernel, g.h.in, g.w.in, g.h.x_stride,
            g.w.x_stride, w_row, step, g.h.pad, pad, e && e->bias, e && e->clamp);

        const real *w = random_buffer(WEIGHTS, filters * g.D * w_plane - (w_row - g.w.kernel));
        const ptrdiff_t size = g.N * g.y_n;
        real *got = buffer(GOT, size), *want = buffer(WANT, size);
        random_residual(&values, got, size);
        for (ptrdiff_t slab = first; slab < last; slab++)
            for (ptrdiff_t f = slab % g.G * g.K; f < (slab % g.G + 1) * g.K; f++)
                for (ptrdiff_t t = 0; t < 9; t++) {
                    real sum = 0;
                    for (ptrdiff_t d = 0; d < g.D; d++)
                        for (ptrdiff_t p = 0; p < g.h.kernel; p++)
                            for (ptrdiff_t q = 0; q < g.w.kernel; q++)
                                sum += w[f * w_strides[0] + d * w_plane + p * w_row + q] *
                                       pixel(&g, planes[slab * g.D + d], t / 3 + p * step - g.h.pad,
                                             t % 3 + q * step - pad);
                    const ptrdiff_t at = slab / g.G * g.y_n + f * g.y_k + t / 3 * g.h.y_stride +
                                         t % 3 * g.w.y_stride;
                    want[at] = finished(sum, e, f, at);
                }
        void *scratch = buffer(OTHER, k->gradient3_scratch(&g));
        k->gradient3(&g, planes[0], w, w_strides, got, e, first, last, scratch);
        compare(got, want, size);
    }
    if (fitting < IMAGE_TRIALS / 6) fail("only %td of the gradients fit", fitting);
}
