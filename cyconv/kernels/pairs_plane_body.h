/* Filters of one plane, depthwise convolution: sums straight from rows of 16-bit pixels.
 *
 * A vector loaded at pixel j holds the pairs (j, j + 1), (j + 2, j + 3), ...: those of every second
 * output. With stride 2 these are neighbouring outputs. With stride 1 the vector loaded at j + 1
 * holds those of the outputs between. */

enum { NARROW = 32 }; /* rows of fewer pixels */

/* Pixels of one row of the copy: two vectors of outputs more than there are. */
INLINE ptrdiff_t plane_pitch(const geometry_t *g) {
    return (g->w.out + 2 * LANES) * g->w.stride + 2 * g->w.kernel + 2 * LANES;
}

INLINE ptrdiff_t plane_rows(const geometry_t *g, ptrdiff_t rows) {
    return (rows - 1) * g->h.stride + (g->h.kernel - 1) * g->h.dilation + 1;
}

/* g->w.kernel counts pairs of taps, whose distance is g->w.dilation. */
static int plane_fits(const geometry_t *g) {
    return g->D == 1 && g->w.stride <= 2 && (g->w.kernel == 1 || g->w.dilation == 2);
}

/* The copy, and before its rows are apart the pixels of a narrow plane. */
static ptrdiff_t plane_bytes(const geometry_t *g, ptrdiff_t rows) {
    const ptrdiff_t pixels = g->w.in < NARROW ? plane_rows(g, rows) * g->w.in : 0;
    return 2 * (plane_rows(g, rows) * plane_pitch(g) + pixels + 2 * SHORTS);
}

/* Rows as they follow each other are widened together. */
INLINE void narrow_copy(const geometry_t *g, const pair_source_t *from, const char *plane,
                        ptrdiff_t h, ptrdiff_t count, int16_t *to) {
    const ptrdiff_t pitch = plane_pitch(g), n = g->w.in, pad = g->w.pad;
    const ptrdiff_t first = h < 0 ? 0 : h, last = h + count < g->h.in ? h + count : g->h.in;
    int16_t *pixels = to + count * pitch + SHORTS;
    if (last > first)
        widen(from->type, plane, first * n, 1, from->zero, (last - first) * n, pixels);
    for (ptrdiff_t i = h; i < h + count; i++, to += pitch)
        if (i < 0 || i >= g->h.in)
            zero_shorts(to, pitch);
        else {
            zero_shorts(to, pad);
            copy_shorts(to + pad, pixels + (i - first) * n, n);
            zero_shorts(to + pad + n, pitch - pad - n);
        }
}

static void plane_copy(const geometry_t *g, const pair_source_t *from, const char *plane,
                       ptrdiff_t p0, ptrdiff_t rows, void *copy) {
    const ptrdiff_t pitch = plane_pitch(g), count = plane_rows(g, rows);
    int16_t *to = copy;
    if (g->w.in < NARROW && g->w.x_stride == 1 && g->h.x_stride == g->w.in &&
        g->w.pad + g->w.in <= pitch) {
        narrow_copy(g, from, plane, p0 * g->h.stride - g->h.pad, count, to);
        return;
    }
    for (ptrdiff_t i = 0; i < count; i++, to += pitch)
        widened_row(g, from, plane, p0 * g->h.stride + i - g->h.pad, -g->w.pad, pitch, to);
}

INLINE vec load_pairs(const int16_t *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* R rows of S pairs; R and S are known where the loops are unrolled. */
INLINE void plane_row(const int stride, const ptrdiff_t R, const ptrdiff_t S, const int16_t *x,
                      ptrdiff_t row, const real *w, ptrdiff_t n, real *sums) {
    for (ptrdiff_t q = 0; q < n; q += stride == 1 ? 2 * LANES : LANES) {
        vec even = {0}, odd = {0};
#pragma GCC unroll 3
        for (ptrdiff_t r = 0; r < R; r++)
#pragma GCC unroll 2
            for (ptrdiff_t s = 0; s < S; s++) {
                const int16_t *p = x + r * row + q * stride + 2 * s;
                const vec weights = splat(w[r * S + s]);
                even = multiply_add(load_pairs(p), weights, even);
                if (stride == 1) odd = multiply_add(load_pairs(p + 1), weights, odd);
            }
        if (stride == 1) {
            vec low, high;
            interleave(even, odd, &low, &high);
            store(sums + q, low);
            store(sums + q + LANES, high);
        } else
            store(sums + q, even);
    }
}

static void plane_sums(const geometry_t *g, const void *copy, const void *w, ptrdiff_t rows,
                       void *sums) {
    const ptrdiff_t pitch = plane_pitch(g), row = g->h.dilation * pitch, n = g->w.out;
    const ptrdiff_t R = g->h.kernel, S = g->w.kernel;
    const int16_t *x = copy;
    real *to = sums;
    for (ptrdiff_t p = 0; p < rows; p++, x += g->h.stride * pitch, to += n)
        if (R == 3 && S == 2)
            g->w.stride == 1 ? plane_row(1, 3, 2, x, row, w, n, to)
                             : plane_row(2, 3, 2, x, row, w, n, to);
        else
            g->w.stride == 1 ? plane_row(1, R, S, x, row, w, n, to)
                             : plane_row(2, R, S, x, row, w, n, to);
}
