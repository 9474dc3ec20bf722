/* The contract between the algorithms and the kernels.
 *
 * Every instruction set fills one kernel_table_t; dispatch.c picks one by cpuid. Kernels are typed
 * by `real` (f32, f64, u32, u64) and take untyped pointers, so that one driver serves all.
 *
 * THE MICRO-KERNEL `multiply` computes, for m filters in panels of CYCONV_MR,
 *
 *     C[i][j] (+)= sum_t A[t][i] * B_t[j]        0 <= i < m,  0 <= j < n,  0 <= t < taps
 *
 *            j: n neighbouring output pixels            A: packed panels, one after another:
 *          +------------------------------+                A[t * rows + i], the last has fewer rows
 *     t    | B_t  B_t+1 ...               |             B: row t starts at
 *     |    +------------------------------+                offset ? B + offset[t] : B + t * ldb
 *     v  A +------------------------------+             C: C[i * c_row + j * c_column]
 *   +---+  |  register tile               |
 *   | i |  |  m x (vectors * lanes)       |             so B may be a packed panel, a transformed
 *   +---+  +------------------------------+             tile, or the image itself read through a
 *                                                       table of tap offsets.
 *
 *   - Column j of B lies j / nr * b_panel + j % nr after its row's start: b_panel is nr where the
 *     columns are neighbours, and the size of a panel where they are packed in panels of nr.
 *   - Each B row may be read up to CYCONV_OVERREAD elements past its n-th, and A up to a vector
 *     past its end; those values are unused.
 *   - accumulate: C += sum; otherwise C = sum and C's old content is not read.
 *   - epilogue (may be NULL): after the sum, C[i][j] = clamp(C[i][j] + bias[i] + residual, low,
 * high).
 *   - Every C element is one chain of fused multiply-adds in the order of t, whatever m, n, j:
 *     how outputs are divided never changes a bit of them.
 */
#ifndef CYCONV_KERNEL_TABLE_H
#define CYCONV_KERNEL_TABLE_H
#include "geometry.h"

enum {
    CYCONV_MR = 6,
    CYCONV_OVERREAD = 128,
    CYCONV_WINOGRAD_VARIANTS = 16,
    CYCONV_CACHE_LINE = 64
};

/* The last step of an output: bias, residual and bounds, in that order, each where it is there. A
 * residual lies as the results do: that of the output at y + i is add[i], whatever part of y a
 * kernel writes. It shares no memory with y. */
typedef struct {
    const void *bias; /* one value per row, or NULL */
    double low, high; /* clamp bounds; -inf, inf for none */
    int clamp;
    const void *add, *y; /* NULL: no residual */
    int cells;           /* of C in `multiply`; if not CYCONV_REAL, C is not accumulated */
} epilogue_t;

/* Whether there is a last step. */
static inline int epilogue_acts(const epilogue_t *e) {
    return e && (e->bias || e->clamp || e->add);
}

/* A zero-bordered copy of a strip of input rows, split by the stride into phases so that every
 * tap of neighbouring output pixels is contiguous:
 *
 *     strip[d][row phase a][row i][column phase b][column j]
 *         = plane d at row (p0 + i) * stride_h + phase_a - pad_h,
 *                   column (q0 + j) * stride_w + phase_b - pad_w,   zero outside the plane.
 */
typedef struct {
    ptrdiff_t row_phases, column_phases; /* how many of the stride's phases a tap touches */
    ptrdiff_t rows, filled;              /* rows per row phase; of which so many are filled */
    ptrdiff_t pitch;                     /* elements per phase row */
    const ptrdiff_t *row_phase, *column_phase;
} strip_t;

/* Neighbouring elements of a source of pixels. */
typedef struct {
    ptrdiff_t start, length;
} run_t;

/* One filter of a group that has few. Its taps are cut into runs: tap j of run i is at start[i] +
 * j * row of the strip, j < length[i]. Sums are in the order of the runs and of their taps. Outputs
 * (p, q) go to y + p * y_row + q * y_column; `filter` is the place of the bias. */
typedef struct {
    const void *w; /* of the taps, in that order */
    ptrdiff_t runs;
    const ptrdiff_t *start, *length;
    ptrdiff_t row; /* elements of the strip to the next output row, and to the next tap of a run */
    ptrdiff_t y_row, y_column;
    int accumulate;
    const epilogue_t *e;
    ptrdiff_t filter;
} stencil_t;

/* Winograd F(m x n, r x s), m and r down the rows of pixels; alpha = m + r - 1, n + s - 1.
 * `t` runs along a row of tiles. */
typedef struct {
    int m[2], r[2], alpha[2];
    /* U[xi][d][i] = (G g H^T)[xi] of filter i < rows <= CYCONV_MR, plane d < planes, from w at
     * w + i * w_row + d * taps; at U + xi * xi_stride + d * rows + i. Writes up to one vector
     * past the end of each xi. */
    void (*weights)(const void *w, ptrdiff_t w_row, ptrdiff_t rows, ptrdiff_t planes, void *U,
                    ptrdiff_t xi_stride);
    /* V[xi][t] = (B^T x C)[xi] of the tiles (row, column + t), t < tiles, of one plane; writes up
     * to one vector past t = tiles. The same pixels of `next`, the plane after, are prefetched. */
    void (*input)(const geometry_t *g, const void *plane, const void *next, ptrdiff_t row,
                  ptrdiff_t column, ptrdiff_t tiles, void *V, ptrdiff_t xi_stride);
    /* Y = A^T M D of those tiles, with the epilogue (bias[0]), into one output plane.
     * Returns 1 where an output is not finite. */
    int (*output)(const geometry_t *g, const void *M, ptrdiff_t xi_stride, ptrdiff_t row,
                  ptrdiff_t column, ptrdiff_t tiles, void *y, const epilogue_t *e);
} winograd_t;

/* Weights as they lie: the sizes of a filter, and from one to the next in elements. */
typedef struct {
    ptrdiff_t planes, rows, columns;
    ptrdiff_t w_filter, w_plane, w_row, w_column;
} scattered_t;

/* What is read after a product, fetched from memory while it is taken: `planes` of `rows` of
 * `bytes`, so many `lines` beside each register tile; and where the next line lies. */
typedef struct {
    const void *from;
    ptrdiff_t plane_step, row_step; /* in bytes */
    ptrdiff_t planes, rows, bytes, lines;
    ptrdiff_t plane, row, at;
} ahead_t;

typedef struct {
    int itemsize, lanes;
    int nr; /* columns of a full register tile: the width of packed panels of B */

    void (*multiply)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A, const void *B,
                     ptrdiff_t ldb, ptrdiff_t b_panel, const ptrdiff_t *offset, void *C,
                     ptrdiff_t c_row, ptrdiff_t c_column, int accumulate, const epilogue_t *e);
    /* The same; what `ahead` says is fetched meanwhile, unless it is NULL. */
    void (*multiply_ahead)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A, const void *B,
                           ptrdiff_t ldb, ptrdiff_t b_panel, const ptrdiff_t *offset, void *C,
                           ptrdiff_t c_row, ptrdiff_t c_column, int accumulate, const epilogue_t *e,
                           ahead_t *ahead);
    /* A as `multiply` reads it, from w[i * w_row + t], i < m, t < taps. */
    void (*pack_filters)(const void *w, ptrdiff_t w_row, ptrdiff_t m, ptrdiff_t taps, void *A);
    /* The same, from weights of any strides: the taps (plane, row, column) in that order. */
    void (*pack_scattered)(const void *w, const scattered_t *s, ptrdiff_t m, void *A);
    /* Up to a vector past the strip is written. No element outside the planes is read. */
    void (*fill_strip)(const geometry_t *g, const strip_t *s, const char *const *planes,
                       ptrdiff_t count, ptrdiff_t p0, ptrdiff_t q0, void *strip);
    /* Up to CYCONV_OVERREAD elements past a row's last tap are read. */
    void (*stencil)(const stencil_t *t, const void *strip, ptrdiff_t rows, ptrdiff_t columns,
                    void *y);
    /* Two stencils whose outputs lie side by side: (p, q) of pair[i] goes to y + p * y_row + 2 * q
     * + i. They agree in row, y_row, e and filter; accumulate is 0; columns[0] - columns[1] is 0
     * or 1, and neither is 0. Each output is what `stencil` makes of it. */
    void (*stencil_pair)(const stencil_t *pair, const void *first, const void *second,
                         ptrdiff_t rows, const ptrdiff_t *columns, void *y);
    /* Rows [p0, p1) of slabs [first, last) of 3 x 3 taps on one plane, from the image itself: the
     * sums of `stencil`. `w`: 9 weights of each filter of each group; `e` begins at the first.
     * Only where image3_fits says 1. No element outside the planes is read, unless it lies
     * between their first and their last. */
    int (*image3_fits)(const geometry_t *g);
    void (*image3)(const geometry_t *g, const void *x, const void *w, void *y, const epilogue_t *e,
                   ptrdiff_t first, ptrdiff_t last, ptrdiff_t p0, ptrdiff_t p1);
    /* Blocks [first, last) of LANES channels, ceil(G / LANES) of each image, of a depthwise layer
     * whose planes follow row by row: the sums of `stencil`, if the taps come in its order.
     * w[block][tap][channel], zero past the last; offset[tap]: where it lies in the bordered copy,
     * whose cells are vectors. Only where in_lanes_fits says 1; in_lanes_scratch: bytes. */
    int (*in_lanes_fits)(const geometry_t *g);
    ptrdiff_t (*in_lanes_scratch)(const geometry_t *g);
    void (*in_lanes)(const geometry_t *g, const void *x, const void *w, const ptrdiff_t *offset,
                     void *y, const epilogue_t *e, ptrdiff_t first, ptrdiff_t last, void *scratch);
    /* rows x columns outputs of m filters, that follow row by row in y: the sums of `multiply` over
     * the same strip, one chain of multiply-adds in the order of the taps; the next row of outputs
     * lies `row` elements on. v is 1, 2 or 3, m a multiple of v * LANES; w: for each v * LANES
     * filters [tap][filter]. */
    void (*filters_in_lanes)(ptrdiff_t v, ptrdiff_t m, ptrdiff_t rows, ptrdiff_t columns,
                             ptrdiff_t taps, const void *w, const void *strip, ptrdiff_t row,
                             const ptrdiff_t *offset, void *y, ptrdiff_t y_k, int accumulate,
                             const epilogue_t *e);
    /* Slabs [first, last) of 3 x 3 outputs of kernels as large as the plane: the sums of
     * gradient3_body.h. Weights w[filter of all groups * w_strides[0] + d * w_strides[1] +
     * p * w_strides[2] + q]; y, e, and what is read as for image3. Only where gradient3_fits
     * says 1; gradient3_scratch: elements of scratch for these sizes. */
    int (*gradient3_fits)(const geometry_t *g);
    ptrdiff_t (*gradient3_scratch)(const geometry_t *g);
    void (*gradient3)(const geometry_t *g, const void *x, const void *w, const ptrdiff_t *w_strides,
                      void *y, const epilogue_t *e, ptrdiff_t first, ptrdiff_t last, void *scratch);
    /* panel[t * nr + j] = pixel j of tap t, whose source has such cells, the runs one after
     * another, n <= nr pixels in all: run i of tap t lies at source + runs[i].start + (offset ?
     * offset[t] : t * ld). Unless `exact`, up to a vector past each run is read; up to one past the
     * panel is written. */
    void (*gather)(int cells, ptrdiff_t taps, const void *source, const ptrdiff_t *offset,
                   ptrdiff_t ld, const run_t *runs, ptrdiff_t count, int exact, void *panel);
    /* panel[s * nr + j] = element s of kernel row j: rows[j][s * dilation] for begin[j] <= s <
     * end[j], zero for the other s < g->w.kernel and where rows[j] is NULL. `scratch` has room for
     * nr rows of whole vectors; up to a vector's count of rows past the panel's last is written. */
    void (*gather_columns)(const geometry_t *g, const char *const *rows, const ptrdiff_t *begin,
                           const ptrdiff_t *end, void *scratch, void *panel);
    /* im2col: columns[(d * R + r) * S + s][l - l0] for pixels l in [l0, l1) of one slab. */
    void (*patches)(const geometry_t *g, const char *const *planes, ptrdiff_t l0, ptrdiff_t l1,
                    void *columns, ptrdiff_t ldc);
    /* to[i * ld + j] = cell j * from_step of row i, j < n: no other cell is read. */
    void (*widen)(int cells, ptrdiff_t rows, ptrdiff_t n, const void *from, ptrdiff_t from_row,
                  ptrdiff_t from_step, void *to, ptrdiff_t ld);
    /* Block (rows, ld), through the epilogue, rounded to cells at y: no other cell is written. */
    void (*finish_rows)(int cells, ptrdiff_t rows, ptrdiff_t n, const void *block, ptrdiff_t ld,
                        void *y, ptrdiff_t y_row, ptrdiff_t y_step, const epilogue_t *e);
    /* Copies block (K rows, ld) to pixels [l0, l1) of a slab's output, through the epilogue. */
    void (*store_pixels)(const geometry_t *g, const void *block, ptrdiff_t ld, ptrdiff_t l0,
                         ptrdiff_t l1, void *y, const epilogue_t *e);
    /* y[i * y_row + j * y_step] = block[j % s * phase + i * ld + j / s] through the epilogue, for
     * i < rows, j < cells: s phases of a stride beside each other. Up to a vector past each row of
     * a phase is read. */
    void (*interleave)(ptrdiff_t s, ptrdiff_t rows, ptrdiff_t cells, const void *block,
                       ptrdiff_t phase, ptrdiff_t ld, void *y, ptrdiff_t y_row, ptrdiff_t y_step,
                       const epilogue_t *e);
    /* panels[i * row_stride + t / nr * panel_stride + t % nr] = stage[i * ld + t], whole panels. */
    void (*spread_tiles)(ptrdiff_t rows, ptrdiff_t tiles, const void *stage, ptrdiff_t ld,
                         void *panels, ptrdiff_t panel_stride, ptrdiff_t row_stride);
    winograd_t winograd[CYCONV_WINOGRAD_VARIANTS]; /* empty for integers */
} kernels_t;

typedef struct chains chains_t; /* chain.h */
typedef struct pairs pairs_t;   /* pairs.h */

typedef struct {
    const char *name;
    const kernels_t *f32, *f64, *u32, *u64;
    const chains_t *chains_f32, *chains_f64;
    const pairs_t *pairs;
} kernel_table_t;

/* dispatch.c */
const kernel_table_t **kernel_tables(void);           /* all this machine can run, best first */
const kernel_table_t *kernel_table(const char *name); /* NULL: unknown, or not on this machine */
void cpuid_caches(size_t sizes[3]);                   /* 0: the processor does not say */
#endif
