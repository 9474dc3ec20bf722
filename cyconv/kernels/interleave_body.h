/* The phases of a stride, put side by side: see `interleave` in kernel_table.h. */

enum { MOST_PHASES = 8 };

/* Flat, the s vectors hold cell j of phase b at b * LANES + j, and shall hold it at j * s + b. To
 * interleave their halves rotates the bits of the place by one; log2(s) times, those of b have
 * passed those of j. */
INLINE void side_by_side(const int s, vec *v) {
    vec out[MOST_PHASES];
#pragma GCC unroll 3
    for (int n = 1; n < s; n *= 2) {
#pragma GCC unroll 4
        for (int b = 0; b < s / 2; b++)
            interleave(v[b], v[b + s / 2], &out[2 * b], &out[2 * b + 1]);
#pragma GCC unroll 8
        for (int b = 0; b < s; b++) v[b] = out[b];
    }
}

/* The cells `ahead`, the next row's, are fetched. */
INLINE void interleave_row(const int s, ptrdiff_t cells, const real *block, ptrdiff_t phase,
                           real *y, ptrdiff_t ahead, const epilogue_t *e, ptrdiff_t row) {
    for (ptrdiff_t left = cells; left > 0; left -= s * LANES, block += LANES) {
        vec v[MOST_PHASES];
#pragma GCC unroll 8
        for (int b = 0; b < s; b++) v[b] = load(block + b * phase);
        side_by_side(s, v);
#pragma GCC unroll 8
        for (int b = 0; b < s; b++, y += LANES) {
            const ptrdiff_t n = left - b * LANES;
            __builtin_prefetch(y + ahead, 1);
            if (n >= LANES)
                store(y, finish_vec(v[b], e, row, y));
            else if (n > 0)
                store_few(y, finish_few(v[b], e, row, y, n), n);
        }
    }
}

static void interleave_rows(ptrdiff_t s, ptrdiff_t rows, ptrdiff_t cells, const void *block,
                            ptrdiff_t phase, ptrdiff_t ld, void *y, ptrdiff_t y_row,
                            ptrdiff_t y_step, const epilogue_t *e) {
    const epilogue_t *acts = epilogue_acts(e) ? e : NULL;
    const real *from = block;
    real *to = y;
    for (ptrdiff_t i = 0; i < rows; i++, from += ld, to += y_row) {
        if (y_step == 1 && s == 2)
            interleave_row(2, cells, from, phase, to, y_row, acts, i);
        else if (y_step == 1 && s == 4)
            interleave_row(4, cells, from, phase, to, y_row, acts, i);
        else if (y_step == 1 && s == 8)
            interleave_row(8, cells, from, phase, to, y_row, acts, i);
        else
            for (ptrdiff_t b = 0; b < s; b++)
                for (ptrdiff_t j = b, q = 0; j < cells; j += s, q++) {
                    real *cell = to + j * y_step;
                    *cell = finish(from[b * phase + q], acts, i, cell);
                }
    }
}
