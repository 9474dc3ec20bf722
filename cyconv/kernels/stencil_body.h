/* One filter at a time, over a strip: depthwise layers and images of one channel. A register tile
 * is `height` rows of v vectors of outputs; its sums are as many independent chains as the
 * multipliers can work on at once. */

enum { STENCIL_ROWS = 4, STENCIL_VECTORS = 2, STENCIL_WIDTH = STENCIL_VECTORS * LANES };

/* n finished outputs at every so many cells; or sums that wait for what lies there or a residual.
 */
static __attribute__((noinline)) void stencil_scatter(const real *edge, ptrdiff_t n,
                                                      const stencil_t *t, real *y) {
    const ptrdiff_t step = t->y_column;
    ptrdiff_t j = 0;
    if (t->accumulate || (t->e && t->e->add)) {
        for (; j < n; j++, y += step)
            *y = finish(t->accumulate ? edge[j] + *y : edge[j], t->e, t->filter, y);
        return;
    }
    for (; j + 4 <= n; j += 4, y += 4 * step) {
        y[0] = edge[j], y[step] = edge[j + 1];
        y[2 * step] = edge[j + 2], y[3 * step] = edge[j + 3];
    }
    for (; j < n; j++, y += step) *y = edge[j];
}

/* The outputs of a tile: its last vector lies over the one before it, and holds the same values. */
INLINE void stencil_store(const int height, const int v, ptrdiff_t n, const stencil_t *t,
                          vec sum[][STENCIL_VECTORS], real *y) {
    const ptrdiff_t last = n < LANES ? 0 : n - LANES;
    const int whole = n >= LANES && t->y_column == 1;
    if (whole && !t->accumulate && !t->e) { /* sums as they are: most images' */
#pragma GCC unroll 4
        for (int p = 0; p < height; p++, y += t->y_row)
#pragma GCC unroll 2
            for (int k = 0; k < v; k++) store(y + (k < v - 1 ? k * LANES : last), sum[p][k]);
        return;
    }
    if (t->accumulate && whole) { /* all loads before a store */
#pragma GCC unroll 4
        for (int p = 0; p < height; p++)
#pragma GCC unroll 2
            for (int k = 0; k < v; k++)
                sum[p][k] += load(y + p * t->y_row + (k < v - 1 ? k * LANES : last));
    }
    const int residual = t->e && t->e->add;
    if (t->e && !residual && (whole || !t->accumulate))
#pragma GCC unroll 4
        for (int p = 0; p < height; p++) finish_vecs(v, sum[p], t->e, t->filter);
#pragma GCC unroll 4
    for (int p = 0; p < height; p++, y += t->y_row) {
        const int over = v == 1 && n < LANES && t->y_row == n && t->y_column == 1 &&
                         !t->accumulate && (height - 1 - p) * n >= LANES - n;
        if (whole || over) {
#pragma GCC unroll 2
            for (int k = 0; k < v && residual; k++)
                sum[p][k] =
                    finish_vec(sum[p][k], t->e, t->filter, y + (k < v - 1 ? k * LANES : last));
#pragma GCC unroll 2
            for (int k = 0; k < v; k++) store(y + (k < v - 1 ? k * LANES : last), sum[p][k]);
            continue; /* what is stored past the end of a row, the next one corrects */
        }
        real edge[STENCIL_WIDTH];
#pragma GCC unroll 2
        for (int k = 0; k < v; k++) store(edge + (k < v - 1 ? k * LANES : last), sum[p][k]);
        stencil_scatter(edge, n, t, y);
    }
}

/* The taps of a run in a tile of four rows: a row of the strip, once loaded, meets every output
 * row that it belongs to, and of the weights four at a time stay in registers. */
INLINE void stencil_run(const int v, const ptrdiff_t *at, const real *w, ptrdiff_t n, const real *x,
                        ptrdiff_t row, vec sum[][STENCIL_VECTORS]) {
#define ROW(...)                                              \
    do {                                                      \
        _Pragma("GCC unroll 2") for (int k = 0; k < v; k++) { \
            const vec value = load(x + at[k]);                \
            __VA_ARGS__;                                      \
        }                                                     \
        x += row;                                             \
    } while (0)
#define ADD(p, weight) sum[p][k] += weight * value
    if (n < 3) {
        /* Hides that both branches begin with the same products: multiplied before the branch,
         * they would be added with a rounding of their own. */
        __asm__("" : "+r"(x));
        for (ptrdiff_t i = 0; i < n; i++, x -= 3 * row) {
            const vec a = splat(w[i]);
            ROW(ADD(0, a));
            ROW(ADD(1, a));
            ROW(ADD(2, a));
            ROW(ADD(3, a));
        }
        return;
    }
    vec a = splat(w[0]), b = splat(w[1]), c = splat(w[2]);
    ROW(ADD(0, a));
    ROW(ADD(0, b), ADD(1, a));
    ROW(ADD(0, c), ADD(1, b), ADD(2, a));
    for (ptrdiff_t i = 3; i < n; i++) {
        const vec d = splat(w[i]);
        ROW(ADD(0, d), ADD(1, c), ADD(2, b), ADD(3, a));
        a = b, b = c, c = d;
    }
    ROW(ADD(1, c), ADD(2, b), ADD(3, a));
    ROW(ADD(2, c), ADD(3, b));
    ROW(ADD(3, c));
#undef ADD
#undef ROW
}

/* sum[p][k] of the outputs from strip + at[k] on. */
INLINE void stencil_sums(const int height, const int v, const stencil_t *t, const real *strip,
                         const ptrdiff_t *at, vec sum[][STENCIL_VECTORS]) {
    const ptrdiff_t row = t->row;
    const real *w = t->w;
#pragma GCC unroll 4
    for (int p = 0; p < height; p++)
#pragma GCC unroll 2
        for (int k = 0; k < v; k++) sum[p][k] = (vec){0};
    for (ptrdiff_t i = 0; i < t->runs; w += t->length[i++]) {
        const real *x = strip + t->start[i];
        if (height == STENCIL_ROWS)
            stencil_run(v, at, w, t->length[i], x, row, sum);
        else
            for (ptrdiff_t j = 0; j < t->length[i]; j++, x += row) {
                const vec a = splat(w[j]);
#pragma GCC unroll 2
                for (int k = 0; k < v; k++) sum[0][k] += a * load(x + at[k]);
            }
    }
}

INLINE void stencil_tile(const int height, const int v, const stencil_t *t, const real *strip,
                         ptrdiff_t n, real *y) {
    const ptrdiff_t at[] = {v == 1 && n >= LANES ? n - LANES : 0, n - LANES};
    vec sum[STENCIL_ROWS][STENCIL_VECTORS];
    stencil_sums(height, v, t, strip, at, sum);
    stencil_store(height, v, n, t, sum, y);
}

/* A row of tiles; the last one lies over the one before it and stores the same values again, unless
 * values are added to what was there. */
INLINE void stencil_row(const int height, const stencil_t *t, const real *strip, ptrdiff_t columns,
                        real *y) {
    const ptrdiff_t step = t->y_column;
    ptrdiff_t j = 0;
    for (; columns - j > LANES; j += STENCIL_WIDTH) {
        const ptrdiff_t left = columns - j;
        stencil_tile(height, 2, t, strip + j, left < STENCIL_WIDTH ? left : STENCIL_WIDTH,
                     y + j * step);
    }
    const ptrdiff_t left = columns - j;
    if (left > 0) {
        const int over = left < LANES && j && !t->accumulate;
        j = over ? columns - LANES : j;
        stencil_tile(height, 1, t, strip + j, over ? LANES : left, y + j * step);
    }
}

/* Rows of tiles, the last one likewise. */
static void stencil(const stencil_t *t, const void *strip, ptrdiff_t rows, ptrdiff_t columns,
                    void *y) {
    const stencil_t c = *t; /* which no store can change */
    const real *x = strip;
    real *to = y;
    const ptrdiff_t over = c.accumulate ? rows % STENCIL_ROWS : 0; /* rows that no tile holds */
    ptrdiff_t p = 0;
    for (; rows >= STENCIL_ROWS && p < rows - over; p += STENCIL_ROWS) {
        p = p + STENCIL_ROWS <= rows ? p : rows - STENCIL_ROWS;
        stencil_row(STENCIL_ROWS, &c, x + p * c.row, columns, to + p * c.y_row);
    }
    for (; p < rows; p++) stencil_row(1, &c, x + p * c.row, columns, to + p * c.y_row);
}

/* Rows of a vector of outputs of each of two stencils, interleaved: n <= 2 * LANES cells. */
INLINE void stencil_pair_tile(const int height, const stencil_t *t, const real *first,
                              const real *second, ptrdiff_t n, real *y) {
    const ptrdiff_t at[] = {0};
    vec even[STENCIL_ROWS][STENCIL_VECTORS], odd[STENCIL_ROWS][STENCIL_VECTORS], low, high;
    stencil_sums(height, 1, t, first, at, even);
    stencil_sums(height, 1, t + 1, second, at, odd);
#pragma GCC unroll 4
    for (int p = 0; p < height; p++, y += t->y_row) {
        interleave(even[p][0], odd[p][0], &low, &high);
        low = finish_few(low, t->e, t->filter, y, n);
        if (n > LANES) high = finish_few(high, t->e, t->filter, y + LANES, n - LANES);
        if (n < LANES) {
            store_few(y, low, n);
            continue;
        }
        store(y, low);
        if (n == 2 * LANES)
            store(y + LANES, high);
        else
            store_few(y + LANES, high, n - LANES);
    }
}

/* As stencil_row: columns[0] and columns[1] outputs, which are as many or one fewer. */
INLINE void stencil_pair_row(const int height, const stencil_t *t, const real *first,
                             const real *second, const ptrdiff_t *columns, real *y) {
    const ptrdiff_t n = columns[0], cells = n + columns[1];
    for (ptrdiff_t j = 0; 2 * j < cells; j += LANES) {
        if (j + LANES > columns[1] && n >= LANES) j = n - LANES;
        const ptrdiff_t left = cells - 2 * j < 2 * LANES ? cells - 2 * j : 2 * LANES;
        stencil_pair_tile(height, t, first + j, second + j, left, y + 2 * j);
    }
}

static void stencil_pair(const stencil_t *pair, const void *first, const void *second,
                         ptrdiff_t rows, const ptrdiff_t *columns, void *y) {
    const stencil_t t[] = {pair[0], pair[1]}; /* which no store can change */
    const ptrdiff_t n[] = {columns[0], columns[1]};
    const real *x0 = first, *x1 = second;
    real *to = y;
    ptrdiff_t p = 0;
    for (; rows >= STENCIL_ROWS && p < rows; p += STENCIL_ROWS) {
        p = p + STENCIL_ROWS <= rows ? p : rows - STENCIL_ROWS;
        stencil_pair_row(STENCIL_ROWS, t, x0 + p * t->row, x1 + p * t->row, n, to + p * t->y_row);
    }
    for (; p < rows; p++)
        stencil_pair_row(1, t, x0 + p * t->row, x1 + p * t->row, n, to + p * t->y_row);
}
