/* Pairs of 16-bit integers: each kernel against plain loops, modulo 2^32. Compiled once. */
#include "check.h"
#include "pairs.h"
#include <math.h>
#include <string.h>

enum { INPUT, WEIGHTS, GOT, WANT, OTHER, ROWS }; /* slots */

static uint32_t product(uint32_t a, uint32_t b) {
    const uint32_t low = (uint32_t)((int32_t)(int16_t)a * (int16_t)b);
    return low + (uint32_t)((int32_t)(int16_t)(a >> 16) * (int16_t)(b >> 16));
}

/* Any bits, most of all the least number of 16 bits twice, whose products have the largest sum. */
static uint32_t *random_pairs(int slot, ptrdiff_t n) {
    uint32_t *at = guarded(slot, 4 * n);
    for (ptrdiff_t i = 0; i < n; i++) at[i] = between(0, 2) ? (uint32_t)random_bits() : 0x80008000u;
    return at;
}

static void same(const void *got, const void *want, ptrdiff_t bytes) {
    const unsigned char *g = got, *w = want;
    for (ptrdiff_t i = -MARGIN; i < bytes; i++)
        if (g[i] != w[i]) fail("byte %td of %td is %d, not %d", i, bytes, g[i], w[i]);
}

static void check_multiply(const pairs_t *k, ptrdiff_t nr) {
    enum { ROWS = 27, COLUMNS = 70 };
    for (ptrdiff_t m = 1; m <= ROWS; m++)
        for (ptrdiff_t n = 1; n <= COLUMNS; n += 1 + n / 20) {
            const ptrdiff_t taps = between(1, 20), ldb = n + between(0, 5), c_row = n;
            const int accumulate = (int)between(0, 1);
            begin("multiply m %td n %td taps %td accumulate %d", m, n, taps, accumulate);
            const uint32_t *B = random_pairs(INPUT, taps * ldb + CYCONV_OVERREAD);
            const uint32_t *A = random_pairs(WEIGHTS, m * taps + 16);
            uint32_t *got = guarded(GOT, 4 * m * n), *want = guarded(WANT, 4 * m * n);
            for (ptrdiff_t i = 0; i < m; i++)
                for (ptrdiff_t j = 0; j < n; j++) {
                    const ptrdiff_t first = i / CYCONV_MR * CYCONV_MR;
                    const ptrdiff_t rows = m - first < CYCONV_MR ? m - first : CYCONV_MR;
                    uint32_t sum = 0;
                    if (accumulate) sum = got[i * n + j] = (uint32_t)random_bits();
                    for (ptrdiff_t t = 0; t < taps; t++)
                        sum += product(A[first * taps + t * rows + i - first], B[t * ldb + j]);
                    want[i * n + j] = sum;
                }
            k->multiply(m, n, taps, A, B, ldb, nr, NULL, got, c_row, 1, accumulate, NULL);
            same(got, want, 4 * m * n);
        }
}

static const storage_t types[] = {CYCONV_U8, CYCONV_I8, CYCONV_I16};

static int stored(storage_t type, const char *x, ptrdiff_t i) {
    if (type == CYCONV_U8) return ((const uint8_t *)x)[i];
    return type == CYCONV_I8 ? ((const int8_t *)x)[i] : ((const int16_t *)x)[i];
}

/* Planes of stored pixels of any type. */
static char *random_pixels(const geometry_t *g, pair_source_t *from, ptrdiff_t planes) {
    from->type = types[between(0, 2)];
    from->zero = from->type == CYCONV_I16 ? 0 : (int)between(-128, 127);
    if (from->type == CYCONV_U8) from->zero += 128;
    const ptrdiff_t size = from->type == CYCONV_I16 ? 2 : 1;
    const ptrdiff_t last = (planes - 1) * g->x_c + (g->h.in - 1) * g->h.x_stride;
    const ptrdiff_t n = size * (last + (g->w.in - 1) * g->w.x_stride + 1);
    unsigned char *x = guarded(INPUT, n);
    for (ptrdiff_t i = 0; i < n; i++) x[i] = (unsigned char)random_bits();
    return (char *)x;
}

/* The same, and what their geometry says beside the sizes. */
static char *random_planes(geometry_t *g, pair_source_t *from, ptrdiff_t planes) {
    g->w.x_stride = between(0, 3) ? 1 : 2;
    g->h.x_stride = g->w.in * g->w.x_stride + (between(0, 1) ? 0 : 3);
    g->x_c = g->h.in * g->h.x_stride;
    return random_pixels(g, from, planes);
}

/* Pixel (h, w) of a plane less the zero point; 0 outside, or where there is no plane. */
static int16_t pixel(const geometry_t *g, const pair_source_t *from, const char *plane, ptrdiff_t h,
                     ptrdiff_t w) {
    if (!plane || h < 0 || h >= g->h.in || w < 0 || w >= g->w.in) return 0;
    const int x = stored(from->type, plane, h * g->h.x_stride + w * g->w.x_stride);
    return (int16_t)(x - from->zero);
}

static void check_fill(const pairs_t *k) {
    enum { PLANES = 4 };
    for (int turn = 0; turn < 600; turn++) {
        static const ptrdiff_t all[] = {0, 1, 2};
        geometry_t g = {.h = {.in = between(1, 9), .stride = between(1, 3), .pad = between(0, 3)},
                        .w = {.in = between(1, 40), .stride = between(1, 3), .pad = between(0, 3)}};
        const ptrdiff_t rows = between(1, 5);
        const strip_t s = {.row_phases = between(1, g.h.stride),
                           .column_phases = between(1, g.w.stride),
                           .rows = rows + between(0, 1),
                           .filled = rows,
                           .pitch = between(1, 50),
                           .row_phase = all,
                           .column_phase = all};
        pair_source_t from = {.next = between(0, 1) ? 0 : between(1, 3)};
        const ptrdiff_t count = between(1, 2), p0 = between(0, 2), q0 = between(0, 9);
        const char *x = random_planes(&g, &from, PLANES);
        const ptrdiff_t size = from.type == CYCONV_I16 ? 2 : 1;
        const char *planes[PLANES];
        for (int i = 0; i < PLANES; i++) planes[i] = between(0, 5) ? x + i * g.x_c * size : NULL;
        begin("fill %td pairs, next %td, planes %td x %td, strides %td %td pads %td %td pitch %td",
              count, from.next, g.h.in, g.w.in, g.h.stride, g.w.stride, g.h.pad, g.w.pad, s.pitch);
        const ptrdiff_t n = count * s.row_phases * s.rows * s.column_phases * s.pitch;
        uint32_t *got = guarded(GOT, 4 * n), *want = guarded(WANT, 4 * n);
        void *scratch = guarded(OTHER, pair_row_bytes(&g, &s, &from));
        uint32_t *to = want;
        for (ptrdiff_t d = 0; d < count; d++)
            for (ptrdiff_t a = 0; a < s.row_phases; a++)
                for (ptrdiff_t i = 0; i < s.rows; i++)
                    for (ptrdiff_t b = 0; b < s.column_phases; b++)
                        for (ptrdiff_t j = 0; j < s.pitch; j++, to++) {
                            if (i >= s.filled) continue;
                            const ptrdiff_t h = (p0 + i) * g.h.stride + a - g.h.pad;
                            const ptrdiff_t w = (q0 + j) * g.w.stride + b - g.w.pad;
                            const char *first = planes[from.next ? d : 2 * d];
                            const char *second = from.next ? first : planes[2 * d + 1];
                            const int16_t low = pixel(&g, &from, first, h, w);
                            const int16_t high = pixel(&g, &from, second, h, w + from.next);
                            *to = (uint16_t)low | (uint32_t)(uint16_t)high << 16;
                        }
        k->fill(&g, &s, &from, planes, count, p0, q0, scratch, got);
        same(got, want, 4 * n);
    }
}

static double clipped(double v, double low, double high) { return fmin(fmax(v, low), high); }

static const double least[] = {0, -128, -32768}, most[] = {255, 127, 32767};

/* A target of types[which], of one filter, the second. */
static pair_target_t random_target(int which, int32_t *bias, float *factor) {
    bias[1] = (int32_t)between(-9999, 9999);
    factor[1] = ldexpf((float)between(1, 99), -(int)between(0, 20));
    return (pair_target_t){types[which], between(0, 1) ? bias : NULL, factor,
                           (int)between((ptrdiff_t)least[which], (ptrdiff_t)most[which])};
}

static int16_t rounded(const pair_target_t *to, int which, uint32_t sum) {
    const int32_t whole = (int32_t)(sum + (to->bias ? (uint32_t)to->bias[1] : 0u));
    const float v = (float)whole * to->factor[1];
    return (int16_t)clipped(rint((double)v) + to->zero, least[which], most[which]);
}

/* Sums, and numbers of the target stored to rows of y. */
static void check_plane(const pairs_t *k) {
    for (int turn = 0; turn < 1200; turn++) {
        const ptrdiff_t R = between(1, 4), S = between(1, 5), pairs = (S + 1) / 2;
        const ptrdiff_t stride = between(1, 2);
        const int which = (int)between(0, 2), size = which == 2 ? 2 : 1;
        geometry_t g = {.D = 1,
                        .h = {.in = between(1, 9),
                              .kernel = R,
                              .stride = between(1, 3),
                              .pad = between(-1, 3),
                              .dilation = between(1, 4)},
                        .w = {.in = between(1, 60),
                              .kernel = pairs,
                              .stride = stride,
                              .pad = between(-1, 6),
                              .dilation = 2,
                              .out = between(1, 50),
                              .y_stride = between(0, 3) ? 1 : 2}};
        g.h.y_stride = g.w.y_stride * g.w.out + between(0, 1);
        pair_source_t from = {.next = 1};
        const ptrdiff_t rows = between(1, 6), p0 = between(0, 3);
        const plane_t l = plane_layout(&g, S, rows + between(0, 1));
        const char *x = random_planes(&g, &from, 1);
        if (!between(0, 9)) x = NULL;
        begin("plane %td x %td, %td x %td taps, strides %td %td pads %td %td, dilation %td, "
              "%td x %td outputs of type %d",
              g.h.in, g.w.in, R, S, g.h.stride, stride, g.h.pad, g.w.pad, g.h.dilation, rows,
              g.w.out, which);
        if (!k->plane_fits(&g)) fail("does not fit");
        uint32_t *w = random_pairs(WEIGHTS, R * pairs);
        if (S % 2)
            for (ptrdiff_t r = 0; r < R; r++) w[r * pairs + pairs - 1] &= 0xFFFFu;
        const ptrdiff_t n = (rows - 1) * l.outputs + g.w.out, open = CYCONV_OVERREAD;
        void *copy = guarded(OTHER, 2 * l.cells);
        uint32_t *got = guarded(GOT, 4 * (n + open)), *want = guarded(WANT, 4 * (n + open));
        k->plane_copy(&g, &l, &from, x, p0, rows, copy);
        k->plane(&g, &l, copy, w, rows, NULL, 0, got);
        memcpy(want, got, (size_t)(4 * (n + open)));
        for (ptrdiff_t p = 0; p < rows; p++)
            for (ptrdiff_t q = 0; q < g.w.out; q++) {
                uint32_t sum = 0;
                for (ptrdiff_t r = 0; r < R; r++)
                    for (ptrdiff_t s = 0; s < 2 * pairs; s++) {
                        const ptrdiff_t h = (p0 + p) * g.h.stride + r * g.h.dilation - g.h.pad;
                        const int16_t a = pixel(&g, &from, x, h, q * stride + s - g.w.pad);
                        const uint32_t pair = w[r * pairs + s / 2];
                        const int16_t b = (int16_t)(s % 2 ? pair >> 16 : pair);
                        sum += (uint32_t)((int32_t)a * b);
                    }
                want[p * l.outputs + q] = sum;
            }
        same(got, want, 4 * (n + open));
        int32_t bias[2];
        float factor[2];
        const pair_target_t to = random_target(which, bias, factor);
        const ptrdiff_t bytes =
            size * ((rows - 1) * g.h.y_stride + (g.w.out - 1) * g.w.y_stride + 1);
        char *y = guarded(ROWS, bytes), *y_want = guarded(INPUT, bytes);
        memset(y, 7, (size_t)bytes), memset(y_want, 7, (size_t)bytes);
        for (ptrdiff_t p = 0; p < rows; p++)
            for (ptrdiff_t q = 0; q < g.w.out; q++) {
                const int16_t cell = rounded(&to, which, want[p * l.outputs + q]);
                memcpy(y_want + size * (p * g.h.y_stride + q * g.w.y_stride), &cell, (size_t)size);
            }
        k->plane(&g, &l, copy, w, rows, &to, 1, got);
        k->plane_store(&g, &l, to.type, got, rows, y);
        same(y, y_want, bytes);
    }
}

/* Weights w[channel][R][S] as `in_lanes` has them, and room for what it may read. */
static uint32_t *pairs_in_lanes(const int16_t *w, ptrdiff_t R, ptrdiff_t S, ptrdiff_t channels,
                                ptrdiff_t lanes) {
    const ptrdiff_t even = (R + 1) / 2, rows = even + (R + 2) / 2;
    uint32_t *packed = guarded(WEIGHTS, 4 * rows * S * lanes);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t s = 0; s < S; s++)
            for (ptrdiff_t c = 0; c < channels; c++) {
                const ptrdiff_t r = i < even ? 2 * i : 2 * (i - even) - 1;
                const uint32_t low = r >= 0 && r < R ? (uint16_t)w[(c * R + r) * S + s] : 0;
                const uint32_t high = r + 1 < R ? (uint16_t)w[(c * R + r + 1) * S + s] : 0;
                packed[(i * S + s) * lanes + c] = low | high << 16;
            }
    return packed;
}

/* Some channels of one image: sums, and numbers of a target of the second's. */
static void check_lanes(const pairs_t *k) {
    enum { MOST = 16 };
    for (int turn = 0; turn < 1200; turn++) {
        const ptrdiff_t R = between(1, 5), S = between(1, 5), count = between(1, k->lanes);
        const int which = (int)between(0, 2), size = which == 2 ? 2 : 1;
        geometry_t g = {.D = 1,
                        .K = 1,
                        .G = k->lanes,
                        .h = {.in = between(1, 20),
                              .out = between(1, 20),
                              .kernel = R,
                              .stride = between(1, 3),
                              .pad = between(-1, 3),
                              .dilation = 1,
                              .x_stride = 0},
                        .w = {.in = between(1, 40),
                              .out = between(1, 4 * k->lanes),
                              .kernel = S,
                              .stride = between(1, 3),
                              .pad = between(-1, 3),
                              .dilation = between(1, 3),
                              .x_stride = 1,
                              .y_stride = 1}};
        const ptrdiff_t outputs = g.h.out * g.w.out, channel = between(0, 1);
        g.h.x_stride = g.w.in, g.h.y_stride = g.w.out;
        g.x_c = g.h.in * g.w.in + between(0, 3), g.y_k = outputs + between(0, 3);
        if (g.h.in * g.w.in < k->lanes) continue;
        pair_source_t from = {0};
        const char *x = random_pixels(&g, &from, count);
        begin("%td lanes of %td x %td, %td x %td taps, strides %td %td pads %td %td, dilation %td, "
              "%td x %td outputs of type %d",
              count, g.h.in, g.w.in, R, S, g.h.stride, g.w.stride, g.h.pad, g.w.pad, g.w.dilation,
              g.h.out, g.w.out, which);
        if (!k->lanes_fit(&g)) fail("does not fit");
        int16_t weights[MOST * 25];
        for (int i = 0; i < MOST * 25; i++) weights[i] = (int16_t)random_bits();
        const uint32_t *w = pairs_in_lanes(weights, R, S, count, k->lanes);
        void *scratch = guarded(OTHER, (ptrdiff_t)k->lanes_scratch(&g));
        const ptrdiff_t n = (count - 1) * g.y_k + outputs;
        uint32_t *sums = guarded(GOT, 4 * n), *want = guarded(WANT, 4 * n);
        memset(sums, 7, (size_t)(4 * n)), memset(want, 7, (size_t)(4 * n));
        for (ptrdiff_t c = 0; c < count; c++)
            for (ptrdiff_t i = 0; i < outputs; i++) {
                const ptrdiff_t h = i / g.w.out * g.h.stride - g.h.pad;
                const ptrdiff_t v = i % g.w.out * g.w.stride - g.w.pad;
                uint32_t sum = 0;
                for (ptrdiff_t t = 0; t < R * S; t++) {
                    const char *plane = x + c * g.x_c * (from.type == CYCONV_I16 ? 2 : 1);
                    const int16_t a = pixel(&g, &from, plane, h + t / S, v + t % S * g.w.dilation);
                    sum += (uint32_t)((int32_t)a * weights[c * R * S + t]);
                }
                want[c * g.y_k + i] = sum;
            }
        const epilogue_t none = {.y = sums};
        k->in_lanes(&g, &from, x, count, w, NULL, &none, channel, (char *)sums, scratch);
        same(sums, want, 4 * n);
        int32_t bias[MOST + 1];
        float factor[MOST + 1];
        const pair_target_t to = random_target(which, bias, factor);
        for (int i = 0; i <= MOST; i++) bias[i] = bias[1], factor[i] = factor[1];
        char *y = guarded(ROWS, size * n), *y_want = guarded(GOT, size * n);
        memset(y, 7, (size_t)(size * n)), memset(y_want, 7, (size_t)(size * n));
        for (ptrdiff_t c = 0; c < count; c++)
            for (ptrdiff_t i = 0; i < outputs; i++) {
                const int16_t cell = rounded(&to, which, want[c * g.y_k + i]);
                memcpy(y_want + size * (c * g.y_k + i), &cell, (size_t)size);
            }
        k->in_lanes(&g, &from, x, count, w, &to, NULL, channel, y, scratch);
        same(y, y_want, size * n);
    }
}

/* One row of tiles of one pair of planes: both outputs' sums of 3 x 3 weights, by the transforms,
 * beside the definition. */
static void check_winograd(const pairs_t *k) {
    enum { MOST = 40, PITCH = MOST + 72, XI = MOST + 32 };
    static const int G[4][3] = {{2, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 2}};
    for (ptrdiff_t tiles = 1; tiles <= MOST; tiles++) {
        begin("winograd of %td tiles", tiles);
        int16_t x[2][4][2 * PITCH], w[2][3][3]; /* [plane][row][column] */
        for (int d = 0; d < 2; d++) {
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 2 * PITCH; j++)
                    x[d][i][j] = (int16_t)(between(0, 1) ? between(-255, 255) : 255);
            for (int i = 0; i < 9; i++)
                w[d][i / 3][i % 3] = (int16_t)(between(0, 1) ? between(-255, 255) : -255);
        }
        uint32_t *strip = guarded(INPUT, 4 * 4 * 2 * PITCH);
        const void *rows[4];
        for (int i = 0; i < 4; i++) {
            rows[i] = strip + i * 2 * PITCH;
            for (int j = 0; j < 2 * PITCH; j++)
                strip[i * 2 * PITCH + j % 2 * PITCH + j / 2] =
                    (uint16_t)x[0][i][j] | (uint32_t)(uint16_t)x[1][i][j] << 16;
        }
        uint32_t *V = guarded(GOT, 4 * 16 * XI), *M = guarded(OTHER, 4 * 16 * XI);
        k->winograd_input(rows, PITCH, tiles, V, XI);
        for (int xi = 0; xi < 16; xi++) {
            uint32_t pair = 0;
            for (int d = 0; d < 2; d++) {
                int u = 0;
                for (int i = 0; i < 9; i++)
                    u += G[xi / 4][i / 3] * G[xi % 4][i % 3] * w[d][i / 3][i % 3];
                pair |= (uint32_t)(uint16_t)u << 16 * d;
            }
            for (ptrdiff_t t = 0; t < XI; t++) M[xi * XI + t] = product(pair, V[xi * XI + t]);
        }
        uint32_t *y[2] = {guarded(GOT, 4 * 2 * XI), guarded(WANT, 4 * 2 * XI)};
        k->winograd_output(M, XI, tiles, y[0], y[1]);
        for (int p = 0; p < 2; p++)
            for (ptrdiff_t q = 0; q < 2 * tiles; q++) {
                int sum = 0;
                for (int d = 0; d < 2; d++)
                    for (int i = 0; i < 9; i++)
                        sum += w[d][i / 3][i % 3] * x[d][p + i / 3][q + i % 3];
                if (y[p][q] != (uint32_t)sum)
                    fail("output %d, %td is %d, not %d", p, q, (int)y[p][q], sum);
            }
    }
}

static void check_store(const pairs_t *k) {
    for (int turn = 0; turn < 600; turn++) {
        const int which = (int)between(0, 2), size = which == 2 ? 2 : 1;
        const ptrdiff_t n = between(1, 90), step = between(0, 2) ? 1 : between(2, 3);
        int32_t bias[2];
        float factor[2];
        const pair_target_t to = random_target(which, bias, factor);
        begin("store of type %d, %td outputs, step %td zero %d factor %g bias %d", which, n, step,
              to.zero, (double)factor[1], to.bias ? bias[1] : 0);
        const ptrdiff_t bytes = size * ((n - 1) * step + 1);
        int32_t *sums = guarded(INPUT, 4 * (n + CYCONV_OVERREAD));
        char *got = guarded(GOT, bytes), *want = guarded(WANT, bytes);
        for (ptrdiff_t j = 0; j < n; j++) {
            sums[j] = between(0, 3) ? (int32_t)between(-99999, 99999) : (int32_t)random_bits();
            const int16_t y = rounded(&to, which, (uint32_t)sums[j]);
            memcpy(want + size * j * step, &y, (size_t)size);
        }
        k->store(&to, 1, n, sums, got, step);
        same(got, want, bytes);
    }
}

static void check_finish(const pairs_t *k) {
    for (ptrdiff_t n = 1; n < 70; n++) {
        const ptrdiff_t step = between(1, 2), size = (n - 1) * step + 1;
        const uint32_t bias[2] = {0, (uint32_t)random_bits()}, *sums = random_pairs(INPUT, n);
        const uint32_t *add = random_pairs(OTHER, size);
        uint32_t *got = guarded(GOT, 4 * size), *want = guarded(WANT, 4 * size);
        const epilogue_t e = {.bias = bias, .add = between(0, 1) ? add : NULL, .y = got};
        begin("finish of %td outputs, step %td", n, step);
        for (ptrdiff_t j = 0; j < n; j++)
            want[j * step] = sums[j] + bias[1] + (e.add ? add[j * step] : 0);
        k->finish(&e, 1, n, sums, got, step);
        same(got, want, 4 * size);
    }
}

void check_pairs(const pairs_t *k, ptrdiff_t nr) {
    check_multiply(k, nr);
    check_fill(k);
    check_plane(k);
    check_lanes(k);
    check_winograd(k);
    check_store(k);
    check_finish(k);
}
