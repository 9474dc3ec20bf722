/* Channels last: a pixel is a row of channels, and so is a result a row of filters. The roles of
 * the matrix product are the other way round: pixels are its rows, read where they lie, filters its
 * columns.
 *
 *     C[i][j] (+)= sum_t A_i[t] * B[t][j]          A_i = A + i * a_row, 0 <= i < m pixels
 *                                                  C at C + i * c_row + j, 0 <= j < n filters
 *
 * or, where windows are read in an image, tap t of pixel i at A[pixel[i] + offset[t]].
 *
 * B is packed in panels of `nr` filters, the last filled up with zeros: column j of tap t is at
 * j / nr * b_panel + t * nr + j % nr. Sums are chains of fused multiply-adds in the order of t, as
 * those of kernel_table.h, and so are `accumulate` and the epilogue, whose bias is of column j. */
#ifndef CYCONV_LAST_H
#define CYCONV_LAST_H
#include "kernel_table.h"

typedef struct {
    int itemsize, lanes, nr;
    void (*multiply)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A, ptrdiff_t a_row,
                     const void *B, ptrdiff_t b_panel, void *C, ptrdiff_t c_row, int accumulate,
                     const epilogue_t *e);
    void (*multiply_windows)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A,
                             const ptrdiff_t *pixel, const ptrdiff_t *offset, const void *B,
                             ptrdiff_t b_panel, void *C, ptrdiff_t c_row, int accumulate,
                             const epilogue_t *e);
    /* B from w[j * w_row + t], j < n, t < taps. */
    void (*pack)(const void *w, ptrdiff_t w_row, ptrdiff_t n, ptrdiff_t taps, void *B);
    /* Rows [p0, p1) of 3 x 3 taps on each of `channels` >= lanes neighbouring channels of one
     * image: stride 1 or 2 on both axes, dilation 1. w[tap * channels + c]; `zeros`: as many. The
     * sums of `image3`. */
    void (*depthwise3)(const geometry_t *g, ptrdiff_t channels, const void *x, const void *w,
                       const void *zeros, void *y, const epilogue_t *e, ptrdiff_t p0, ptrdiff_t p1);
} last_t;

const last_t *last_table(const char *isa, int itemsize); /* dispatch.c; NULL: none */
#endif
