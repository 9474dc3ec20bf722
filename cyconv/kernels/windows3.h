/* Rows of windows of 3 columns, read from an image itself: what image3_body.h and gradient3_body.h
 * share. Columns of the border are made zeros: shifted in, or masked where the row is narrower than
 * a vector. No element outside the row is read, unless it is narrow. */
#ifndef CYCONV_WINDOWS3_H
#define CYCONV_WINDOWS3_H
#include "halves.h"

/* Which columns of a vector of windows are in the border; of one in a NARROW row, any may be. */
enum { INNER = 0, LEFT = 1, RIGHT = 2, NARROW = 4 };

/* Cells of a narrow row that are read, from its first window on. */
enum { NARROW_READS = 2 * LANES + 1 };

/* Whether windows are in the order of `halves`, not in that of the outputs. */
INLINE int windows_halved(const int cells, const int stride) {
    return stride == 2 && cells != CYCONV_BF16;
}

/* tap[s] = x[q * stride + s], s < 3, in the lanes q; x counts cells. */
INLINE void windows(const int cells, const int stride, const int edges, const lane_mask *inside,
                    const void *x, vec *tap) {
#define AT(i) load_cells_at(cells, cell_at(cells, x, i))
    const vec zero = {0};
    if (windows_halved(cells, stride) || stride == 1 || edges == (LEFT | RIGHT)) {
        const vec b = AT(1), a = edges & LEFT ? shift_up(zero, b) : AT(0);
        if (stride == 1) {
            tap[0] = a, tap[1] = b;
            tap[2] = edges & RIGHT ? shift_down(b, zero) : AT(2);
        } else {
            const vec c = AT(LANES), d = edges & RIGHT ? shift_down(c, zero) : AT(LANES + 1);
            tap[0] = evens_halves(a, c), tap[1] = evens_halves(b, d), tap[2] = odds_halves(b, d);
            for (int s = 0; s < 3 && !windows_halved(cells, stride); s++) tap[s] = ordered(tap[s]);
        }
    } else if (edges & RIGHT) {
        tap[0] = even_bf16(x), tap[1] = odd_bf16(x), tap[2] = shift_down(tap[0], zero);
    } else {
        const void *next = cell_at(cells, x, 1);
        tap[1] = even_bf16(next), tap[2] = odd_bf16(next);
        tap[0] = edges & LEFT ? shift_up(zero, tap[2]) : even_bf16(x);
    }
#undef AT
    if (edges & NARROW) {
        tap[0] = (vec)((lane_mask)tap[0] & inside[0]);
        tap[2] = (vec)((lane_mask)tap[2] & inside[2]);
    }
}

/* Windows of bf16 with stride 1, of outputs at even places, then at odd ones: in lane q
 *
 *     x[2q], x[2q + 1], x[2q + 2]    and    x[2q + 1], x[2q + 2], x[2q + 3]
 *
 * which are tap[0..2] and tap[1..3]. */
INLINE void windows_pair(const int edges, const void *x, vec *tap) {
    const vec zero = {0};
    const void *next = cell_at(CYCONV_BF16, x, 1);
    tap[1] = even_bf16(next), tap[2] = odd_bf16(next);
    tap[0] = edges & LEFT ? shift_up(zero, tap[2]) : even_bf16(x);
    tap[3] = edges & RIGHT ? shift_down(tap[1], zero) : odd_bf16(cell_at(CYCONV_BF16, x, 2));
}

/* For the last vector of `count` windows, in the order that windows() has: lanes[0] of those that
 * the vector before it does not hold; inside[s] of those whose tap s is in the image, too. */
INLINE void windows_masks(const axis_t *w, const int halved, ptrdiff_t stride, ptrdiff_t count,
                          lane_mask *inside, lane_mask *lanes) {
    real places[LANES];
    for (int l = 0; l < LANES; l++) places[l] = (real)l;
    const vec place = halved ? ordered(load(places)) : load(places);
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

/* The cells that a set of rows lies in: [begin, end). */
typedef struct {
    const char *begin, *end;
} span_t;

INLINE void span_axis(span_t *all, ptrdiff_t size, ptrdiff_t stride, ptrdiff_t bytes) {
    *(stride < 0 ? &all->begin : &all->end) += (size - 1) * stride * bytes;
}

INLINE span_t span_of(const geometry_t *g, const void *x) {
    const ptrdiff_t bytes = cell_bytes(g->x_cells);
    span_t all = {x, (const char *)x + bytes};
    span_axis(&all, g->N, g->x_n, bytes);
    span_axis(&all, g->G * g->C, g->x_c, bytes);
    for (ptrdiff_t a = 0; a < g->outer_rank; a++)
        span_axis(&all, g->outer[a].in, g->outer[a].x_stride, bytes);
    span_axis(&all, g->h.in, g->h.x_stride, bytes);
    span_axis(&all, g->w.in, g->w.x_stride, bytes);
    return all;
}

/* `rows` rows of n cells, of which `reads` are read from `before` the first: the plane itself,
 * or a copy where cells are not neighbours, or that may be outside the span. */
INLINE const void *readable(const int cells, span_t all, const void *plane, ptrdiff_t *row,
                            ptrdiff_t rows, ptrdiff_t step, ptrdiff_t n, ptrdiff_t before,
                            ptrdiff_t reads, void *copy) {
    const ptrdiff_t down = (rows - 1) * *row, pitch = reads > n + before ? reads : n + before;
    const char *low = cell_at(cells, plane, (down < 0 ? down : 0) - before);
    const char *high = cell_at(cells, plane, (down < 0 ? 0 : down) - before + reads);
    if (rows == 0 || (step == 1 && low >= all.begin && high <= all.end)) return plane;
    char *to = copy;
    for (ptrdiff_t h = 0; h < rows; h++, to += pitch * cell_bytes(cells)) {
        const void *from = cell_at(cells, plane, h * *row);
        if (cells == CYCONV_REAL) {
            zero_row((real *)to, pitch);
            copy_row((real *)to + before, from, step, n);
        } else {
            memset(to, 0, (size_t)(pitch * cell_bytes(cells)));
            for (ptrdiff_t j = 0; j < n; j++)
                ((half_t *)to)[before + j] = ((const half_t *)from)[j * step];
        }
    }
    *row = pitch;
    return cell_at(cells, copy, before);
}
#endif
