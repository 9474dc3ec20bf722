/* Filters of images: a CHAIN of stages over one plane, tile by tile, each from its top down.
 *
 * A plane is rows x columns pixels of `step` elements each (its interleaved channels). A stage
 * makes, of every cell, a weighted sum of the cells around it, or the sum of a box of them; the
 * next stage filters what it gives. Branches are several chains over the same plane, whose results
 * are written one by one, or added up, or taken as the components of a gradient.
 *
 *      image                 tile, with what lies around it           cells of the result
 *     (any type) -- load --> (`real`)  -- stage -- stage -- finish -- store --> (any type)
 *
 * A band of a few rows goes through all stages while it is in the cache; those that the next band
 * reads too stay. What the stages need beyond the image's border is loaded with it, through the
 * border mode's map of indices: no larger image is made. Between two stages cells are rounded to
 * the type `between`, and outside the image hold `constant` again where that is the border mode.
 *
 * Some chains need no tile of `real`s: one that begins down the rows, or has one stage, reads rows
 * of `real`s where they lie (sweep_body.h, in_place_body.h); bytes and weights that are whole
 * numbers are summed as such (bytes_body.h, words_body.h).
 *
 * How an image is divided into tiles never changes a bit of its result. */
#ifndef CYCONV_CHAIN_H
#define CYCONV_CHAIN_H
#include <stddef.h>

typedef enum {
    CYCONV_U8,
    CYCONV_I8,
    CYCONV_U16,
    CYCONV_I16,
    CYCONV_U32,
    CYCONV_I32,
    CYCONV_U64,
    CYCONV_I64,
    CYCONV_F32,
    CYCONV_F64
} storage_t; /* clang-format off would hide the order, which kernels.pxd shares */

/* SciPy's names; cyconv.lowering.borders draws them. */
typedef enum {
    CYCONV_REFLECT,
    CYCONV_MIRROR,
    CYCONV_NEAREST,
    CYCONV_WRAP,
    CYCONV_CONSTANT
} border_mode_t;

/* The cell of n that stands at position i; -1 where that is the constant. */
static inline ptrdiff_t border_source(border_mode_t mode, ptrdiff_t i, ptrdiff_t n) {
    ptrdiff_t period = mode == CYCONV_REFLECT ? 2 * n : mode == CYCONV_MIRROR ? 2 * n - 2 : n;
    if (i >= 0 && i < n) return i;
    if (mode == CYCONV_CONSTANT) return -1;
    if (mode == CYCONV_NEAREST) return i < 0 ? 0 : n - 1;
    if (period < 1) return 0;
    if (i < -period || i >= 2 * period) i %= period; /* a division: rarely */
    i += i < 0 ? period : i >= period ? -period : 0;
    return i < n ? i : (mode == CYCONV_REFLECT ? 2 * n - 1 : 2 * n - 2) - i;
}

/* out[p] = (sum_t w[t] * (in[p + at[t]] + sign * in[p + mirrored[t]])) / divisor
 *
 * summed in the order of t. `pairs` is the sign, of the terms after the first; the first, and all
 * where pairs is 0, have one cell. In f64 each product is rounded before it is added, so that the
 * sum is the one that plain C makes of this formula; in f32 they are fused.
 *
 * A kernel of all up + below + 1 rows and left + right + 1 columns, none of whose taps is left out,
 * is `dense`: its terms are as it lies, and its sum begins with 0.
 *
 * A box of n pixels instead, where `box` is n: down the rows (`down`) or along them. The sums of a
 * window depend on where the plane's cell stands, never on the cells outside the window. */
typedef struct {
    ptrdiff_t up, below, left, right; /* rows and columns that the stage reads around a cell */
    int pairs, dense;
    ptrdiff_t terms;
    const void *w;                  /* `real`s */
    const ptrdiff_t *at, *mirrored; /* elements of a tile from a cell */
    ptrdiff_t box;
    int down;
    double divisor, factor; /* of the sums; the factor of a box's whose divisor is 1 */
} stage_t;

enum { CYCONV_BRANCHES = 3, CYCONV_STAGES = 2 };

/* EACH: branch b is written to y + b * y_branch. SUM: the branches are added, each sum rounded to
 * `between`. LENGTH: the square root of the sum of squares, each step rounded so. HYPOT: the same
 * of two branches, in `real`, without overflow. */
typedef enum { CYCONV_EACH, CYCONV_SUM, CYCONV_LENGTH, CYCONV_HYPOT } finish_t;

typedef struct {
    storage_t source, between, target;
    int saturate; /* integers: rounded to nearest and clipped; else truncated and wrapped, as C */
    ptrdiff_t rows, columns, step;
    ptrdiff_t x_row, y_row, y_branch; /* bytes; the cells of a row are neighbours */
    border_mode_t row_border, column_border;
    double constant;
    finish_t finish;
    int branches, stages[CYCONV_BRANCHES];
    stage_t stage[CYCONV_BRANCHES][CYCONV_STAGES];
    ptrdiff_t up, below, left, right; /* of a tile: the most that a branch reads */
    ptrdiff_t pitch;                  /* elements of a tile from row to row */
    /* In the stead of the branches, where box_rows is not 0: the sums of boxes of bytes of so many
     * rows and columns, over a divisor, in f32. At most 257 rows, and 2^31 / 2^16 columns; what
     * lies outside is 0, if it is a constant; left and right are what the box reads. */
    ptrdiff_t box_rows, box_columns, box_up, box_left;
    double box_divisor;
} chain_t;

typedef struct chains {
    int itemsize, lanes;
    /* Elements of scratch for a tile of any rows. The pitch holds a tile's columns and what lies
     * around them, in whole vectors, and CYCONV_SPARE elements more. */
    ptrdiff_t (*scratch)(const chain_t *c);
    /* Cells [row0, row1) x [column0, column1) of the result. No element outside the plane is read
     * or written. */
    void (*tile)(const chain_t *c, const char *x, char *y, ptrdiff_t row0, ptrdiff_t row1,
                 ptrdiff_t column0, ptrdiff_t column1, void *scratch);
} chains_t; /* of one instruction set, by kernel_table.h */

enum { CYCONV_SPARE = 64 };
#endif
