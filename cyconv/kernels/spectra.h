/* Products of spectra: correlation of tiles by Fourier transforms of their own, and a look at how
 * widely the sizes of real numbers are spread. */
#ifndef CYCONV_SPECTRA_H
#define CYCONV_SPECTRA_H
#include "chain.h"
#include <stddef.h>

enum { CYCONV_RUN = 16 };

/* Of sizes: the largest, infinite if a number is not finite; the least that is not zero; the least
 * of the largest of each CYCONV_RUN neighbours that are not all zero. */
typedef struct {
    double largest, least, least_run;
} spread_t;

/* A complex tile of outer x rows x columns points holds two real ones, a + i b: the weights are
 * real, so w * (a + i b) = w * a + i (w * b), and no spectrum is taken apart.
 *
 *     plane[o][r]: a row of a, then one of b, of `pitch` elements each
 *
 * Rows are transformed after columns, in groups of as many as a vector has lanes, and back before
 * them. A folded tile is one line of rows * columns points (outer = 1), whose transform takes that
 * of columns, the turns w_N^(row * column), and that of rows [1].
 *
 * Lengths are those that `length` lets pass; rows and columns are multiples of the lanes.
 *
 * [1] W. M. Gentleman, G. Sande, Fast Fourier transforms: for fun and profit, 1966. */
typedef struct {
    ptrdiff_t outer, rows, columns, pitch, channels, filters;
    int folded;
    const void *outer_roots, *row_roots, *column_roots, *turns; /* by the `fill_` functions */
} tile_t;

/* The cells [begin, end) of a tile, along each axis, that an image of `type` holds; those of a
 * folded tile along the last. x is the cell at `begin`; steps are in elements.
 *
 * Of the others those of [0, held) are the image's border: cell 0 is at position `place` of `size`,
 * of a folded tile along the last axis too. What is not held is zero. */
typedef struct {
    ptrdiff_t begin[3], end[3], step[3];
    const void *x;
    storage_t type;
    border_mode_t border;
    ptrdiff_t held[3], place[3], size[3];
    double constant;
} tile_source_t;

/* Every stride[i]-th of a tile's results along each axis, count[i] of them, and where they go, as
 * cells of `type`; integers are truncated, or rounded and clipped to `saturate`. */
typedef struct {
    ptrdiff_t count[3], stride[3], step[3];
    void *y;
    storage_t type;
    int saturate;
} tile_target_t;

typedef struct {
    int itemsize, lanes;
    /* Whether columns of n points can be transformed. */
    int (*length)(ptrdiff_t n);
    /* The roots that a transform of n needs, if w is not NULL; how many numbers. */
    ptrdiff_t (*fill_roots)(ptrdiff_t n, void *w);
    /* 2 * rows * columns numbers. */
    void (*fill_turns)(ptrdiff_t rows, ptrdiff_t columns, void *turns);
    /* Elements of a plane, and of scratch for `correlate` and for `transform`. */
    ptrdiff_t (*plane)(const tile_t *t);
    ptrdiff_t (*scratch)(const tile_t *t);
    /* The spread of a tile's cells, merged with what is there. */
    void (*look)(const tile_t *t, const tile_source_t *s, int least, spread_t *found);
    /* Tile a (half 0) or b (1) of a plane. */
    void (*load)(const tile_t *t, const tile_source_t *s, int half, void *plane);
    void (*store)(const tile_t *t, const tile_target_t *s, int half, const void *plane);
    /* The spectrum of weights, as `correlate` reads it: from a plane that has them as tile a and
     * zeros as tile b, which is used up. 2 * outer * rows * columns numbers. */
    void (*transform)(const tile_t *t, void *plane, void *spectrum, void *scratch);
    /* planes[channels ...]: of the filters, the sums over channels of correlations with the
     * weights of spectra[filter][channel]. If there is one of each they lie where it lay, else
     * behind those of the channels. The tiles have changed places: a is half 1. */
    void (*correlate)(const tile_t *t, void *planes, const void *spectra, void *scratch);
    /* That of a row of n numbers, merged with what is there; the least only if asked for. */
    void (*spread)(ptrdiff_t n, const void *x, int least, spread_t *found);
} spectra_t;

const spectra_t *spectra_table(const char *isa, int itemsize); /* dispatch.c; NULL: none */
#endif
