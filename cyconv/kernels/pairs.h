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

struct pairs {
    /* As in kernels_t of u32, but for the product. */
    void (*multiply)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A, const void *B,
                     ptrdiff_t ldb, ptrdiff_t b_panel, const ptrdiff_t *offset, void *C,
                     ptrdiff_t c_row, ptrdiff_t c_column, int accumulate, const epilogue_t *e);
    /* As fill_strip of kernels_t, of `count` pairs of planes, or planes. g and `planes` are those
     * of the stored pixels; `rows` is room for pair_row_bytes. No pixel outside is read. */
    void (*fill)(const geometry_t *g, const strip_t *s, const pair_source_t *from,
                 const char *const *planes, ptrdiff_t count, ptrdiff_t p0, ptrdiff_t q0, void *rows,
                 void *strip);
    /* n outputs of one filter: y[j * step]. */
    void (*store)(const pair_target_t *to, ptrdiff_t filter, ptrdiff_t n, const void *sums, void *y,
                  ptrdiff_t step);
};

/* Pixels of a row that the strip's rows see. */
static inline ptrdiff_t pair_row_width(const geometry_t *g, const strip_t *s) {
    return (s->pitch - 1) * g->w.stride + s->column_phase[s->column_phases - 1] + 1;
}

enum { CYCONV_PAIR_SLACK = 16 }; /* pixels past a widened row that may be read */

static inline ptrdiff_t pair_row_bytes(const geometry_t *g, const strip_t *s,
                                       const pair_source_t *from) {
    return 2 * (2 * pair_row_width(g, s) + from->next + 2 * CYCONV_PAIR_SLACK);
}
#endif
