/* Checks of the kernels for channels that lie last (last.h), for one element type. */
#include "check.h"
#include "last.h"
#include <math.h>
#include <string.h>

#ifdef ELEMENT_f32
typedef float real;
#define CHECK check_last_f32
#else
typedef double real;
#define CHECK check_last_f64
#endif

enum { FIRST, SECOND, GOT, WANT, RESIDUAL, BIAS };

static real *numbers(int slot, ptrdiff_t n) {
    real *at = guarded(slot, n * (ptrdiff_t)sizeof(real));
    for (ptrdiff_t i = 0; i < n; i++) at[i] = (real)between(-4, 4);
    return at;
}

static void same(const real *got, const real *want, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof *got))
            fail("element %td of %td is %g, not %g", i, n, (double)got[i], (double)want[i]);
}

/* A last step of n filters and of the results at y, `all` from the first to the last. */
static const epilogue_t *step(epilogue_t *e, ptrdiff_t n, const real *y, ptrdiff_t all) {
    *e = (epilogue_t){.low = -3, .high = 60, .clamp = (int)between(0, 1)};
    if (between(0, 1)) e->bias = numbers(BIAS, n);
    if (between(0, 1)) e->add = numbers(RESIDUAL, all), e->y = y;
    return between(0, 3) ? e : NULL;
}

static real finished(real sum, const epilogue_t *e, ptrdiff_t j, ptrdiff_t at) {
    if (!e) return sum;
    if (e->bias) sum += ((const real *)e->bias)[j];
    if (e->add) sum += ((const real *)e->add)[at];
    return e->clamp ? (real)fmax(fmin((double)sum, e->high), e->low) : sum;
}

static void check_multiply(const last_t *k) {
    for (int round = 0; round < 400; round++) {
        const ptrdiff_t m = between(1, 14), n = between(1, 70), taps = between(1, 40);
        const ptrdiff_t a_row = taps + between(0, 5), c_row = n + between(0, 5);
        const ptrdiff_t panels = (n + k->nr - 1) / k->nr, all = (m - 1) * c_row + n;
        const int accumulate = (int)between(0, 1), apart = (int)between(0, 1);
        begin("multiply: %td x %td, %td taps, accumulate %d, apart %d", m, n, taps, accumulate,
              apart);
        const real *A = numbers(FIRST, (m - 1) * a_row + taps), *w = numbers(SECOND, n * taps);
        ptrdiff_t pixel[14], offset[40];
        for (ptrdiff_t i = 0; i < m; i++) pixel[i] = (apart ? between(0, m - 1) : i) * a_row;
        for (ptrdiff_t t = 0; t < taps; t++) offset[t] = apart ? between(0, taps - 1) : t;
        real B[6 * 64 * 40]; /* whole panels */
        k->pack(w, taps, n, taps, B);
        for (ptrdiff_t j = 0; j < panels * k->nr; j++)
            for (ptrdiff_t t = 0; t < taps; t++)
                if (B[(j / k->nr * taps + t) * k->nr + j % k->nr] != (j < n ? w[j * taps + t] : 0))
                    fail("tap %td of filter %td is not packed", t, j);
        real *got = guarded(GOT, all * (ptrdiff_t)sizeof(real));
        real *want = guarded(WANT, all * (ptrdiff_t)sizeof(real));
        epilogue_t e;
        const epilogue_t *last = step(&e, n, got, all);
        for (ptrdiff_t i = 0; i < m; i++)
            for (ptrdiff_t j = 0; j < n; j++) {
                real sum = 0;
                for (ptrdiff_t t = 0; t < taps; t++)
                    sum += A[pixel[i] + offset[t]] * w[j * taps + t];
                const ptrdiff_t at = i * c_row + j;
                if (accumulate) got[at] = (real)between(-9, 9), sum += got[at];
                want[at] = finished(sum, last, j, at);
            }
        if (apart)
            k->multiply_windows(m, n, taps, A, pixel, offset, B, taps * k->nr, got, c_row,
                                accumulate, last);
        else
            k->multiply(m, n, taps, A, a_row, B, taps * k->nr, got, c_row, accumulate, last);
        same(got, want, all);
    }
}

static void check_depthwise(const last_t *k) {
    for (int round = 0; round < 300; round++) {
        const ptrdiff_t channels = k->lanes + between(0, 40), s = between(1, 2);
        const ptrdiff_t step_x = channels + between(0, 3), step_y = channels + between(0, 3);
        geometry_t g = {
            .h = {.in = between(1, 6), .kernel = 3, .stride = s, .pad = between(0, 2)},
            .w = {.in = between(1, 12), .kernel = 3, .stride = s, .pad = between(0, 2)}};
        g.h.out = (g.h.in + 2) / s, g.w.out = (g.w.in + 2) / s;
        if (!g.h.out || !g.w.out) continue;
        g.w.x_stride = step_x, g.h.x_stride = g.w.in * step_x;
        g.w.y_stride = step_y, g.h.y_stride = g.w.out * step_y;
        const ptrdiff_t p0 = between(0, g.h.out - 1), p1 = between(p0, g.h.out);
        const ptrdiff_t all = (g.h.out * g.w.out - 1) * step_y + channels;
        begin("depthwise3: %td channels, %td x %td, stride %td", channels, g.h.in, g.w.in, s);
        const real *x = numbers(FIRST, (g.h.in * g.w.in - 1) * step_x + channels);
        real *w = numbers(SECOND, 10 * channels);
        memset(w + 9 * channels, 0, (size_t)channels * sizeof(real));
        real *got = guarded(GOT, all * (ptrdiff_t)sizeof(real));
        real *want = guarded(WANT, all * (ptrdiff_t)sizeof(real));
        epilogue_t e;
        const epilogue_t *last = step(&e, channels, got, all);
        for (ptrdiff_t p = p0; p < p1; p++)
            for (ptrdiff_t q = 0; q < g.w.out; q++)
                for (ptrdiff_t c = 0; c < channels; c++) {
                    real sum = 0;
                    for (ptrdiff_t t = 0; t < 9; t++) {
                        const ptrdiff_t h = p * s + t / 3 - g.h.pad, i = q * s + t % 3 - g.w.pad;
                        if (h >= 0 && h < g.h.in && i >= 0 && i < g.w.in)
                            sum += w[t * channels + c] * x[(h * g.w.in + i) * step_x + c];
                    }
                    const ptrdiff_t at = (p * g.w.out + q) * step_y + c;
                    want[at] = finished(sum, last, c, at);
                }
        k->depthwise3(&g, channels, x, w, w + 9 * channels, got, last, p0, p1);
        same(got, want, all);
    }
}

void CHECK(const last_t *k) {
    if (k->itemsize != sizeof(real) || k->lanes < 1 || k->nr % k->lanes)
        fail("itemsize %d, lanes %d, nr %d", k->itemsize, k->lanes, k->nr);
    check_multiply(k);
    check_depthwise(k);
}
