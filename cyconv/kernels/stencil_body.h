/* One filter at a time, over a strip: depthwise layers and images of one channel. A register tile
 * is `height` rows of v vectors of outputs; each weight is broadcast once for all of them, and the
 * sums of a tile are as many independent chains as the multipliers can work on at once. */

enum { STENCIL_ROWS = 4, STENCIL_VECTORS = 2, STENCIL_WIDTH = STENCIL_VECTORS * LANES };

/* The outputs of a tile: its last vector lies over the one before it, and holds the same values. */
INLINE void stencil_store(const int height, const int v, ptrdiff_t n, const stencil_t *t,
                          vec sum[][STENCIL_VECTORS], real *y) {
    const ptrdiff_t last = n < LANES ? 0 : n - LANES;
    if (n >= LANES && t->y_column == 1 && !t->accumulate && !t->e) {
#pragma GCC unroll 4
        for (int p = 0; p < height; p++, y += t->y_row)
#pragma GCC unroll 2
            for (int k = 0; k < v; k++) store(y + (k < v - 1 ? k * LANES : last), sum[p][k]);
        return;
    }
#pragma GCC unroll 4
    for (int p = 0; p < height; p++, y += t->y_row) {
        if (v == 1 && n < LANES && t->y_row == n && t->y_column == 1 && !t->accumulate &&
            (height - 1 - p) * n >= LANES - n) {
            store(y, finish_vec(sum[p][0], t->e, t->filter)); /* the next row corrects the rest */
            continue;
        }
        if (n >= LANES && t->y_column == 1) {
            vec out[STENCIL_VECTORS];
#pragma GCC unroll 2
            for (int k = 0; k < v; k++) { /* all loads before a store */
                out[k] = sum[p][k];
                if (t->accumulate) out[k] += load(y + (k < v - 1 ? k * LANES : last));
            }
#pragma GCC unroll 2
            for (int k = 0; k < v; k++)
                store(y + (k < v - 1 ? k * LANES : last), finish_vec(out[k], t->e, t->filter));
            continue;
        }
        real edge[STENCIL_WIDTH];
#pragma GCC unroll 2
        for (int k = 0; k < v; k++) store(edge + (k < v - 1 ? k * LANES : last), sum[p][k]);
        for (ptrdiff_t j = 0; j < n; j++) {
            real *to = y + j * t->y_column;
            *to = finish(t->accumulate ? edge[j] + *to : edge[j], t->e, t->filter);
        }
    }
}

INLINE void stencil_tile(const int height, const int v, const int nine, const stencil_t *t,
                         const real *strip, ptrdiff_t n, real *y) {
    const ptrdiff_t last = n < LANES ? 0 : n - LANES, row = t->row;
    const real *w = t->w;
    vec sum[STENCIL_ROWS][STENCIL_VECTORS];
#pragma GCC unroll 4
    for (int p = 0; p < height; p++)
#pragma GCC unroll 2
        for (int k = 0; k < v; k++) sum[p][k] = (vec){0};
    if (nine) { /* 3 x 3, neighbours: the compiler shares the rows between outputs */
#pragma GCC unroll 9
        for (int i = 0; i < 9; i++) {
            const vec a = splat(w[i]);
#pragma GCC unroll 4
            for (int p = 0; p < height; p++)
#pragma GCC unroll 2
                for (int k = 0; k < v; k++)
                    sum[p][k] += a * load(strip + (p + i / 3) * row + i % 3 +
                                          (k < v - 1 ? k * LANES : last));
        }
    } else {
        for (ptrdiff_t i = 0; i < t->taps; i++) {
            const vec a = splat(w[i]);
            const real *x = strip + t->offset[i];
#pragma GCC unroll 4
            for (int p = 0; p < height; p++)
#pragma GCC unroll 2
                for (int k = 0; k < v; k++)
                    sum[p][k] += a * load(x + p * row + (k < v - 1 ? k * LANES : last));
        }
    }
    stencil_store(height, v, n, t, sum, y);
}

/* A row of tiles; the last one lies over the one before it and stores the same values again, unless
 * values are added to what was there. */
INLINE void stencil_row(const int height, const int nine, const stencil_t *t, const real *strip,
                        ptrdiff_t columns, real *y) {
    const ptrdiff_t step = t->y_column;
    ptrdiff_t j = 0;
    for (; j + STENCIL_WIDTH <= columns; j += STENCIL_WIDTH)
        stencil_tile(height, 2, nine, t, strip + j, STENCIL_WIDTH, y + j * step);
    const ptrdiff_t left = columns - j;
    if (left > LANES) {
        stencil_tile(height, 2, nine, t, strip + j, left, y + j * step);
    } else if (left) {
        const int over = left < LANES && j && !t->accumulate;
        j = over ? columns - LANES : j;
        stencil_tile(height, 1, nine, t, strip + j, over ? LANES : left, y + j * step);
    }
}

/* Rows of tiles, the last one likewise. */
INLINE void stencil_rows(const int nine, const stencil_t *context, const real *strip,
                         ptrdiff_t rows, ptrdiff_t columns, real *y) {
    const stencil_t c = *context; /* which no store can change */
    ptrdiff_t p = 0;
    for (; p + STENCIL_ROWS <= rows; p += STENCIL_ROWS)
        stencil_row(STENCIL_ROWS, nine, &c, strip + p * c.row, columns, y + p * c.y_row);
    if (p < rows && p && !c.accumulate) {
        p = rows - STENCIL_ROWS;
        stencil_row(STENCIL_ROWS, nine, &c, strip + p * c.row, columns, y + p * c.y_row);
    } else {
        for (; p < rows; p++) stencil_row(1, nine, &c, strip + p * c.row, columns, y + p * c.y_row);
    }
}

static void stencil(const stencil_t *t, const void *strip, ptrdiff_t rows, ptrdiff_t columns,
                    void *y) {
    if (t->neighbours)
        stencil_rows(1, t, strip, rows, columns, y);
    else
        stencil_rows(0, t, strip, rows, columns, y);
}
