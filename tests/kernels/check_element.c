/* The checks of one element type; built once with each -DELEMENT_<type>, as the kernels are.
 *
 * Floats are small integers, so that every sum is exact and may be compared bit by bit; where a
 * kernel multiplies by fractions a tolerance is derived. Integers take all values, and wrap. */
#include "check.h"
#include <math.h>
#include <string.h>

#if defined(ELEMENT_f32)
typedef float real;
#define CHECK check_f32
#define EPSILON 0x1p-23
#elif defined(ELEMENT_f64)
typedef double real;
#define CHECK check_f64
#define EPSILON 0x1p-52
#elif defined(ELEMENT_u32)
typedef uint32_t real;
#define CHECK check_u32
#else
typedef uint64_t real;
#define CHECK check_u64
#endif
#if defined(ELEMENT_f32) || defined(ELEMENT_f64)
#define FLOATS 1
#else
#define FLOATS 0
#endif

enum { INPUT, WEIGHTS, GOT, WANT, OTHER, RESIDUAL }; /* slots */

/* Whole numbers in [-limit, limit], or any integer. */
static real small(ptrdiff_t limit) {
    return FLOATS ? (real)between(-limit, limit) : (real)random_bits();
}

static real *buffer(int slot, ptrdiff_t n) { return guarded(slot, n * (ptrdiff_t)sizeof(real)); }

static real *random_buffer(int slot, ptrdiff_t n) {
    real *at = buffer(slot, n);
    for (ptrdiff_t i = 0; i < n; i++) at[i] = small(4);
    return at;
}

/* Every byte of the two buffers and their margins. */
static void compare(const real *got, const real *want, ptrdiff_t n) {
    const ptrdiff_t margin = MARGIN / (ptrdiff_t)sizeof(real);
    for (ptrdiff_t i = -margin; i < n; i++)
        if (memcmp(got + i, want + i, sizeof(real)))
            fail("element %td of %td is %.17g, not %.17g", i, n, (double)got[i], (double)want[i]);
}

/* n elements that the contract leaves open. */
static void leave_open(const real *got, real *want, ptrdiff_t n) {
    memcpy(want, got, (size_t)n * sizeof(real));
}

/* One of: nothing, a bias, clamp bounds (of floats), or both. */
static const epilogue_t *random_epilogue(epilogue_t *e, real *bias, ptrdiff_t rows) {
    for (ptrdiff_t i = 0; i < rows; i++) bias[i] = small(4);
    *e = (epilogue_t){.bias = between(0, 2) ? bias : NULL,
                      .low = between(0, 1) ? -3 : -INFINITY,
                      .high = between(0, 1) ? 6 : INFINITY,
                      .clamp = FLOATS && between(0, 1)};
    return between(0, 2) ? e : NULL;
}

/* Perhaps a residual too, of n results at y. */
static void random_residual(epilogue_t *e, const real *y, ptrdiff_t n) {
    if (between(0, 1)) e->add = random_buffer(RESIDUAL, n), e->y = y;
}

/* The result at y[at]. */
static real finished(real sum, const epilogue_t *e, ptrdiff_t row, ptrdiff_t at) {
    if (!e) return sum;
    if (e->bias) sum += ((const real *)e->bias)[row];
    if (e->add) sum += ((const real *)e->add)[at];
    if (FLOATS && e->clamp) sum = (real)fmax(fmin((double)sum, e->high), e->low);
    return sum;
}

/* Planes of an axis_t pair's sizes and strides, which may be negative. */
enum { MAX_PLANES = 4 };

static void random_image(geometry_t *g, ptrdiff_t count, int with_null, const char **planes) {
    static const ptrdiff_t steps[] = {1, 1, 1, 2, 3, -1, -2};
    const ptrdiff_t step = steps[between(0, 6)], across = step < 0 ? -step : step;
    const ptrdiff_t down = g->w.in * across + between(0, 1) * between(0, 9);
    g->w.x_stride = step;
    g->h.x_stride = between(0, 5) ? down : -down;
    const ptrdiff_t size = (g->h.in - 1) * down + (g->w.in - 1) * across + 1;
    real *at = random_buffer(INPUT, count * size);
    if (step < 0) at += (g->w.in - 1) * across;
    if (g->h.x_stride < 0) at += (g->h.in - 1) * down;
    for (ptrdiff_t d = 0; d < count; d++)
        planes[d] = with_null && !between(0, 4) ? NULL : (const char *)(at + d * size);
}

static real pixel(const geometry_t *g, const char *plane, ptrdiff_t h, ptrdiff_t w) {
    if (!plane || h < 0 || h >= g->h.in || w < 0 || w >= g->w.in) return 0;
    return ((const real *)plane)[h * g->h.x_stride + w * g->w.x_stride];
}

#include "images.h"
#include "pixels.h"
#include "products.h"
#include "winograd.h"
#ifdef ELEMENT_f32
#include "cells.h"
#endif

void CHECK(const kernels_t *k) {
    if (k->itemsize != sizeof(real) || k->lanes < 1 || k->nr % k->lanes)
        fail("itemsize %d, lanes %d, nr %d", k->itemsize, k->lanes, k->nr);
    check_pack_filters(k);
    check_pack_scattered(k);
    check_multiply(k);
    check_filters_in_lanes(k);
    check_stencil(k);
    check_stencil_pair(k);
    check_order(k);
    check_image3(k);
    check_in_lanes(k);
    check_gradient3(k);
    check_fill_strip(k);
    check_gather(k);
    check_patches(k);
    check_store_pixels(k);
    check_interleave(k);
    check_winograd(k);
#ifdef ELEMENT_f32
    check_widen(k);
    check_finish_rows(k);
    check_depthwise_cells(k);
#endif
}
