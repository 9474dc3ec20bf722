/* The micro-kernel: see the contract in kernel_table.h.
 *
 * A register tile of m filters x v vectors keeps m * v sums; per tap it loads v vectors of B and
 * broadcasts m values of A. The widest v for each m fills the register file: with 16 registers
 * 6 x 2 + 2 + 1 = 15. */

#ifndef TILE_VECTORS
#if REGISTERS == 32
#define TILE_VECTORS {0, 8, 8, 6, 5, 4, 4}
#define NR (4 * LANES) /* columns of a full tile: the width of packed panels of B */
#else
#define TILE_VECTORS {0, 8, 5, 3, 3, 2, 2}
#define NR (2 * LANES)
#endif
#define TILE_MAX 8 /* the most vectors in a row of a tile */
#endif

/* Where the residual of the output at y lies: as many elements from its first. */
INLINE const real *residual_of(const int cells, const epilogue_t *e, const void *y) {
    return (const real *)e->add + ((const char *)y - (const char *)e->y) / cell_bytes(cells);
}

INLINE const real *residual(const epilogue_t *e, const real *y) {
    return residual_of(CYCONV_REAL, e, y);
}

/* The last step of the output whose cell is at y, and of a vector of them: the same operations in
 * the same order. */
INLINE real finish_cell(const int cells, real sum, const epilogue_t *e, ptrdiff_t k,
                        const void *y) {
    if (e && e->bias) sum += ((const real *)e->bias)[k];
    if (e && e->add) sum += *residual_of(cells, e, y);
    if (e && e->clamp) {
        sum = sum < (real)e->low ? (real)e->low : sum;
        sum = sum > (real)e->high ? (real)e->high : sum;
    }
    return sum;
}

INLINE vec finish_cells_vec(const int cells, vec sum, const epilogue_t *e, ptrdiff_t k,
                            const void *y) {
    if (e && e->bias) sum += splat(((const real *)e->bias)[k]);
    if (e && e->add) sum += load(residual_of(cells, e, y));
    if (e && e->clamp) sum = clamp(sum, splat((real)e->low), splat((real)e->high));
    return sum;
}

INLINE real finish(real sum, const epilogue_t *e, ptrdiff_t k, const real *y) {
    return finish_cell(CYCONV_REAL, sum, e, k, y);
}

INLINE vec finish_vec(vec sum, const epilogue_t *e, ptrdiff_t k, const real *y) {
    return finish_cells_vec(CYCONV_REAL, sum, e, k, y);
}

/* The same of the first n outputs at y; what lies beyond them is not read. */
INLINE vec finish_few_cells(const int cells, vec sum, const epilogue_t *e, ptrdiff_t k,
                            const void *y, ptrdiff_t n) {
    if (!e || !e->add || n >= LANES) return finish_cells_vec(cells, sum, e, k, y);
    real lanes[LANES];
    store(lanes, sum);
    for (ptrdiff_t j = 0; j < n; j++)
        lanes[j] = finish_cell(cells, lanes[j], e, k, cell_at(cells, y, j));
    return load(lanes);
}

INLINE vec finish_few(vec sum, const epilogue_t *e, ptrdiff_t k, const real *y, ptrdiff_t n) {
    return finish_few_cells(CYCONV_REAL, sum, e, k, y, n);
}

/* Bias and activation of `count` vectors, where there is no residual. */
INLINE void finish_vecs(const int count, vec *sum, const epilogue_t *e, ptrdiff_t k) {
    if (e->bias)
#pragma GCC unroll 8
        for (int i = 0; i < count; i++) sum[i] += splat(((const real *)e->bias)[k]);
    if (e->clamp) {
        const vec low = splat((real)e->low), high = splat((real)e->high);
#pragma GCC unroll 8
        for (int i = 0; i < count; i++) sum[i] = clamp(sum[i], low, high);
    }
}

/* Rows of a block, through the epilogue, to cells at y; `row` is the first's place in the bias.
 * Where there are vectors of results, the last of them overlaps the one before it. */
INLINE void finish_rows_of(const int cells, ptrdiff_t rows, ptrdiff_t n, const real *block,
                           ptrdiff_t ld, void *y, ptrdiff_t y_row, ptrdiff_t y_step,
                           const epilogue_t *e, ptrdiff_t row) {
    const int acts = epilogue_acts(e);
    for (ptrdiff_t i = 0; i < rows; i++, row++, block += ld) {
        char *to = (char *)y + i * y_row * cell_bytes(cells);
        if (y_step != 1 || n < LANES) {
            for (ptrdiff_t j = 0; j < n; j++, to += y_step * cell_bytes(cells))
                store_cell(cells, to, finish_cell(cells, block[j], e, row, to));
        } else if (acts) {
            for (ptrdiff_t j = 0; j < n; j += LANES) {
                const ptrdiff_t at = j + LANES <= n ? j : n - LANES;
                char *out = to + at * cell_bytes(cells);
                store_cells_at(cells, out, finish_cells_vec(cells, load(block + at), e, row, out));
            }
        } else {
            ptrdiff_t j = 0;
            for (; j + LANES <= n; j += LANES, to += LANES * cell_bytes(cells))
                store_cells_at(cells, to, load(block + j));
            if (j < n)
                store_cells_at(cells, to - (j + LANES - n) * cell_bytes(cells),
                               load(block + n - LANES));
        }
    }
}

static __attribute__((noinline)) void
finish_rows_from(int cells, ptrdiff_t rows, ptrdiff_t n, const real *block, ptrdiff_t ld, void *y,
                 ptrdiff_t y_row, ptrdiff_t y_step, const epilogue_t *e, ptrdiff_t row){
#define FINISH(cells) finish_rows_of(cells, rows, n, block, ld, y, y_row, y_step, e, row)
    OF_CELLS(cells, FINISH)
#undef FINISH
}

INLINE void finish_rows(int cells, ptrdiff_t rows, ptrdiff_t n, const void *block, ptrdiff_t ld,
                        void *y, ptrdiff_t y_row, ptrdiff_t y_step, const epilogue_t *e) {
    if (!epilogue_acts(e) && y_step == 1 && y_row == n && ld == n) n *= rows, rows = 1;
    finish_rows_from(cells, rows, n, block, ld, y, y_row, y_step, e, 0);
}

/* The cells of C in the last step. */
INLINE int cells_of(const epilogue_t *e) {
#ifdef ELEMENT_f32
    return e ? e->cells : CYCONV_REAL;
#else
    (void)e;
    return CYCONV_REAL;
#endif
}

/* The first n <= LANES of a vector of sums. */
INLINE void store_vec(ptrdiff_t n, vec sum, real *c, int accumulate, const epilogue_t *e,
                      ptrdiff_t row) {
    if (n >= LANES) {
        store(c, finish_vec(accumulate ? sum + load(c) : sum, e, row, c));
        return;
    }
    if (accumulate) {
        real before[LANES] = {0};
        for (ptrdiff_t j = 0; j < n; j++) before[j] = c[j];
        sum += load(before);
    }
    store_few(c, finish_few(sum, e, row, c, n), n);
}

/* A tile that hangs over the edge, or whose columns are not contiguous, or that adds a residual of
 * cells that are not those of sums. */
static __attribute__((noinline)) void store_edge(ptrdiff_t m, ptrdiff_t n, const real *sum,
                                                 ptrdiff_t ld, real *C, ptrdiff_t c_row,
                                                 ptrdiff_t c_column, int accumulate,
                                                 const epilogue_t *e, ptrdiff_t row) {
    if (cells_of(e) != CYCONV_REAL) {
        finish_rows_from(cells_of(e), m, n, sum, ld, C, c_row, c_column, e, row);
        return;
    }
    if (c_column == 1 && ld >= LANES) {
        for (ptrdiff_t i = 0; i < m; i++)
            for (ptrdiff_t j = 0; j < n; j += LANES)
                store_vec(n - j, load(sum + i * ld + j), C + i * c_row + j, accumulate, e, row + i);
        return;
    }
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            real *c = C + i * c_row + j * c_column;
            *c = finish(accumulate ? sum[i * ld + j] + *c : sum[i * ld + j], e, row + i, c);
        }
}

/* Element i of C. */
INLINE real *c_at(const epilogue_t *e, real *C, ptrdiff_t i) {
    return (real *)((char *)C + i * cell_bytes(cells_of(e)));
}

INLINE void tile_tap(const int m, const int v, const real *A, const real *B, vec sum[][TILE_MAX]) {
    vec b[TILE_MAX];
#pragma GCC unroll 8
    for (int k = 0; k < v; k++) b[k] = load(B + k * LANES);
#pragma GCC unroll 6
    for (int i = 0; i < m; i++) {
        const vec a = splat(A[i]);
#pragma GCC unroll 8
        for (int k = 0; k < v; k++) sum[i][k] = multiply_add(a, b[k], sum[i][k]);
    }
}

/* A tile that hangs over the edge: its sums through memory. */
INLINE void tile_edge(const int m, const int v, ptrdiff_t n, vec sum[][TILE_MAX], real *C,
                      ptrdiff_t c_row, ptrdiff_t c_column, int accumulate, const epilogue_t *e,
                      ptrdiff_t row) {
    real edge[CYCONV_MR * TILE_MAX * LANES];
#pragma GCC unroll 6
    for (int i = 0; i < m; i++)
#pragma GCC unroll 8
        for (int k = 0; k < v; k++) store(edge + (i * v + k) * LANES, sum[i][k]);
    store_edge(m, n, edge, v * LANES, C, c_row, c_column, accumulate, e, row);
}

INLINE void tile_store(const int cells, const int m, const int v, const epilogue_t *e, real *C,
                       ptrdiff_t c_row, vec sum[][TILE_MAX]) {
#pragma GCC unroll 6
    for (int i = 0; i < m; i++)
#pragma GCC unroll 8
        for (int k = 0; k < v; k++)
            store_cells_at(cells, c_at(e, C, i * c_row + k * LANES), sum[i][k]);
}

/* The next few lines of what is read after the product: their way from memory is as long as a tile,
 * and more of them at once would wait for each other. */
INLINE void fetch_ahead(ahead_t *a) {
    for (ptrdiff_t i = 0; i < a->lines && a->plane < a->planes; i++) {
        __builtin_prefetch((const char *)a->from + a->at, 0, 2); /* as far as the second cache */
        a->at += CYCONV_CACHE_LINE;
        if (a->at < a->bytes) continue;
        a->at = 0;
        a->from = (const char *)a->from + a->row_step;
        if (++a->row < a->rows) continue;
        a->row = 0;
        a->from = (const char *)a->from + a->plane_step - a->rows * a->row_step;
        a->plane++;
    }
}

/* Tiles beside each other, of n columns together; B of the next one lies `step` elements on. A call
 * for each would cost as much as a tenth of a tile's sums over 64 taps. */
INLINE void tile(const int m, const int v, ptrdiff_t n, ptrdiff_t taps, const real *A,
                 const real *B, ptrdiff_t ldb, ptrdiff_t step, const ptrdiff_t *offset, real *C,
                 ptrdiff_t c_row, ptrdiff_t c_column, int accumulate, const epilogue_t *e,
                 ptrdiff_t row, ahead_t *ahead) {
    const real *bias = e && e->bias ? (const real *)e->bias + row : NULL;
    const int clamped = e && e->clamp, added = e && e->add, cells = cells_of(e);
    const int vectors = c_column == 1 && (cells == CYCONV_REAL || !added);
    const vec low = splat(clamped ? (real)e->low : 0), high = splat(clamped ? (real)e->high : 0);
    for (; n > 0; n -= v * LANES, B += step, C = c_at(e, C, v * LANES * c_column)) {
        vec sum[CYCONV_MR][TILE_MAX];
        const real *a = A, *b = B;
        if (ahead) fetch_ahead(ahead);
#pragma GCC unroll 6
        for (int i = 0; i < m; i++) __builtin_prefetch(c_at(e, C, i * c_row), 1);
#pragma GCC unroll 6
        for (int i = 0; i < m; i++)
#pragma GCC unroll 8
            for (int k = 0; k < v; k++) sum[i][k] = (vec){0};
        if (offset) /* a loop of its own: the compiler sees which */
            for (ptrdiff_t t = 0; t < taps; t++, a += m) tile_tap(m, v, a, b + offset[t], sum);
        else
            for (ptrdiff_t t = 0; t < taps; t++, a += m, b += ldb) tile_tap(m, v, a, b, sum);
        if (n < v * LANES || !vectors) {
            tile_edge(m, v, n < v * LANES ? n : v * LANES, sum, C, c_row, c_column, accumulate, e,
                      row);
            continue;
        }
        if (accumulate)
#pragma GCC unroll 6
            for (int i = 0; i < m; i++)
#pragma GCC unroll 8
                for (int k = 0; k < v; k++) sum[i][k] += load(C + i * c_row + k * LANES);
        if (bias)
#pragma GCC unroll 6
            for (int i = 0; i < m; i++)
#pragma GCC unroll 8
                for (int k = 0; k < v; k++) sum[i][k] += splat(bias[i]);
        if (added) {
            const real *add = residual(e, C);
#pragma GCC unroll 6
            for (int i = 0; i < m; i++)
#pragma GCC unroll 8
                for (int k = 0; k < v; k++) sum[i][k] += load(add + i * c_row + k * LANES);
        }
        if (clamped)
#pragma GCC unroll 6
            for (int i = 0; i < m; i++)
#pragma GCC unroll 8
                for (int k = 0; k < v; k++) sum[i][k] = clamp(sum[i][k], low, high);
        if (cells == CYCONV_F16)
            tile_store(CYCONV_F16, m, v, e, C, c_row, sum);
        else if (cells == CYCONV_BF16)
            tile_store(CYCONV_BF16, m, v, e, C, c_row, sum);
        else
            tile_store(CYCONV_REAL, m, v, e, C, c_row, sum);
    }
}

typedef void tile_function(ptrdiff_t n, ptrdiff_t taps, const real *A, const real *B, ptrdiff_t ldb,
                           ptrdiff_t step, const ptrdiff_t *offset, real *C, ptrdiff_t c_row,
                           ptrdiff_t c_column, int accumulate, const epilogue_t *e, ptrdiff_t row,
                           ahead_t *ahead);

#define TILE(m, v)                                                                              \
    static void tile_##m##x##v(ptrdiff_t n, ptrdiff_t taps, const real *A, const real *B,       \
                               ptrdiff_t ldb, ptrdiff_t step, const ptrdiff_t *offset, real *C, \
                               ptrdiff_t c_row, ptrdiff_t c_column, int accumulate,             \
                               const epilogue_t *e, ptrdiff_t row, ahead_t *ahead) {            \
        tile(m, v, n, taps, A, B, ldb, step, offset, C, c_row, c_column, accumulate, e, row,    \
             ahead);                                                                            \
    }

TILE(1, 1)
TILE(1, 2)
TILE(1, 3)
TILE(1, 4)
TILE(1, 5)
TILE(1, 6)
TILE(1, 7)
TILE(1, 8)
TILE(2, 1)
TILE(2, 2)
TILE(2, 3)
TILE(2, 4)
TILE(2, 5)
TILE(3, 1)
TILE(3, 2)
TILE(3, 3)
TILE(4, 1)
TILE(4, 2)
TILE(4, 3)
TILE(5, 1)
TILE(5, 2)
TILE(6, 1)
TILE(6, 2)
#if REGISTERS == 32
TILE(2, 6)
TILE(2, 7)
TILE(2, 8)
TILE(3, 4)
TILE(3, 5)
TILE(3, 6)
TILE(4, 4)
TILE(4, 5)
TILE(5, 3)
TILE(5, 4)
TILE(6, 3)
TILE(6, 4)
#endif

#define T(m, v) tile_##m##x##v
static tile_function *const tile_table[CYCONV_MR + 1][TILE_MAX + 1] = {
    {0},
    {0, T(1, 1), T(1, 2), T(1, 3), T(1, 4), T(1, 5), T(1, 6), T(1, 7), T(1, 8)},
#if REGISTERS == 32
    {0, T(2, 1), T(2, 2), T(2, 3), T(2, 4), T(2, 5), T(2, 6), T(2, 7), T(2, 8)},
    {0, T(3, 1), T(3, 2), T(3, 3), T(3, 4), T(3, 5), T(3, 6)},
    {0, T(4, 1), T(4, 2), T(4, 3), T(4, 4), T(4, 5)},
    {0, T(5, 1), T(5, 2), T(5, 3), T(5, 4)},
    {0, T(6, 1), T(6, 2), T(6, 3), T(6, 4)},
#else
    {0, T(2, 1), T(2, 2), T(2, 3), T(2, 4), T(2, 5)},
    {0, T(3, 1), T(3, 2), T(3, 3)},
    {0, T(4, 1), T(4, 2), T(4, 3)},
    {0, T(5, 1), T(5, 2)},
    {0, T(6, 1), T(6, 2)},
#endif
};
#undef T

/* A few columns leave most of a tile's lanes empty. There the filters lie in the lanes: a vector of
 * A holds one tap of a panel's filters (and what follows them), and one value of B is broadcast.
 * Every sum is the same chain as in a tile. FEW_PANELS: as many as the registers hold for n
 * columns. */
#if LANES >= 8
#define PANEL_VECTORS 1
#define FEW 4
#define FEW_PANELS(n) ((n) == 1 ? 8 : (n) == 4 ? 2 : 4)
#elif LANES == 4
#define PANEL_VECTORS 2
#define FEW 2
#define FEW_PANELS(n) ((n) == 1 ? 4 : 3)
#else
#define PANEL_VECTORS 3
#define FEW 1
#define FEW_PANELS(n) 3
#endif

enum { LAST = CYCONV_MR > LANES ? CYCONV_MR - LANES : 0 }; /* vectors lie over each other */

INLINE void few_tap(const int panels, const int n, const real *A, ptrdiff_t panel, const real *B,
                    vec sum[][PANEL_VECTORS][FEW]) {
    vec b[FEW];
#pragma GCC unroll 4
    for (int j = 0; j < n; j++) b[j] = splat(B[j]);
#pragma GCC unroll 8
    for (int i = 0; i < panels; i++)
#pragma GCC unroll 3
        for (int v = 0; v < PANEL_VECTORS; v++) {
            const vec w = load(A + i * panel + (v < PANEL_VECTORS - 1 ? v * LANES : LAST));
#pragma GCC unroll 4
            for (int j = 0; j < n; j++) sum[i][v][j] = multiply_add(w, b[j], sum[i][v][j]);
        }
}

INLINE void few_columns(const int panels, const int n, ptrdiff_t taps, const real *A, const real *B,
                        ptrdiff_t ldb, const ptrdiff_t *offset, real *C, ptrdiff_t c_row,
                        ptrdiff_t c_column, int accumulate, const epilogue_t *e, ptrdiff_t row) {
    vec sum[TILE_MAX][PANEL_VECTORS][FEW];
#pragma GCC unroll 8
    for (int i = 0; i < panels; i++)
#pragma GCC unroll 3
        for (int v = 0; v < PANEL_VECTORS; v++)
#pragma GCC unroll 4
            for (int j = 0; j < n; j++) sum[i][v][j] = (vec){0};
    const ptrdiff_t panel = CYCONV_MR * taps;
    const real *a = A;
    if (offset)
        for (ptrdiff_t t = 0; t < taps; t++, a += CYCONV_MR)
            few_tap(panels, n, a, panel, B + offset[t], sum);
    else
        for (ptrdiff_t t = 0; t < taps; t++, a += CYCONV_MR, B += ldb)
            few_tap(panels, n, a, panel, B, sum);
#pragma GCC unroll 8
    for (int i = 0; i < panels; i++)
#pragma GCC unroll 4
        for (int j = 0; j < n; j++) {
            real edge[CYCONV_MR + LANES];
#pragma GCC unroll 3
            for (int v = 0; v < PANEL_VECTORS; v++)
                store(edge + (v < PANEL_VECTORS - 1 ? v * LANES : LAST), sum[i][v][j]);
            store_edge(CYCONV_MR, 1, edge, 1, c_at(e, C, i * CYCONV_MR * c_row + j * c_column),
                       c_row, 1, accumulate, e, row + i * CYCONV_MR);
        }
}

/* Of the whole panels; returns how many filters that were. */
INLINE ptrdiff_t few_filters(const int n, ptrdiff_t m, ptrdiff_t taps, const real *A, const real *B,
                             ptrdiff_t ldb, const ptrdiff_t *offset, real *C, ptrdiff_t c_row,
                             ptrdiff_t c_column, int accumulate, const epilogue_t *e) {
    const ptrdiff_t step = FEW_PANELS(n) * CYCONV_MR;
    ptrdiff_t i = 0;
    for (; i + step <= m; i += step)
        few_columns(FEW_PANELS(n), n, taps, A + i * taps, B, ldb, offset, c_at(e, C, i * c_row),
                    c_row, c_column, accumulate, e, i);
    for (; i + CYCONV_MR <= m; i += CYCONV_MR)
        few_columns(1, n, taps, A + i * taps, B, ldb, offset, c_at(e, C, i * c_row), c_row,
                    c_column, accumulate, e, i);
    return i;
}

typedef ptrdiff_t few_function(ptrdiff_t m, ptrdiff_t taps, const real *A, const real *B,
                               ptrdiff_t ldb, const ptrdiff_t *offset, real *C, ptrdiff_t c_row,
                               ptrdiff_t c_column, int accumulate, const epilogue_t *e);

#define COLUMNS(n)                                                                              \
    static ptrdiff_t few_filters_##n(ptrdiff_t m, ptrdiff_t taps, const real *A, const real *B, \
                                     ptrdiff_t ldb, const ptrdiff_t *offset, real *C,           \
                                     ptrdiff_t c_row, ptrdiff_t c_column, int accumulate,       \
                                     const epilogue_t *e) {                                     \
        return few_filters(n, m, taps, A, B, ldb, offset, C, c_row, c_column, accumulate, e);   \
    }

COLUMNS(1)
#if FEW > 1
COLUMNS(2)
#endif
#if FEW > 2
COLUMNS(3)
COLUMNS(4)
#endif

static few_function *const few_table[FEW + 1] = {
    NULL,          few_filters_1,
#if FEW > 1
    few_filters_2,
#endif
#if FEW > 2
    few_filters_3, few_filters_4,
#endif
};

enum {
    L1_BYTES = 20 << 10,  /* of B that stay in the first-level cache beside a panel of A */
    L2_BYTES = 160 << 10, /* of B that stay in the second beside a block of A */
    C_BYTES = 64 << 10    /* from C's first row to its last, written by pieces of rows */
};

/* Either B stays in a cache, and each panel of A passes once, writing whole rows of C; or one
 * tile's columns do, while all panels of A pass by. The second reads less from the second-level
 * cache, but writes C by pieces of its rows: only where these stay near.
 * The columns past the last whole vector come last, if they are few. */
static void multiply_ahead(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A, const void *B,
                           ptrdiff_t ldb, ptrdiff_t b_panel, const ptrdiff_t *offset, void *C,
                           ptrdiff_t c_row, ptrdiff_t c_column, int accumulate, const epilogue_t *e,
                           ahead_t *ahead) {
    static const int widest[CYCONV_MR + 1] = TILE_VECTORS;
    const ptrdiff_t few = m >= CYCONV_MR && n % LANES <= FEW ? n % LANES : 0, whole = n - few;
    const ptrdiff_t most = b_panel == NR ? widest[m < CYCONV_MR ? m : CYCONV_MR] : NR / LANES;
    const ptrdiff_t tile = most * LANES, step = most == NR / LANES ? b_panel : tile;
    const int near = m * c_row * (ptrdiff_t)sizeof(real) <= C_BYTES;
    const ptrdiff_t stay = near ? L1_BYTES : L2_BYTES;
    const ptrdiff_t all = n * taps * (ptrdiff_t)sizeof(real) <= stay ? n : tile;
    const real *a = A, *b = B;
    real *c = C;
    for (ptrdiff_t j0 = 0; j0 < whole; j0 += all)
        for (ptrdiff_t i = 0; i < m; i += CYCONV_MR) {
            const ptrdiff_t rows = m - i < CYCONV_MR ? m - i : CYCONV_MR;
            const ptrdiff_t columns = whole - j0 < all ? whole - j0 : all, rest = columns % tile;
            const real *from = b + j0 / tile * step;
            real *to = c_at(e, c, i * c_row + j0 * c_column);
            if (columns > rest)
                tile_table[rows][most](columns - rest, taps, a + i * taps, from, ldb, step, offset,
                                       to, c_row, c_column, accumulate, e, i, ahead);
            if (rest)
                tile_table[rows][(rest + LANES - 1) / LANES](
                    rest, taps, a + i * taps, from + columns / tile * step, ldb, 0, offset,
                    c_at(e, to, (columns - rest) * c_column), c_row, c_column, accumulate, e, i,
                    ahead);
        }
    if (few) {
        b += whole / NR * b_panel + whole % NR;
        c = c_at(e, c, whole * c_column);
        const ptrdiff_t i =
            few_table[few](m, taps, a, b, ldb, offset, c, c_row, c_column, accumulate, e);
        if (i < m)
            tile_table[m - i][1](few, taps, a + i * taps, b, ldb, 0, offset, c_at(e, c, i * c_row),
                                 c_row, c_column, accumulate, e, i, NULL);
    }
}

static void multiply(ptrdiff_t m, ptrdiff_t n, ptrdiff_t taps, const void *A, const void *B,
                     ptrdiff_t ldb, ptrdiff_t b_panel, const ptrdiff_t *offset, void *C,
                     ptrdiff_t c_row, ptrdiff_t c_column, int accumulate, const epilogue_t *e) {
    multiply_ahead(m, n, taps, A, B, ldb, b_panel, offset, C, c_row, c_column, accumulate, e, NULL);
}
