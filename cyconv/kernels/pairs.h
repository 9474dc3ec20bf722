/* Products of 16-bit integers, two at a time: THE PAIR.
 *
 * An element of a strip, of a panel and of packed weights is two neighbouring terms of a sum, each
 * of 16 bits, the first in the low half. One instruction multiplies them all and adds up each pair:
 *
 *     (a1, a0) . (b1, b0) = a0 b0 + a1 b1      in 32 bits, modulo 2^32
 *
 * so that `multiply` on pairs is exact and meets half the taps of one of 32-bit elements. The terms
 * of a pair are the same tap of two neighbouring planes, or two neighbouring taps of one row.
 *
 * Pixels and weights are stored in 8 or 16 bits and widened as they are copied into strips, less
 * what stands for zero. */
#ifndef CYCONV_PAIRS_H
#define CYCONV_PAIRS_H
#include "chain.h"
#include "kernel_table.h"
#include <stdint.h>

/* Stored pixels: u8, i8 or i16, less `zero`, which 16 bits hold. `next` is 0 where a pair's second
 * term is of the next plane, else how many columns it lies to the right of the first. */
typedef struct {
    storage_t type;
    int zero;
    ptrdiff_t next;
} pair_source_t;

/* y = clip(round((sum + bias) * factor) + zero), in float32, halves to even; `bias` and `factor`
 * have a value per filter, `bias` may be NULL. y is of u8, i8 or i16. */
typedef struct {
    storage_t type;
    const int32_t *bias;
    const float *factor;
    int zero;
} pair_target_t;

/* How the rows of a plane are copied for `plane`: see pairs_plane_body.h. */
typedef struct {
    ptrdiff_t zeros, first, pixels; /* before a row; its first pixel that is seen, how many are */
    ptrdiff_t pitch, phase;
    ptrdiff_t outputs; /* from one row of outputs to the next */
    ptrdiff_t cells;   /* of the whole copy */
} plane_t;

struct pairs {
    ptrdiff_t lanes; /* pairs of a vector */
    /* As in kernels_t of u32, but for the product. */
    void (*multiply)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A, const void *B,
                     ptrdiff_t ldb, ptrdiff_t b_panel, const ptrdiff_t *offset, void *C,
                     ptrdiff_t c_row, ptrdiff_t c_column, int accumulate, const epilogue_t *e);
    /* As fill_strip of kernels_t, of `count` pairs of planes, or planes. g and `planes` are those
     * of the stored pixels; `rows` is room for pair_row_bytes. No pixel outside is read. */
    void (*fill)(const geometry_t *g, const strip_t *s, const pair_source_t *from,
                 const char *const *planes, ptrdiff_t count, ptrdiff_t p0, ptrdiff_t q0, void *rows,
                 void *strip);
    /* Whether `plane` takes these sizes: filters of one plane, stride 1 or 2 along a row, and pairs
     * beside each other. The taps of a pair must be neighbours too. */
    int (*plane_fits)(const geometry_t *g);
    /* The stored pixels that `rows` rows of outputs from p0 on see; room for l->cells of 16 bits.
     * No pixel outside the plane is read. */
    void (*plane_copy)(const geometry_t *g, const plane_t *l, const pair_source_t *from,
                       const char *plane, ptrdiff_t p0, ptrdiff_t rows, void *copy);
    /* These rows of one filter at out[p * l->outputs + q], and up to two vectors past their end:
     * sums, or where there is a target numbers of its type. w holds g->w.kernel pairs of taps for
     * each row of the kernel. Any number of filters may see one copy. */
    void (*plane)(const geometry_t *g, const plane_t *l, const void *copy, const void *w,
                  ptrdiff_t rows, const pair_target_t *to, ptrdiff_t filter, void *out);
    /* Those numbers to rows of y. */
    void (*plane_store)(const geometry_t *g, const plane_t *l, storage_t type, const void *cells,
                        ptrdiff_t rows, void *y);
    /* Whether `in_lanes` takes these sizes: filters of one plane, rows of the kernel that follow
     * each other, as many channels as a vector has lanes. */
    int (*lanes_fit)(const geometry_t *g);
    size_t (*lanes_scratch)(const geometry_t *g);
    /* The outputs of `count` channels, as many as lanes or fewer, whose planes of pixels begin at x
     * and of outputs at y; planes lie without gaps. As `plane` and `plane_store`, or through the
     * epilogue where there is no target. w: see pairs_lanes_body.h. */
    void (*in_lanes)(const geometry_t *g, const pair_source_t *from, const char *x, ptrdiff_t count,
                     const void *w, const pair_target_t *to, const epilogue_t *e, ptrdiff_t filter,
                     char *y, void *scratch);
    /* Winograd F(2 x 2, 3 x 3). V[xi][t] = (B^T x B)[xi] of `tiles` neighbouring tiles of one pair
     * of planes, a row of tiles from four rows of a strip of two column phases, `odd` elements
     * apart; writes up to a vector past t = tiles. Of pixels of 9 bits and a sign V has 11. */
    void (*winograd_input)(const void *const *rows, ptrdiff_t odd, ptrdiff_t tiles, void *V,
                           ptrdiff_t xi_stride);
    /* The two rows of sums (A^T M A) / 4 of those tiles, where M is of weights 4 G g G^T; writes up
     * to two vectors past their ends. */
    void (*winograd_output)(const void *M, ptrdiff_t xi_stride, ptrdiff_t tiles, void *upper,
                            void *lower);
    /* y[j * step] = the sum through the epilogue, for n outputs of one filter. */
    void (*finish)(const epilogue_t *e, ptrdiff_t filter, ptrdiff_t n, const void *sums, void *y,
                   ptrdiff_t step);
    /* n outputs of one filter: y[j * step]. Up to two vectors past the sums' end are read. */
    void (*store)(const pair_target_t *to, ptrdiff_t filter, ptrdiff_t n, const void *sums, void *y,
                  ptrdiff_t step);
};

/* Pixels of a row that the strip's rows see. */
static inline ptrdiff_t pair_row_width(const geometry_t *g, const strip_t *s) {
    return (s->pitch - 1) * g->w.stride + s->column_phase[s->column_phases - 1] + 1;
}

/* Rows of the plane, from the first to the last, for `rows` rows of outputs. */
static inline ptrdiff_t plane_rows(const geometry_t *g, ptrdiff_t rows) {
    return (rows - 1) * g->h.stride + (g->h.kernel - 1) * g->h.dilation + 1;
}

/* For at most `rows` rows of outputs of kernels with `taps` taps in a row: a row of the copy holds
 * the pixels that are seen, at least as many zeros after them as are seen, or before the next
 * row's, and a place for each output. The partner of an odd number's last tap weighs 0. */
static inline plane_t plane_layout(const geometry_t *g, ptrdiff_t taps, ptrdiff_t rows) {
    const ptrdiff_t stride = g->w.stride, pad = g->w.pad;
    const ptrdiff_t seen = (g->w.out - 1) * stride + taps;
    const ptrdiff_t wide = g->w.out * stride;
    plane_t l = {.zeros = pad > 0 ? pad : 0, .first = pad < 0 ? -pad : 0};
    const ptrdiff_t inside = g->w.in - l.first, most = seen - l.zeros;
    l.pixels = inside < most ? inside : most;
    if (l.pixels < 0) l.pixels = 0;
    l.pitch = l.zeros + l.pixels > most ? l.zeros + l.pixels : most;
    if (l.pitch < wide) l.pitch = wide;
    l.outputs = (l.pitch + stride - 1) / stride;
    l.pitch = l.outputs * stride;
    l.phase = (plane_rows(g, rows) + g->h.stride - 1) / g->h.stride * l.pitch;
    l.cells = g->h.stride * l.phase + l.zeros + taps + 128;
    return l;
}

enum { CYCONV_PAIR_SLACK = 32 }; /* elements past a widened row that may be read and written */

static inline ptrdiff_t pair_row_bytes(const geometry_t *g, const strip_t *s,
                                       const pair_source_t *from) {
    return 2 * (2 * pair_row_width(g, s) + from->next + 2 * CYCONV_PAIR_SLACK);
}
#endif
