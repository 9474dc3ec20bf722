/* Filters of one plane, depthwise convolution: a flat row of outputs from a flat copy of the plane.
 *
 * The copy's rows follow each other, and the zeros after one are those before the next: a tap is
 * one distance for all outputs, so that vectors run on over the ends of rows, however narrow these
 * are. Rows are kept apart by their remainder by the stride: a step down is one row of the copy.
 *
 *     pixels of row i  ->  copy + (i % stride) * phase + (i / stride) * pitch + zeros
 *
 * A vector loaded at pixel j holds the pairs (j, j + 1), (j + 2, j + 3), ...: those of every second
 * output. With stride 2 these are neighbouring outputs. With stride 1 the vector loaded at j + 1
 * holds those of the outputs between. */

/* g->w.kernel counts pairs of taps, whose distance is g->w.dilation. */
static int plane_fits(const geometry_t *g) {
    return g->D == 1 && g->w.stride <= 2 && (g->w.kernel == 1 || g->w.dilation == 2);
}

/* Of rows h, h + 1, ... of the plane. Vectors that would reach past the plane's last cell in memory
 * are read from a copy of its end. */
#define COPY_PLANE(CODE, T)                                                                     \
    static void copy_plane_##T(const geometry_t *g, const plane_t *l, const T *plane, int zero, \
                               ptrdiff_t h, ptrdiff_t count, int16_t *copy) {                   \
        const ptrdiff_t n = plane ? l->pixels : 0, row = g->h.x_stride, step = g->w.x_stride;   \
        const ptrdiff_t below = (g->h.in - 1) * row, last = (below > 0 ? below : 0) + g->w.in;  \
        const ptrdiff_t span = (below > 0 ? below : -below) + g->w.in, tail = last - SHORTS;    \
        const shorts zeros = (shorts){0} + (int16_t)zero;                                       \
        T end[2 * SHORTS] = {0};                                                                \
        if (n && step == 1 && span >= SHORTS)                                                   \
            memcpy(end, plane + tail, SHORTS * sizeof(T));                                      \
        else if (n && step == 1 && g->h.in > 0)                                                 \
            memcpy(end + SHORTS - span, plane + last - span, (size_t)span * sizeof(T));         \
        for (ptrdiff_t a = 0; a < g->h.stride; a++) {                                           \
            int16_t *to = copy + a * l->phase;                                                  \
            zero_shorts(to, l->zeros);                                                          \
            to += l->zeros;                                                                     \
            for (ptrdiff_t i = h + a; i < h + count; i += g->h.stride, to += l->pitch) {        \
                const ptrdiff_t at = i * row + l->first * step;                                 \
                const ptrdiff_t found = i >= 0 && i < g->h.in ? n : 0;                          \
                if (found && step != 1)                                                         \
                    widen_##T(plane + at, step, zero, found, to);                               \
                else                                                                            \
                    for (ptrdiff_t j = 0; j < found; j += SHORTS) {                             \
                        const T *from = at + j > tail ? end + (at + j - tail) : plane + at + j; \
                        T v __attribute__((vector_size(SHORTS * sizeof(T))));                   \
                        memcpy(&v, from, sizeof v);                                             \
                        const shorts wide = WIDE_##T(v) - zeros;                                \
                        memcpy(to + j, &wide, sizeof wide);                                     \
                    }                                                                           \
                zero_shorts(to + found, l->pitch - found);                                      \
            }                                                                                   \
        }                                                                                       \
    }
PAIR_TYPES(COPY_PLANE)

static void plane_copy(const geometry_t *g, const plane_t *l, const pair_source_t *from,
                       const char *plane, ptrdiff_t p0, ptrdiff_t rows, void *copy) {
    const ptrdiff_t h = p0 * g->h.stride - g->h.pad, count = plane_rows(g, rows);
    switch (from->type) {
#define COPY_CASE(CODE, T)                                                                \
    case CODE:                                                                            \
        copy_plane_##T(g, l, (const T *)(const void *)plane, from->zero, h, count, copy); \
        return;
        PAIR_TYPES(COPY_CASE)
    default:
        return;
    }
}

INLINE vec load_pairs(const int16_t *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* What a run of outputs is of: the flat copy, rows of the kernel, pairs of a row, the weights. R
 * and S are known where the loops are unrolled and the weights are in registers, `w`; else w is
 * NULL. */
typedef struct {
    const int16_t *copy;
    ptrdiff_t R, S, stride, dilation, phase, pitch;
    const real *weights;
} plane_run_t;

/* Two vectors of outputs from `at` on: the even and the odd ones where the stride along a row is 1,
 * the first and the second half where it is 2. */
INLINE void plane_pair(const int stride, const ptrdiff_t R, const ptrdiff_t S, const plane_run_t *f,
                       const vec *w, ptrdiff_t at, vec bias, vec *first, vec *second) {
    const ptrdiff_t over = f->dilation % f->stride;
    const ptrdiff_t down = f->dilation / f->stride * f->pitch + over * f->phase;
    const int16_t *x = f->copy + at * stride;
    vec a = bias, b = bias;
    ptrdiff_t remainder = 0;
#pragma GCC unroll 3
    for (ptrdiff_t r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (ptrdiff_t s = 0; s < S; s++) {
            const vec pair = w ? w[r * S + s] : splat(f->weights[r * S + s]);
            const int16_t *p = x + 2 * s;
            a = multiply_add(load_pairs(p), pair, a);
            b = multiply_add(load_pairs(p + (stride == 1 ? 1 : SHORTS)), pair, b);
        }
        x += down, remainder += over;
        if (remainder >= f->stride) {
            x += f->pitch - f->stride * f->phase;
            remainder -= f->stride;
        }
    }
    *first = a, *second = b;
}

/* n outputs, rounded for `to`, or sums where it is NULL. */
INLINE void plane_outputs(const int stride, const ptrdiff_t R, const ptrdiff_t S,
                          const plane_run_t *f, ptrdiff_t n, const pair_target_t *to,
                          ptrdiff_t filter, void *out) {
    enum { MOST = 6 };
    const int known = __builtin_constant_p(R * S) && R * S <= MOST;
    vec w[MOST], first, second;
    if (known)
#pragma GCC unroll 6
        for (ptrdiff_t i = 0; i < R * S; i++) w[i] = splat(f->weights[i]);
    if (!to) {
        real *sums = out;
        for (ptrdiff_t q = 0; q < n; q += 2 * LANES) {
            plane_pair(stride, R, S, f, known ? w : NULL, q, (vec){0}, &first, &second);
            if (stride == 1) interleave(first, second, &first, &second);
            store(sums + q, first);
            store(sums + q + LANES, second);
        }
        return;
    }
    const rounding_t rounding = rounding_of(to, filter);
    for (ptrdiff_t q = 0; q < n; q += 2 * LANES) {
        plane_pair(stride, R, S, f, known ? w : NULL, q, rounding.bias, &first, &second);
        const shorts cells = stride == 1 ? rounded_pairs(first, second, &rounding)
                                         : rounded_vectors(first, second, &rounding);
        store_cells(to->type, cells, out, q);
    }
}

static void plane_filter(const geometry_t *g, const plane_t *l, const void *copy, const void *w,
                         ptrdiff_t rows, const pair_target_t *to, ptrdiff_t filter, void *out) {
    const plane_run_t f = {.copy = copy,
                           .R = g->h.kernel,
                           .S = g->w.kernel,
                           .stride = g->h.stride,
                           .dilation = g->h.dilation,
                           .phase = l->phase,
                           .pitch = l->pitch,
                           .weights = w};
    const ptrdiff_t n = (rows - 1) * l->outputs + g->w.out;
    if (f.R == 3 && f.S == 2)
        g->w.stride == 1 ? plane_outputs(1, 3, 2, &f, n, to, filter, out)
                         : plane_outputs(2, 3, 2, &f, n, to, filter, out);
    else
        g->w.stride == 1 ? plane_outputs(1, f.R, f.S, &f, n, to, filter, out)
                         : plane_outputs(2, f.R, f.S, &f, n, to, filter, out);
}

static void plane_store(const geometry_t *g, const plane_t *l, storage_t type, const void *cells,
                        ptrdiff_t rows, void *y) {
    const ptrdiff_t size = type == CYCONV_I16 ? 2 : 1, n = g->w.out, step = g->w.y_stride;
    const char *from = cells;
    char *to = y;
    for (ptrdiff_t p = 0; p < rows; p++, from += l->outputs * size, to += g->h.y_stride * size)
        if (step == 1)
            copy_bytes(to, from, n * size);
        else
            for (ptrdiff_t q = 0; q < n; q++)
                memcpy(to + q * step * size, from + q * size, (size_t)size);
}
