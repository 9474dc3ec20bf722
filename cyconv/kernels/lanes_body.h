/* Depthwise layers of small maps, with neighbouring channels in the lanes: a row of seven cells
 * leaves lanes of a vector empty, and a tile of it has too few sums to keep the multipliers busy.
 *
 * LANES planes are transposed into a copy with its border of zeros, cell by cell a vector; the taps
 * are summed there, up to LANES_SUMS cells of a row at a time; the sums are transposed back. */
#include "geometry.h"
#include "simd.h"

enum { LANES_SUMS = 8 };

/* Cells of the bordered copy along an axis. */
INLINE ptrdiff_t lanes_cells(const axis_t *a) {
    return (a->out - 1) * a->stride + (a->kernel - 1) * a->dilation + 1;
}

static int in_lanes_fits(const geometry_t *g) {
    const axis_t *h = &g->h, *w = &g->w;
    return g->outer_rank == 0 && g->D == 1 && g->K == 1 && g->G >= LANES && w->x_stride == 1 &&
           w->y_stride == 1 && h->x_stride == w->in && h->y_stride == w->out &&
           h->in * w->in >= LANES;
}

/* The copy, the sums, and where each cell of the image lies in the copy: -1 where no tap does. */
static ptrdiff_t in_lanes_scratch(const geometry_t *g) {
    const ptrdiff_t cells = lanes_cells(&g->h) * lanes_cells(&g->w) + g->h.out * g->w.out + LANES;
    return (cells * LANES * (ptrdiff_t)sizeof(real) +
            g->h.in * g->w.in * (ptrdiff_t)sizeof(ptrdiff_t) + 63) /
           64 * 64;
}

/* sum[q] of `count` neighbouring outputs: one chain of multiply-adds in the order of the taps. */
INLINE void lanes_tile(const int count, ptrdiff_t taps, const ptrdiff_t *offset, ptrdiff_t step,
                       const real *x, const real *w, real *sums) {
    vec sum[LANES_SUMS];
#pragma GCC unroll 8
    for (int q = 0; q < count; q++) sum[q] = (vec){0};
    for (ptrdiff_t t = 0; t < taps; t++, w += LANES) {
        const vec tap = load(w);
        const real *from = x + offset[t];
#pragma GCC unroll 8
        for (int q = 0; q < count; q++) sum[q] += tap * load(from + q * step);
    }
#pragma GCC unroll 8
    for (int q = 0; q < count; q++) store(sums + q * LANES, sum[q]);
}

typedef void lanes_function(ptrdiff_t taps, const ptrdiff_t *offset, ptrdiff_t step, const real *x,
                            const real *w, real *sums);

#define LANES_TILE(count)                                                              \
    static void lanes_##count(ptrdiff_t taps, const ptrdiff_t *offset, ptrdiff_t step, \
                              const real *x, const real *w, real *sums) {              \
        lanes_tile(count, taps, offset, step, x, w, sums);                             \
    }
LANES_TILE(1)
LANES_TILE(2)
LANES_TILE(3)
LANES_TILE(4)
LANES_TILE(5)
LANES_TILE(6)
LANES_TILE(7)
LANES_TILE(8)

static lanes_function *const lanes_tiles[LANES_SUMS + 1] = {
    NULL, lanes_1, lanes_2, lanes_3, lanes_4, lanes_5, lanes_6, lanes_7, lanes_8};

/* The copy of `count` <= LANES planes; other lanes hold the last one again. */
INLINE void lanes_copy(const int cells, const geometry_t *g, const void *x, ptrdiff_t count,
                       const ptrdiff_t *place, real *copy) {
    const ptrdiff_t all = g->h.in * g->w.in;
    const void *plane[LANES];
    for (ptrdiff_t l = 0; l < LANES; l++)
        plane[l] = cell_at(cells, x, (l < count ? l : count - 1) * g->x_c);
    for (ptrdiff_t i = 0; i < all; i += LANES) {
        if (i + LANES > all) i = all - LANES;
        vec block[LANES];
        for (int l = 0; l < LANES; l++)
            block[l] = load_cells_at(cells, cell_at(cells, plane[l], i));
        transpose(block);
        for (int l = 0; l < LANES; l++)
            if (place[i + l] >= 0) store(copy + place[i + l], block[l]);
    }
}

/* The sums of `count` channels through the epilogue, whose filters begin at `filter`. */
INLINE void lanes_store(const int cells, const geometry_t *g, const real *sums, ptrdiff_t count,
                        void *y, const epilogue_t *e, ptrdiff_t filter) {
    const ptrdiff_t all = g->h.out * g->w.out;
    for (ptrdiff_t i = 0; i < all; i += LANES) {
        const ptrdiff_t n = all - i < LANES ? all - i : LANES;
        vec block[LANES];
        for (int l = 0; l < LANES; l++) block[l] = load(sums + (i + l) * LANES);
        transpose(block);
        for (ptrdiff_t l = 0; l < count; l++) {
            char *to = (char *)y + (l * g->y_k + i) * cell_bytes(cells);
            const vec out = finish_few_cells(cells, block[l], e, filter + l, to, n);
            if (n == LANES)
                store_cells_at(cells, to, out);
            else
                store_few_cells(cells, to, out, n);
        }
    }
}

/* Blocks [first, last) of LANES channels, counted over the images. */
static void in_lanes(const geometry_t *g, const void *x, const void *w, const ptrdiff_t *taps,
                     void *y, const epilogue_t *epilogue, ptrdiff_t first, ptrdiff_t last,
                     void *scratch) {
    const ptrdiff_t rows = lanes_cells(&g->h), columns = lanes_cells(&g->w), Q = g->w.out;
    const ptrdiff_t count = g->h.kernel * g->w.kernel, blocks = (g->G + LANES - 1) / LANES;
    const ptrdiff_t pieces = (Q + LANES_SUMS - 1) / LANES_SUMS, piece = (Q + pieces - 1) / pieces;
    const epilogue_t *e = epilogue_acts(epilogue) ? epilogue : NULL;
    real *copy = scratch, *sums = copy + rows * columns * LANES;
    ptrdiff_t *place = (ptrdiff_t *)(sums + (g->h.out * Q + LANES) * LANES), *at = place;
    zero_row(copy, rows * columns * LANES);
    zero_row(sums + g->h.out * Q * LANES, LANES * LANES);
    for (ptrdiff_t i = 0; i < g->h.in; i++)
        for (ptrdiff_t j = 0; j < g->w.in; j++) {
            const ptrdiff_t r = i + g->h.pad, s = j + g->w.pad;
            const int inside = r >= 0 && r < rows && s >= 0 && s < columns;
            *at++ = inside ? (r * columns + s) * LANES : -1;
        }
    for (ptrdiff_t block = first; block < last; block++) {
        const ptrdiff_t n = block / blocks, c = block % blocks * LANES;
        const ptrdiff_t channels = g->G - c < LANES ? g->G - c : LANES;
        const real *weights = (const real *)w + c * count;
#define COPY(cells) \
    lanes_copy(cells, g, cell_at(cells, x, n * g->x_n + c * g->x_c), channels, place, copy)
        OF_CELLS(g->x_cells, COPY)
#undef COPY
        for (ptrdiff_t p = 0; p < g->h.out; p++)
            for (ptrdiff_t q = 0; q < Q; q += piece)
                lanes_tiles[Q - q < piece ? Q - q : piece](
                    count, taps, g->w.stride * LANES,
                    copy + (p * g->h.stride * columns + q * g->w.stride) * LANES, weights,
                    sums + (p * Q + q) * LANES);
#define STORE(cells)                      \
    lanes_store(cells, g, sums, channels, \
                (char *)y + (n * g->y_n + c * g->y_k) * cell_bytes(cells), e, c)
        OF_CELLS(g->y_cells, STORE)
#undef STORE
    }
}
