/* Moving pixels: weights into panels, input rows into zero-bordered strips, patches into columns.
 */

static void pack_panel(const void *weights, ptrdiff_t w_row, ptrdiff_t rows, ptrdiff_t taps,
                       void *panel) {
    const real *w = weights;
    real *A = panel;
    for (ptrdiff_t t = 0; t < taps; t++)
        for (ptrdiff_t i = 0; i < rows; i++) *A++ = w[i * w_row + t];
}

/* row[j] = from[j * stride + shift], j < n, zero where that index is outside [0, in). */
INLINE void gather_row(real *row, ptrdiff_t n, const real *from, ptrdiff_t from_stride,
                       ptrdiff_t shift, ptrdiff_t stride, ptrdiff_t in) {
    ptrdiff_t begin, end;
    valid_range(shift, stride, in, n, &begin, &end);
    for (ptrdiff_t j = 0; j < begin; j++) row[j] = 0;
    if (end > begin)
        copy_row(row + begin, from + (begin * stride + shift) * from_stride, stride * from_stride,
                 end - begin);
    for (ptrdiff_t j = end; j < n; j++) row[j] = 0;
}

static void fill_strip(const geometry_t *g, const strip_t *s, const char *const *planes,
                       ptrdiff_t count, ptrdiff_t p0, ptrdiff_t q0, void *strip) {
    real *row = strip;
    for (ptrdiff_t d = 0; d < count; d++)
        for (ptrdiff_t a = 0; a < s->row_phases; a++)
            for (ptrdiff_t i = 0; i < s->rows; i++) {
                const ptrdiff_t h = (p0 + i) * g->h.stride + s->row_phase[a] - g->h.pad;
                const real *from = (const real *)planes[d];
                if (from && h >= 0 && h < g->h.in) {
                    from += h * g->h.x_stride;
                    for (ptrdiff_t b = 0; b < s->column_phases; b++, row += s->pitch)
                        gather_row(row, s->pitch, from, g->w.x_stride,
                                   q0 * g->w.stride + s->column_phase[b] - g->w.pad, g->w.stride,
                                   g->w.in);
                } else {
                    memset(row, 0, (size_t)(s->column_phases * s->pitch) * sizeof(real));
                    row += s->column_phases * s->pitch;
                }
            }
}

static void patches(const geometry_t *g, const char *const *planes, ptrdiff_t l0, ptrdiff_t l1,
                    void *columns, ptrdiff_t ld) {
    real *row = columns;
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
                        gather_row(to, n, (const real *)planes[d] + h * g->h.x_stride,
                                   g->w.x_stride, q * g->w.stride + shift, g->w.stride, g->w.in);
                    else
                        memset(to, 0, (size_t)n * sizeof(real));
                    to += n;
                    l += n;
                }
            }
}

static void store_pixels(const geometry_t *g, const void *block, ptrdiff_t ld, ptrdiff_t l0,
                         ptrdiff_t l1, void *y, const epilogue_t *e) {
    const ptrdiff_t Q = g->w.out;
    for (ptrdiff_t k = 0; k < g->K; k++) {
        const real *from = (const real *)block + k * ld;
        for (ptrdiff_t l = l0; l < l1;) {
            const ptrdiff_t p = l / Q, q = l % Q;
            const ptrdiff_t n = Q - q < l1 - l ? Q - q : l1 - l;
            real *to = (real *)y + k * g->y_k + p * g->h.y_stride + q * g->w.y_stride;
            ptrdiff_t j = 0;
            if (g->w.y_stride == 1)
                for (; j + LANES <= n; j += LANES) store(to + j, finish_vec(load(from + j), e, k));
            for (; j < n; j++) to[j * g->w.y_stride] = finish(from[j], e, k);
            from += n;
            l += n;
        }
    }
}
