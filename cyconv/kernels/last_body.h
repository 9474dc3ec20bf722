/* Channels last: see the contract in last.h. Of the micro-kernel only its epilogue is used. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "multiply_body.h"

#if REGISTERS == 32
enum { LAST_VECTORS = 4 };
#else
enum { LAST_VECTORS = 2 };
#endif
enum { LAST_NR = LAST_VECTORS * LANES, LAST_L1 = 20 << 10 };

/* The last step of n <= LANES outputs at y, of the filters from j on, stored. */
INLINE void last_store(vec sum, real *y, ptrdiff_t n, int accumulate, const epilogue_t *e,
                       ptrdiff_t j) {
    if (n == LANES) {
        if (accumulate) sum += load(y);
        if (e && e->bias) sum += load((const real *)e->bias + j);
        if (e && e->add) sum += load(residual(e, y));
        if (e && e->clamp) sum = clamp(sum, splat((real)e->low), splat((real)e->high));
        store(y, sum);
        return;
    }
    for (ptrdiff_t l = 0; l < n; l++)
        y[l] = finish(accumulate ? sum[l] + y[l] : sum[l], e, j + l, y + l);
}

/* Where m pixels' taps are: `pixel` is NULL where they follow each other. */
typedef struct {
    const real *A;
    ptrdiff_t row;
    const ptrdiff_t *pixel, *offset;
} last_rows_t;

INLINE void last_tile(const int apart, const int m, const int v, ptrdiff_t n, ptrdiff_t taps,
                      const last_rows_t *rows, const real *B, real *C, ptrdiff_t c_row,
                      int accumulate, const epilogue_t *e, ptrdiff_t j) {
    const real *A = rows->A, *window[CYCONV_MR];
    const ptrdiff_t a_row = rows->row, *offset = rows->offset;
    vec sum[CYCONV_MR][LAST_VECTORS];
#pragma GCC unroll 6
    for (int i = 0; i < m; i++) {
        if (apart) window[i] = A + rows->pixel[i];
#pragma GCC unroll 4
        for (int k = 0; k < v; k++) sum[i][k] = (vec){0};
    }
    for (ptrdiff_t t = 0; t < taps; t++, A++, B += LAST_NR) {
        const ptrdiff_t tap = apart ? offset[t] : 0;
        vec b[LAST_VECTORS];
#pragma GCC unroll 4
        for (int k = 0; k < v; k++) b[k] = load(B + k * LANES);
#pragma GCC unroll 6
        for (int i = 0; i < m; i++) {
            const vec a = splat(apart ? window[i][tap] : A[i * a_row]);
#pragma GCC unroll 4
            for (int k = 0; k < v; k++) sum[i][k] += a * b[k];
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int k = 0; k < v; k++)
            last_store(sum[i][k], C + i * c_row + k * LANES, k < v - 1 ? LANES : n - k * LANES,
                       accumulate, e, j + k * LANES);
}

typedef void last_function(ptrdiff_t n, ptrdiff_t taps, const last_rows_t *rows, const real *B,
                           real *C, ptrdiff_t c_row, int accumulate, const epilogue_t *e,
                           ptrdiff_t j);

#define LAST_TILE(apart, m, v)                                                                    \
    static void last_##apart##_##m##x##v(ptrdiff_t n, ptrdiff_t taps, const last_rows_t *rows,    \
                                         const real *B, real *C, ptrdiff_t c_row, int accumulate, \
                                         const epilogue_t *e, ptrdiff_t j) {                      \
        last_tile(apart, m, v, n, taps, rows, B, C, c_row, accumulate, e, j);                     \
    }
#define LAST_ROW(apart, m) {0, last_##apart##_##m##x1, last_##apart##_##m##x2, LAST_WIDE(apart, m)}
#if REGISTERS == 32
#define LAST_TILES_OF(apart, m) \
    LAST_TILE(apart, m, 1)      \
    LAST_TILE(apart, m, 2) LAST_TILE(apart, m, 3) LAST_TILE(apart, m, 4)
#define LAST_WIDE(apart, m) last_##apart##_##m##x3, last_##apart##_##m##x4
#else
#define LAST_TILES_OF(apart, m) LAST_TILE(apart, m, 1) LAST_TILE(apart, m, 2)
#define LAST_WIDE(apart, m)
#endif
#define LAST_TILES(m) LAST_TILES_OF(0, m) LAST_TILES_OF(1, m)
LAST_TILES(1)
LAST_TILES(2)
LAST_TILES(3)
LAST_TILES(4)
LAST_TILES(5)
LAST_TILES(6)

#define LAST_ROWS(apart) \
    {{0},                \
     LAST_ROW(apart, 1), \
     LAST_ROW(apart, 2), \
     LAST_ROW(apart, 3), \
     LAST_ROW(apart, 4), \
     LAST_ROW(apart, 5), \
     LAST_ROW(apart, 6)}
static last_function *const last_tiles[2][CYCONV_MR + 1][LAST_VECTORS + 1] = {LAST_ROWS(0),
                                                                              LAST_ROWS(1)};

/* Either all of B stays in the first-level cache, and the pixels pass once; or one panel of it
 * does, while they pass. */
INLINE void last_products(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const last_rows_t *rows,
                          const real *B, ptrdiff_t b_panel, real *C, ptrdiff_t c_row,
                          int accumulate, const epilogue_t *e) {
    const ptrdiff_t all = n * taps * (ptrdiff_t)sizeof(real) <= LAST_L1 ? n : LAST_NR;
    const int apart = rows->pixel != NULL;
    for (ptrdiff_t j0 = 0; j0 < n; j0 += all)
        for (ptrdiff_t i = 0; i < m; i += CYCONV_MR) {
            const ptrdiff_t height = m - i < CYCONV_MR ? m - i : CYCONV_MR;
            const last_rows_t some = {.A = apart ? rows->A : rows->A + i * rows->row,
                                      .row = rows->row,
                                      .pixel = apart ? rows->pixel + i : NULL,
                                      .offset = rows->offset};
            for (ptrdiff_t j = j0; j < n && j < j0 + all; j += LAST_NR) {
                const ptrdiff_t columns = n - j < LAST_NR ? n - j : LAST_NR;
                last_tiles[apart][height][(columns + LANES - 1) / LANES](
                    columns, taps, &some, B + j / LAST_NR * b_panel, C + i * c_row + j, c_row,
                    accumulate, e, j);
            }
        }
}

static void last_multiply(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A, ptrdiff_t a_row,
                          const void *B, ptrdiff_t b_panel, void *C, ptrdiff_t c_row,
                          int accumulate, const epilogue_t *e) {
    const last_rows_t rows = {.A = A, .row = a_row};
    last_products(m, n, taps, &rows, B, b_panel, C, c_row, accumulate, e);
}

static void last_multiply_windows(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A,
                                  const ptrdiff_t *pixel, const ptrdiff_t *offset, const void *B,
                                  ptrdiff_t b_panel, void *C, ptrdiff_t c_row, int accumulate,
                                  const epilogue_t *e) {
    const last_rows_t rows = {.A = A, .pixel = pixel, .offset = offset};
    last_products(m, n, taps, &rows, B, b_panel, C, c_row, accumulate, e);
}

static void last_pack(const void *weights, ptrdiff_t w_row, ptrdiff_t n, ptrdiff_t taps,
                      void *panels) {
    const real *w = weights;
    real *B = panels;
    for (ptrdiff_t j = 0; j < n; j += LAST_NR)
        for (ptrdiff_t t = 0; t < taps; t++)
            for (ptrdiff_t l = 0; l < LAST_NR; l++) *B++ = j + l < n ? w[(j + l) * w_row + t] : 0;
}

/* Outputs q < count <= LAST_PIXELS of one row, v vectors of channels from c on: column j of the
 * windows' row r is the pixel at x[r * span + j]. */
enum { LAST_PIXELS = 4, LAST_SPAN = 3 + 2 * (LAST_PIXELS - 1) };

INLINE void last_windows(const int stride, const int count, const int v, const real *const *x,
                         const real *w, ptrdiff_t channels, ptrdiff_t c, real *y,
                         ptrdiff_t y_column, const epilogue_t *e) {
    vec sum[LAST_PIXELS][2];
#pragma GCC unroll 4
    for (int q = 0; q < count; q++)
#pragma GCC unroll 2
        for (int k = 0; k < v; k++) sum[q][k] = (vec){0};
#pragma GCC unroll 3
    for (int r = 0; r < 3; r++)
#pragma GCC unroll 3
        for (int s = 0; s < 3; s++)
#pragma GCC unroll 2
            for (int k = 0; k < v; k++) {
                const vec tap = load(w + (r * 3 + s) * channels + c + k * LANES);
#pragma GCC unroll 4
                for (int q = 0; q < count; q++)
                    sum[q][k] += tap * load(x[r * LAST_SPAN + q * stride + s] + c + k * LANES);
            }
#pragma GCC unroll 4
    for (int q = 0; q < count; q++)
#pragma GCC unroll 2
        for (int k = 0; k < v; k++)
            last_store(sum[q][k], y + q * y_column + c + k * LANES, LANES, 0, e, c + k * LANES);
}

/* All channels; the last vector overlaps the one before it. */
INLINE void last_channels(const int stride, const int count, const real *const *x, const real *w,
                          ptrdiff_t channels, real *y, ptrdiff_t y_column, const epilogue_t *e) {
    ptrdiff_t c = 0;
    for (; c + 2 * LANES <= channels; c += 2 * LANES)
        last_windows(stride, count, 2, x, w, channels, c, y, y_column, e);
    for (; c < channels; c += LANES)
        last_windows(stride, count, 1, x, w, channels, c + LANES <= channels ? c : channels - LANES,
                     y, y_column, e);
}

static __attribute__((noinline)) void last_pixel(const real *const *x, const real *w,
                                                 ptrdiff_t channels, real *y, const epilogue_t *e) {
    last_channels(1, 1, x, w, channels, y, 0, e);
}

INLINE void last_depthwise3(const int stride, const geometry_t *g, ptrdiff_t channels,
                            const real *x, const real *w, const real *zeros, real *y,
                            const epilogue_t *e, ptrdiff_t p0, ptrdiff_t p1) {
    for (ptrdiff_t p = p0; p < p1; p++)
        for (ptrdiff_t q = 0; q < g->w.out; q += LAST_PIXELS) {
            const real *at[3 * LAST_SPAN];
            const ptrdiff_t count = g->w.out - q < LAST_PIXELS ? g->w.out - q : LAST_PIXELS;
            for (ptrdiff_t r = 0; r < 3; r++)
                for (ptrdiff_t j = 0; j < (count - 1) * stride + 3; j++) {
                    const ptrdiff_t h = p * stride + r - g->h.pad, i = q * stride + j - g->w.pad;
                    const int inside = h >= 0 && h < g->h.in && i >= 0 && i < g->w.in;
                    at[r * LAST_SPAN + j] =
                        inside ? x + h * g->h.x_stride + i * g->w.x_stride : zeros;
                }
            real *to = y + p * g->h.y_stride + q * g->w.y_stride;
            if (count == LAST_PIXELS)
                last_channels(stride, LAST_PIXELS, at, w, channels, to, g->w.y_stride, e);
            else
                for (ptrdiff_t k = 0; k < count; k++)
                    last_pixel(at + k * stride, w, channels, to + k * g->w.y_stride, e);
        }
}

static void last_depthwise(const geometry_t *g, ptrdiff_t channels, const void *x, const void *w,
                           const void *zeros, void *y, const epilogue_t *e, ptrdiff_t p0,
                           ptrdiff_t p1) {
    if (g->w.stride == 1)
        last_depthwise3(1, g, channels, x, w, zeros, y, e, p0, p1);
    else
        last_depthwise3(2, g, channels, x, w, zeros, y, e, p0, p1);
}
