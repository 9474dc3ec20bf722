/* The contract between the algorithms and the kernels.
 *
 * Every instruction set fills one kernel_table_t; dispatch.c picks one by cpuid. Kernels are typed
 * by `real` (f32, f64, u32, u64) and take untyped pointers, so that one driver serves all.
 *
 * THE MICRO-KERNEL `multiply` computes, for one panel of m <= CYCONV_MR filters,
 *
 *     C[i][j] (+)= sum_t A[t][i] * B_t[j]        0 <= i < m,  0 <= j < n,  0 <= t < taps
 *
 *            j: n neighbouring output pixels            A: packed, A[t * m + i], aligned or not
 *          +------------------------------+             B: row t starts at
 *     t    | B_t  B_t+1 ...               |                  offset ? B + offset[t] : B + t * ldb
 *     |    +------------------------------+             C: C[i * c_row + j * c_column]
 *     v  A +------------------------------+
 *   +---+  |  register tile               |           so B may be a packed panel, a transformed
 *   | i |  |  m x (vectors * lanes)       |           tile, or the image itself read through a
 *   +---+  +------------------------------+           table of tap offsets.
 *
 *   - Each B row may be read up to CYCONV_OVERREAD elements past its n-th; those values are unused.
 *   - accumulate: C += sum; otherwise C = sum and C's old content is not read.
 *   - epilogue (may be NULL): after the sum, C[i][j] = clamp(C[i][j] + bias[i], low, high).
 *   - Every C element is one chain of fused multiply-adds in the order of t, whatever m, n, j:
 *     how outputs are divided never changes a bit of them.
 */
#ifndef CYCONV_KERNEL_TABLE_H
#define CYCONV_KERNEL_TABLE_H
#include "geometry.h"

enum { CYCONV_MR = 6, CYCONV_OVERREAD = 128, CYCONV_WINOGRAD_VARIANTS = 1 };

typedef struct {
    const void *bias; /* one value per row, or NULL */
    double low, high; /* clamp bounds; -inf, inf for none */
    int clamp;
} epilogue_t;

/* A zero-bordered copy of a strip of input rows, split by the stride into phases so that every
 * tap of neighbouring output pixels is contiguous:
 *
 *     strip[d][row phase a][row i][column phase b][column j]
 *         = plane d at row (p0 + i) * stride_h + phase_a - pad_h,
 *                   column (q0 + j) * stride_w + phase_b - pad_w,   zero outside the plane.
 */
typedef struct {
    ptrdiff_t row_phases, column_phases; /* how many of the stride's phases a tap touches */
    ptrdiff_t rows, pitch;               /* rows per row phase, elements per phase row */
    const ptrdiff_t *row_phase, *column_phase;
} strip_t;

/* Winograd F(m x m, r x r); alpha = m + r - 1. `t` runs along a row of tiles. */
typedef struct {
    int m, r, alpha;
    /* U[xi][d][i] = (G g G^T)[xi] of filters i < rows, at U + xi * xi_stride + d * rows + i;
     * writes up to one vector past the end of each xi. */
    void (*weights)(const void *w, ptrdiff_t rows, ptrdiff_t D, void *U, ptrdiff_t xi_stride);
    /* V[xi][t] = (B^T d B)[xi] of the tiles (row, column + t), t < tiles, of one plane; writes up
     * to one vector past t = tiles. */
    void (*input)(const geometry_t *g, const void *plane, ptrdiff_t row, ptrdiff_t column,
                  ptrdiff_t tiles, void *V, ptrdiff_t xi_stride);
    /* Y = A^T M A of those tiles, with the epilogue (bias[0]), into one output plane.
     * Returns 1 where an output is not finite. */
    int (*output)(const geometry_t *g, const void *M, ptrdiff_t xi_stride, ptrdiff_t row,
                  ptrdiff_t column, ptrdiff_t tiles, void *y, const epilogue_t *e);
} winograd_t;

typedef struct {
    int itemsize, lanes;

    void (*multiply)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A, const void *B,
                     ptrdiff_t ldb, const ptrdiff_t *offset, void *C, ptrdiff_t c_row,
                     ptrdiff_t c_column, int accumulate, const epilogue_t *e);
    /* A[t * rows + i] = w[i * w_row + t], the panel of `rows` filters. */
    void (*pack_panel)(const void *w, ptrdiff_t w_row, ptrdiff_t rows, ptrdiff_t taps, void *A);
    void (*fill_strip)(const geometry_t *g, const strip_t *s, const char *const *planes,
                       ptrdiff_t count, ptrdiff_t p0, ptrdiff_t q0, void *strip);
    /* im2col: columns[(d * R + r) * S + s][l - l0] for pixels l in [l0, l1) of one slab. */
    void (*patches)(const geometry_t *g, const char *const *planes, ptrdiff_t l0, ptrdiff_t l1,
                    void *columns, ptrdiff_t ldc);
    /* Copies block (K rows, ld) to pixels [l0, l1) of a slab's output, through the epilogue. */
    void (*store_pixels)(const geometry_t *g, const void *block, ptrdiff_t ld, ptrdiff_t l0,
                         ptrdiff_t l1, void *y, const epilogue_t *e);
    winograd_t winograd[CYCONV_WINOGRAD_VARIANTS]; /* empty for integers */
} kernels_t;

typedef struct {
    const char *name;
    const kernels_t *f32, *f64, *u32, *u64;
} kernel_table_t;

/* dispatch.c */
const kernel_table_t **kernel_tables(void);           /* all this machine can run, best first */
const kernel_table_t *kernel_table(const char *name); /* NULL: unknown, or not on this machine */
#endif
