/* What every kernel knows of a problem: sizes and element strides, filled once from a validated
 * Problem. The last two spatial axes are the plane (H, W) -> (P, Q); the axes before them are
 * "outer". A slab is one image, one group and one outer output position: its sum runs over
 *
 *     D = C * prod(outer kernel)
 *
 * planes, so that a 3-D convolution is a 2-D one with D planes instead of C, and the weights of one
 * group are a plain (K, D, R, S) array. A plane that lies in the zero padding is NULL. */
#ifndef CYCONV_GEOMETRY_H
#define CYCONV_GEOMETRY_H
#include <stddef.h>

enum { CYCONV_MAX_OUTER = 6 };

/* What a cell of x or y is in memory: a `real`, or 16 bits where `real` is f32. */
enum { CYCONV_REAL, CYCONV_F16, CYCONV_BF16 };

typedef struct {
    ptrdiff_t in, out, kernel, stride, pad, dilation; /* pad: zeros before the first element */
    ptrdiff_t x_stride, y_stride;                     /* elements */
} axis_t;

typedef struct {
    ptrdiff_t N, G, C, K; /* images, groups; channels and filters of one group */
    ptrdiff_t D;          /* planes of one slab */
    ptrdiff_t slabs;      /* N * G * prod(outer output) */
    ptrdiff_t outer_rank;
    axis_t outer[CYCONV_MAX_OUTER], h, w;
    ptrdiff_t x_n, x_c, y_n, y_k; /* element strides of images, channels and filters */
    int x_cells, y_cells;
} geometry_t;

/* Where slab `index` lies: fills planes[0..D) with pointers into x, returns the element offset of
 * its first output and its group. */
static inline ptrdiff_t geometry_slab(const geometry_t *g, ptrdiff_t index, const char *x,
                                      ptrdiff_t itemsize, const char **planes, ptrdiff_t *group) {
    ptrdiff_t position[CYCONV_MAX_OUTER], y = 0, taps = 1;
    for (ptrdiff_t a = g->outer_rank - 1; a >= 0; a--) {
        position[a] = index % g->outer[a].out;
        index /= g->outer[a].out;
        y += position[a] * g->outer[a].y_stride;
        taps *= g->outer[a].kernel;
    }
    const ptrdiff_t n = index / g->G;
    *group = index % g->G;
    for (ptrdiff_t t = 0; t < taps; t++) {
        ptrdiff_t rest = t, offset = n * g->x_n + *group * g->C * g->x_c;
        int inside = 1;
        for (ptrdiff_t a = g->outer_rank - 1; a >= 0; a--) {
            const axis_t *o = &g->outer[a];
            const ptrdiff_t i = position[a] * o->stride + rest % o->kernel * o->dilation - o->pad;
            rest /= o->kernel;
            inside &= i >= 0 && i < o->in;
            offset += i * o->x_stride;
        }
        for (ptrdiff_t c = 0; c < g->C; c++)
            planes[c * taps + t] = inside ? x + (offset + c * g->x_c) * itemsize : NULL;
    }
    return y + n * g->y_n + *group * g->K * g->y_k;
}

/* The outputs o in [*begin, *end) of `count` whose tap o * stride + shift lies in [0, in). */
static inline void valid_range(ptrdiff_t shift, ptrdiff_t stride, ptrdiff_t in, ptrdiff_t count,
                               ptrdiff_t *begin, ptrdiff_t *end) {
    ptrdiff_t lo = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    ptrdiff_t hi = in - shift <= 0 ? 0 : (in - shift + stride - 1) / stride;
    lo = lo < count ? lo : count;
    hi = hi < count ? hi : count;
    *begin = lo;
    *end = hi > lo ? hi : lo;
}
#endif
