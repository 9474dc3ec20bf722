/* Weighted sums of the cells around a cell: what a stage that is no box does with rows. */

/* a * b, rounded: the compiler does not fuse it with a sum. f32 sums are fused. */
#if REAL_BYTES == 4
INLINE vec product(vec a, vec b) { return a * b; }
#else
INLINE vec product(vec a, vec b) {
    vec v = a * b;
#if defined(__AVX512F__) || (defined(__AVX__) && VECTOR_BYTES <= 32) || \
    (defined(__SSE2__) && VECTOR_BYTES <= 16) /* one register holds v */
    __asm__("" : "+v"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#else
    __asm__("" : "+m"(v));
#endif
    return v;
}
#endif

/* sum / divisor, of which `inverse` is 1 / divisor, rounded. What the fused remainder of a product
 * corrects is rounded as the quotient is (Markstein, 1990); where it is NaN, the product was not
 * finite. */
INLINE vec quotient(vec sum, vec divisor, vec inverse) {
#if defined(__FMA__) || defined(__aarch64__)
    const vec near = sum * inverse, rest = sum - near * divisor, v = near + rest * inverse;
    return choose(v == v, v, near);
#else
    (void)inverse;
    return sum / divisor;
#endif
}

/* Where a term's cells lie: places are elements from `in` on, or the numbers of rows in[.], where a
 * stage reaches down the rows only. */
INLINE const real *cells_at(const int down, const void *in, ptrdiff_t place) {
    return down ? ((const real *const *)in)[place] : (const real *)in + place;
}

/* V vectors of neighbouring cells of a weighted sum, from element j on; `pairs` and `down` are
 * known where this is compiled. */
INLINE void sum_cells(const stage_t *s, int pairs, int down, int V, const void *in, ptrdiff_t j,
                      real *out) {
    const real *w = s->w, *middle = cells_at(down, in, s->at[0]) + j;
    vec sum[8];
    const vec zero = splat(s->dense ? (real)0 : -(real)0); /* -0 changes nothing */
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sum[v] = zero + product(splat(w[0]), load(middle + v * LANES));
    for (ptrdiff_t t = 1; t < s->terms; t++) {
        const vec weight = splat(w[t]);
        const real *a = cells_at(down, in, s->at[t]) + j;
        const real *b = pairs ? cells_at(down, in, s->mirrored[t]) + j : NULL;
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
            vec cell = load(a + v * LANES);
            if (pairs > 0) cell += load(b + v * LANES);
            if (pairs < 0) cell -= load(b + v * LANES);
            sum[v] += product(cell, weight);
        }
    }
    if (s->divisor != 1) {
        const vec divisor = splat((real)s->divisor), inverse = splat(1 / (real)s->divisor);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sum[v] = quotient(sum[v], divisor, inverse);
    }
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) store(out + j + v * LANES, sum[v]);
}

/* The products of one row of cells with the weights at w, w - taps, ... in the sums of the rows of
 * results from `first` to `last`: a cell is loaded once for all. */
INLINE void dense_row(const int first, const int last, const real *w, ptrdiff_t taps,
                      const real *in, ptrdiff_t step, vec sum[][2]) {
    for (ptrdiff_t t = 0; t < taps; t++, in += step, w++) {
        const vec a = load(in), b = load(in + LANES);
#pragma GCC unroll 4
        for (int h = first; h < last; h++) {
            const vec weight = splat(w[-h * taps]);
            sum[h][0] += product(a, weight);
            sum[h][1] += product(b, weight);
        }
    }
}

/* Four rows of two vectors of a dense kernel's sums, of three rows of taps or more. Row i of cells
 * meets row i - h of the weights in row h of the results. */
static void dense_block(const stage_t *s, ptrdiff_t step, const real *in, ptrdiff_t pitch,
                        real *out, ptrdiff_t out_pitch) {
    const ptrdiff_t rows = s->up + s->below + 1, taps = s->left + s->right + 1;
    const real *w = s->w;
    vec sum[4][2] = {{{0}}};
    dense_row(0, 1, w, taps, in, step, sum);
    dense_row(0, 2, w + taps, taps, in + pitch, step, sum);
    dense_row(0, 3, w + 2 * taps, taps, in + 2 * pitch, step, sum);
    w += 3 * taps, in += 3 * pitch;
    for (ptrdiff_t i = 3; i < rows; i++, w += taps, in += pitch)
        dense_row(0, 4, w, taps, in, step, sum);
    dense_row(1, 4, w, taps, in, step, sum);
    dense_row(2, 4, w + taps, taps, in + pitch, step, sum);
    dense_row(3, 4, w + 2 * taps, taps, in + 2 * pitch, step, sum);
#pragma GCC unroll 4
    for (int h = 0; h < 4; h++, out += out_pitch)
        store(out, sum[h][0]), store(out + LANES, sum[h][1]);
}

/* Two rows of n elements of the sums of a kernel of R rows of S taps, whose weights stay in
 * registers. */
INLINE void dense_strip(const int R, const int S, const stage_t *s, ptrdiff_t step, const real *in,
                        ptrdiff_t pitch, ptrdiff_t n, real *out, ptrdiff_t out_pitch) {
    const real *given = s->w;
    vec w[9];
#pragma GCC unroll 9
    for (int t = 0; t < R * S; t++) w[t] = splat(given[t]);
    for (ptrdiff_t j = 0; j < n; j += 2 * LANES) {
        vec sum[2][2] = {{{0}}};
#pragma GCC unroll 4
        for (int i = 0; i <= R; i++)
#pragma GCC unroll 3
            for (int t = 0; t < S; t++) {
                const real *at = in + i * pitch + j + t * step;
                const vec a = load(at), b = load(at + LANES);
#pragma GCC unroll 2
                for (int h = 0; h < 2; h++) {
                    if (i - h < 0 || i - h >= R) continue;
                    sum[h][0] += product(a, w[(i - h) * S + t]);
                    sum[h][1] += product(b, w[(i - h) * S + t]);
                }
            }
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            store(out + h * out_pitch + j, sum[h][0]);
            store(out + h * out_pitch + j + LANES, sum[h][1]);
        }
    }
}

/* Some of `rows` rows of n elements of a dense kernel's sums, from the first on: returns how many.
 */
static ptrdiff_t dense_rows(const stage_t *s, ptrdiff_t step, const real *in, ptrdiff_t pitch,
                            ptrdiff_t rows, ptrdiff_t n, real *out, ptrdiff_t out_pitch) {
    ptrdiff_t r = 0;
    if (s->up + s->below == 2 && s->left + s->right == 2) {
        for (; r + 2 <= rows; r += 2)
            dense_strip(3, 3, s, step, in + r * pitch, pitch, n, out + r * out_pitch, out_pitch);
        return r;
    }
    for (; s->up + s->below > 1 && r + 4 <= rows; r += 4)
        for (ptrdiff_t j = 0; j < n; j += 2 * LANES)
            dense_block(s, step, in + r * pitch + j, pitch, out + r * out_pitch + j, out_pitch);
    return r;
}

/* A row of n elements of a sum of T terms, whose weights stay in registers. */
INLINE void few_terms(const int T, const stage_t *s, int pairs, int down, const void *in,
                      ptrdiff_t n, real *out) {
    enum { V = 2, MOST = 6 };
    const real *given = s->w, *a[MOST], *b[MOST];
    const vec zero = splat(s->dense ? (real)0 : -(real)0);
    vec w[MOST];
#pragma GCC unroll 6
    for (int t = 0; t < T; t++) {
        w[t] = splat(given[t]), a[t] = cells_at(down, in, s->at[t]);
        b[t] = pairs && t ? cells_at(down, in, s->mirrored[t]) : NULL;
    }
    for (ptrdiff_t j = 0; j + V * LANES <= n; j += V * LANES) {
        vec sum[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            const ptrdiff_t i = j + v * LANES;
            sum[v] = zero + product(load(a[0] + i), w[0]);
#pragma GCC unroll 6
            for (int t = 1; t < T; t++) {
                vec cell = load(a[t] + i);
                if (pairs > 0) cell += load(b[t] + i);
                if (pairs < 0) cell -= load(b[t] + i);
                sum[v] += product(cell, w[t]);
            }
        }
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) store(out + j + v * LANES, sum[v]);
    }
}

/* The same of as many terms as there are, if they are few: returns how many elements are done. */
INLINE ptrdiff_t sum_few_terms(const stage_t *s, int pairs, int down, const void *in, ptrdiff_t n,
                               real *out) {
    if (s->divisor != 1) return 0;
    switch (s->terms) {
#define FEW(T)                                    \
    case T:                                       \
        few_terms(T, s, pairs, down, in, n, out); \
        break
        FEW(2);
        FEW(3);
        FEW(4);
        FEW(5);
        FEW(6);
#undef FEW
    default:
        return 0;
    }
    return n / (2 * LANES) * (2 * LANES);
}

/* Rows of `n` elements, in groups of vectors: a group of columns at a time where the stage reads so
 * many rows that only theirs stay near, else row by row. Down the rows no more than n elements are
 * read and written, or one vector: the last lies over the one before it. */
INLINE void sum_rows(const stage_t *s, int pairs, int down, const void *in, ptrdiff_t pitch,
                     ptrdiff_t rows, ptrdiff_t n, real *out, ptrdiff_t out_pitch) {
    enum { WIDE = 8, MIDDLE = 4 };
    const int narrow = s->up + s->below > 12;
    const ptrdiff_t group = narrow ? WIDE * LANES : n;
    for (ptrdiff_t first = 0; first < n; first += group)
        for (ptrdiff_t r = 0; r < rows; r++) {
            const ptrdiff_t end = first + group < n ? first + group : n;
            const void *from = down ? (const void *)((const real *const *)in + r)
                                    : (const void *)((const real *)in + r * pitch);
            real *to = out + r * out_pitch;
            ptrdiff_t j = narrow ? first : sum_few_terms(s, pairs, down, from, n, to);
            for (; j + WIDE * LANES <= end; j += WIDE * LANES)
                sum_cells(s, pairs, down, WIDE, from, j, to);
            for (; j + MIDDLE * LANES <= end; j += MIDDLE * LANES)
                sum_cells(s, pairs, down, MIDDLE, from, j, to);
            for (; j < end; j += LANES)
                sum_cells(s, pairs, down, 1, from, down && j && j + LANES > end ? end - LANES : j,
                          to);
        }
}

/* The same where `pairs` is known to run only. */
INLINE void sum_any_rows(const stage_t *s, int down, const void *in, ptrdiff_t pitch,
                         ptrdiff_t rows, ptrdiff_t n, real *out, ptrdiff_t out_pitch) {
    if (s->pairs > 0)
        sum_rows(s, 1, down, in, pitch, rows, n, out, out_pitch);
    else if (s->pairs < 0)
        sum_rows(s, -1, down, in, pitch, rows, n, out, out_pitch);
    else
        sum_rows(s, 0, down, in, pitch, rows, n, out, out_pitch);
}

/* Rows of a weighted sum. Whole vectors are written, by twos where it is dense. */
static void run_weighted(const stage_t *s, ptrdiff_t step, const real *in, ptrdiff_t pitch,
                         ptrdiff_t rows, ptrdiff_t n, real *out, ptrdiff_t out_pitch) {
    const ptrdiff_t done = s->dense ? dense_rows(s, step, in, pitch, rows, n, out, out_pitch) : 0;
    sum_any_rows(s, 0, in + done * pitch, pitch, rows - done, n, out + done * out_pitch, out_pitch);
}
