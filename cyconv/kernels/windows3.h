/* Rows of windows of 3 columns, read from an image itself: what image3_body.h and gradient3_body.h
 * share. Columns of the border are made zeros: shifted in, or masked where the row is narrower than
 * a vector. No element outside the row is read, unless it is narrow. */
#ifndef CYCONV_WINDOWS3_H
#define CYCONV_WINDOWS3_H
#include "geometry.h"
#include "simd.h"

/* Which columns of a vector of windows are in the border; of one in a NARROW row, any may be. */
enum { INNER = 0, LEFT = 1, RIGHT = 2, NARROW = 4 };

/* Elements of a narrow row that are read, from its first window on. */
enum { NARROW_READS = 2 * LANES + 1 };

/* tap[s] = x[q * stride + s], s < 3, in the lanes q; for stride 2 in the order of `halves`. */
INLINE void windows(const int stride, const int edges, const lane_mask *inside, const real *x,
                    vec *tap) {
    const vec zero = {0};
    const vec b = load(x + 1), a = edges & LEFT ? shift_up(zero, b) : load(x);
    if (stride == 1) {
        tap[0] = a, tap[1] = b;
        tap[2] = edges & RIGHT ? shift_down(b, zero) : load(x + 2);
    } else {
        const vec c = load(x + LANES);
        const vec d = edges & RIGHT ? shift_down(c, zero) : load(x + LANES + 1);
        tap[0] = evens_halves(a, c), tap[1] = evens_halves(b, d), tap[2] = odds_halves(b, d);
    }
    if (edges & NARROW) {
        tap[0] = (vec)((lane_mask)tap[0] & inside[0]);
        tap[2] = (vec)((lane_mask)tap[2] & inside[2]);
    }
}

/* For the last vector of `count` windows, in the order that windows() has: lanes[0] of those that
 * the vector before it does not hold; inside[s] of those whose tap s is in the image, too. */
INLINE void windows_masks(const axis_t *w, ptrdiff_t stride, ptrdiff_t count, lane_mask *inside,
                          lane_mask *lanes) {
    real places[LANES];
    for (int l = 0; l < LANES; l++) places[l] = (real)l;
    const vec place = stride == 1 ? load(places) : ordered(load(places));
    const ptrdiff_t first = count < LANES ? 0 : count - LANES, held = count / LANES * LANES;
    for (int l = 0; l < LANES; l++) {
        const ptrdiff_t q = first + (ptrdiff_t)place[l];
        const int one = q >= (count < LANES ? 0 : held) && q < count;
        (*lanes)[l] = one ? -1 : 0;
        for (int s = 0; s < 3; s++) {
            const ptrdiff_t column = q * stride + s - w->pad;
            inside[s][l] = one && column >= 0 && column < w->in ? -1 : 0;
        }
    }
}

/* Whether `count` windows along a row can be read: at most one column of zeros on each side. */
INLINE int windows_fit(const axis_t *w, ptrdiff_t stride, ptrdiff_t count) {
    return (stride == 1 || stride == 2) && w->pad >= 0 && w->pad <= 1 &&
           (count - 1) * stride + 2 - w->pad <= w->in;
}

/* Edges of the v vectors at outputs [q, q + n) of `count`. */
INLINE int windows_edges(const axis_t *w, ptrdiff_t stride, ptrdiff_t count, ptrdiff_t q,
                         ptrdiff_t n) {
    const int right = q + n == count && (count - 1) * stride + 2 - w->pad == w->in;
    return (q == 0 && w->pad ? LEFT : INNER) | (right ? RIGHT : INNER);
}

/* The elements that a set of rows lies in: [begin, end). */
typedef struct {
    const real *begin, *end;
} span_t;

INLINE void span_axis(span_t *all, ptrdiff_t size, ptrdiff_t stride) {
    *(stride < 0 ? &all->begin : &all->end) += (size - 1) * stride;
}

INLINE span_t span_of(const geometry_t *g, const real *x) {
    span_t all = {x, x + 1};
    span_axis(&all, g->N, g->x_n);
    span_axis(&all, g->G * g->C, g->x_c);
    for (ptrdiff_t a = 0; a < g->outer_rank; a++)
        span_axis(&all, g->outer[a].in, g->outer[a].x_stride);
    span_axis(&all, g->h.in, g->h.x_stride);
    span_axis(&all, g->w.in, g->w.x_stride);
    return all;
}

/* `rows` rows of n elements, of which `reads` are read from `before` the first: the plane itself,
 * or a copy where elements are not neighbours, or that may be outside the span. */
INLINE const real *readable(span_t all, const real *plane, ptrdiff_t *row, ptrdiff_t rows,
                            ptrdiff_t step, ptrdiff_t n, ptrdiff_t before, ptrdiff_t reads,
                            real *copy) {
    const ptrdiff_t down = (rows - 1) * *row, pitch = reads > n + before ? reads : n + before;
    const real *low = plane + (down < 0 ? down : 0) - before;
    const real *high = plane + (down < 0 ? 0 : down) - before + reads;
    if (rows == 0 || (step == 1 && low >= all.begin && high <= all.end)) return plane;
    for (ptrdiff_t h = 0; h < rows; h++, copy += pitch, plane += *row) {
        zero_row(copy, pitch);
        copy_row(copy + before, plane, step, n);
    }
    *row = pitch;
    return copy - rows * pitch + before;
}
#endif
