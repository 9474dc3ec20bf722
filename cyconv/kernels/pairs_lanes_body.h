/* Depthwise layers of bytes and of words with neighbouring channels in the lanes: see lanes_body.h.
 *
 * A pair is a pixel and the one below it, from every second row of the bordered plane on:
 *
 *     copy[row / 2][column][channel] = (x[row][column], x[row + 1][column])
 *
 * Outputs whose first row is even read (w0, w1), (w2, 0); the others, from the row above on,
 * (0, w0), (w1, w2): a third of all pairs is not needed, and outputs of both kinds read the same.
 * Sums become rows of channels before they are rounded. */

/* LANES pixels in lanes of their own, read as whole pieces of memory. */
#if VECTOR_BYTES == 64 && defined(__AVX512F__)
#define LONG_uint8_t(p) ((vec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define LONG_int8_t(p) ((vec)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define LONG_int16_t(p) ((vec)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(p))))
#elif VECTOR_BYTES == 32 && defined(__AVX2__)
#define LONG_uint8_t(p) ((vec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
#define LONG_int8_t(p) ((vec)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
#define LONG_int16_t(p) ((vec)_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(p))))
#else
#define LONG_OF(T)                                               \
    INLINE vec long_##T(const T *p) {                            \
        T cells __attribute__((vector_size(LANES * sizeof(T)))); \
        memcpy(&cells, p, sizeof cells);                         \
        return (vec) __builtin_convertvector(cells, lane_mask);  \
    }
LONG_OF(uint8_t)
LONG_OF(int8_t)
LONG_OF(int16_t)
#define LONG_uint8_t(p) long_uint8_t(p)
#define LONG_int8_t(p) long_int8_t(p)
#define LONG_int16_t(p) long_int16_t(p)
#endif

/* Pairs of the low halves of lanes, each kept or not. */
INLINE vec joined(vec first, vec second, vec keep_first, vec keep_second) {
    return (first & keep_first) | (second << 16 & keep_second);
}

/* Outputs of a row, at a time; of a channel; and of a row so long that the vectors of
 * pairs_plane_body.h are full, which need not be transposed. */
enum { PAIR_SUMS = 8, PAIR_CELLS = 256, PAIR_ROW = 4 * LANES };

/* Pixels of a row that the outputs see, with its border; and the image's among them. */
typedef struct {
    ptrdiff_t columns, before, first, inside;
} seen_t;

INLINE seen_t seen_columns(const geometry_t *g) {
    const axis_t *w = &g->w;
    seen_t s = {.columns = (w->out - 1) * w->stride + (w->kernel - 1) * w->dilation + 1};
    ptrdiff_t begin = 0, end = 0;
    valid_range(-w->pad, 1, w->in, s.columns, &begin, &end);
    s.before = begin, s.first = begin - w->pad, s.inside = end > begin ? end - begin : 0;
    return s;
}

/* Rows of outputs whose sums are made before they are rounded. */
INLINE ptrdiff_t pair_rows(const geometry_t *g) {
    const ptrdiff_t rows = g->w.out < PAIR_CELLS ? PAIR_CELLS / g->w.out : 1;
    return rows < g->h.out ? rows : g->h.out;
}

/* Rows of pairs that they see. */
INLINE ptrdiff_t rows_of_pairs(const geometry_t *g, ptrdiff_t rows) {
    return ((rows - 1) * g->h.stride + g->h.kernel + 2) / 2;
}

INLINE ptrdiff_t sums_pitch(const geometry_t *g) {
    return (pair_rows(g) * g->w.out + LANES - 1) / LANES * LANES + 2 * LANES;
}

static int pair_lanes_fit(const geometry_t *g) {
    return g->outer_rank == 0 && g->D == 1 && g->K == 1 && g->G >= LANES && g->h.dilation == 1 &&
           g->h.in * g->w.in >= LANES && g->h.out > 0 && g->w.out > 0 && g->w.out <= PAIR_ROW;
}

static size_t pair_lanes_scratch(const geometry_t *g) {
    const ptrdiff_t copy = rows_of_pairs(g, pair_rows(g)) * seen_columns(g).columns;
    return sizeof(real) * LANES * (copy + LANES + 2 * sums_pitch(g));
}

/* LANES pixels from `at` on, less the zero, where the plane ends after `cells`. */
#define LANES_AT(CODE, T)                                                    \
    INLINE vec lanes_at_##T(const T *plane, ptrdiff_t at, ptrdiff_t cells) { \
        if (at + LANES <= cells) return LONG_##T(plane + at);                \
        T end[2 * LANES] = {0};                                              \
        memcpy(end, plane + cells - LANES, sizeof(T) * LANES);               \
        return LONG_##T(end + (at + LANES - cells));                         \
    }
PAIR_TYPES(LANES_AT)

/* Rows h and h + 1 of LANES planes, the last of `count` again where there are fewer. Whole vectors
 * are written, up to LANES pixels past the row. */
#define COPY_LANES(CODE, T)                                                                        \
    static void copy_lanes_##T(const geometry_t *g, const seen_t *s, const T *x, int zero,         \
                               ptrdiff_t count, ptrdiff_t h, real *copy) {                         \
        const ptrdiff_t width = g->w.in, cells = g->h.in * width, n = s->inside;                   \
        const int upper = h >= 0 && h < g->h.in, lower = h + 1 >= 0 && h + 1 < g->h.in;            \
        const ptrdiff_t low = (upper ? h : h + 1) * width + s->first;                              \
        const ptrdiff_t high = (lower ? h + 1 : h) * width + s->first;                             \
        const vec zeros = splat((real)zero), below = splat(lower ? 0xFFFF0000u : 0);               \
        const vec above = splat(upper ? 0xFFFFu : 0);                                              \
        const T *plane[LANES];                                                                     \
        if (!n || !(upper || lower)) {                                                             \
            zero_row(copy, s->columns * LANES);                                                    \
            return;                                                                                \
        }                                                                                          \
        for (ptrdiff_t l = 0; l < LANES; l++) plane[l] = x + (l < count ? l : count - 1) * g->x_c; \
        zero_row(copy, s->before * LANES);                                                         \
        copy += s->before * LANES;                                                                 \
        for (ptrdiff_t i = 0; i < n; i += LANES) {                                                 \
            const ptrdiff_t j = i && i + LANES > n ? n - LANES : i;                                \
            vec block[LANES];                                                                      \
            if (high + j + LANES <= cells && low + j + LANES <= cells)                             \
                _Pragma("GCC unroll 16") for (int l = 0; l < LANES; l++) {                         \
                    const vec a = LONG_##T(plane[l] + low + j) - zeros;                            \
                    const vec b = LONG_##T(plane[l] + high + j) - zeros;                           \
                    block[l] = joined(a, b, above, below);                                         \
                }                                                                                  \
            else                                                                                   \
                for (int l = 0; l < LANES; l++) {                                                  \
                    const vec a = lanes_at_##T(plane[l], low + j, cells) - zeros;                  \
                    const vec b = lanes_at_##T(plane[l], high + j, cells) - zeros;                 \
                    block[l] = joined(a, b, above, below);                                         \
                }                                                                                  \
            transpose(block);                                                                      \
            _Pragma("GCC unroll 16") for (int l = 0; l < LANES; l++)                               \
                store(copy + (j + l) * LANES, block[l]);                                           \
        }                                                                                          \
        zero_row(copy + n * LANES, (s->columns - s->before - n) * LANES);                          \
    }
PAIR_TYPES(COPY_LANES)

INLINE void copy_lanes(const geometry_t *g, const seen_t *s, const pair_source_t *from,
                       const char *x, ptrdiff_t count, ptrdiff_t h, real *copy) {
    switch (from->type) {
#define COPY_LANES_CASE(CODE, T)                                                      \
    case CODE:                                                                        \
        copy_lanes_##T(g, s, (const T *)(const void *)x, from->zero, count, h, copy); \
        return;
        PAIR_TYPES(COPY_LANES_CASE)
    default:
        return;
    }
}

/* `count` neighbouring sums from `rows` rows of pairs of the copy. */
INLINE void pair_lanes_tile(const int count, ptrdiff_t rows, ptrdiff_t pitch, const axis_t *a,
                            const real *x, const real *w, real *sums) {
    const ptrdiff_t step = a->stride * LANES, tap = a->dilation * LANES;
    vec sum[PAIR_SUMS];
#pragma GCC unroll 8
    for (int q = 0; q < count; q++) sum[q] = (vec){0};
    for (ptrdiff_t r = 0; r < rows; r++, x += pitch) {
        const real *from = x;
        for (ptrdiff_t s = 0; s < a->kernel; s++, w += LANES, from += tap) {
            const vec pair = load(w);
#pragma GCC unroll 8
            for (int q = 0; q < count; q++)
                sum[q] = multiply_add(load(from + q * step), pair, sum[q]);
        }
    }
#pragma GCC unroll 8
    for (int q = 0; q < count; q++) store(sums + q * LANES, sum[q]);
}

typedef void pair_lanes_function(ptrdiff_t rows, ptrdiff_t pitch, const axis_t *a, const real *x,
                                 const real *w, real *sums);

#define PAIR_LANES_TILE(count)                                                       \
    static void pair_lanes_##count(ptrdiff_t rows, ptrdiff_t pitch, const axis_t *a, \
                                   const real *x, const real *w, real *sums) {       \
        pair_lanes_tile(count, rows, pitch, a, x, w, sums);                          \
    }
PAIR_LANES_TILE(1)
PAIR_LANES_TILE(2)
PAIR_LANES_TILE(3)
PAIR_LANES_TILE(4)
PAIR_LANES_TILE(5)
PAIR_LANES_TILE(6)
PAIR_LANES_TILE(7)
PAIR_LANES_TILE(8)

static pair_lanes_function *const pair_lanes_tiles[PAIR_SUMS + 1] = {
    NULL,         pair_lanes_1, pair_lanes_2, pair_lanes_3, pair_lanes_4,
    pair_lanes_5, pair_lanes_6, pair_lanes_7, pair_lanes_8};

/* Rows of outputs of `count` channels, whose filters begin at `filter`. Planes of x and of y lie
 * without gaps. w holds the pairs of even outputs, [row of pairs][tap][channel], then those of odd
 * ones. */
static void pair_lanes(const geometry_t *g, const pair_source_t *from, const char *x,
                       ptrdiff_t count, const void *w, const pair_target_t *to, const epilogue_t *e,
                       ptrdiff_t filter, char *y, void *scratch) {
    const seen_t s = seen_columns(g);
    const ptrdiff_t together = pair_rows(g), pitch = sums_pitch(g), Q = g->w.out;
    const ptrdiff_t even = (g->h.kernel + 1) / 2, odd = (g->h.kernel + 2) / 2;
    const ptrdiff_t size = !to || to->type == CYCONV_I16 ? (to ? 2 : 4) : 1,
                    row = s.columns * LANES;
    const ptrdiff_t pieces = (Q + PAIR_SUMS - 1) / PAIR_SUMS, piece = (Q + pieces - 1) / pieces;
    real *sums = scratch, *rows = sums + pitch * LANES, *copy = rows + pitch * LANES;
    for (ptrdiff_t p0 = 0, end; p0 < g->h.out; p0 = end) {
        end = p0 + together < g->h.out ? p0 + together : g->h.out;
        const ptrdiff_t top = p0 * g->h.stride / 2 * 2, n = (end - p0) * Q;
        const ptrdiff_t bottom = (end - 1) * g->h.stride + g->h.kernel;
        for (ptrdiff_t i = top; i < bottom; i += 2)
            copy_lanes(g, &s, from, x, count, i - g->h.pad, copy + (i - top) / 2 * row);
        real *sum = sums;
        for (ptrdiff_t p = p0; p < end; p++) {
            const ptrdiff_t first = p * g->h.stride - top;
            const real *weights = (const real *)w + (first % 2 ? even * g->w.kernel * LANES : 0);
            for (ptrdiff_t q = 0, m; q < Q; q += m, sum += m * LANES) {
                m = Q - q < piece ? Q - q : piece;
                pair_lanes_tiles[m](first % 2 ? odd : even, row, &g->w,
                                    copy + first / 2 * row + q * g->w.stride * LANES, weights, sum);
            }
        }
        for (ptrdiff_t i = 0; i < n; i += LANES) {
            vec block[LANES];
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++) block[l] = load(sums + (i + l) * LANES);
            transpose(block);
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++) store(rows + l * pitch + i, block[l]);
        }
        for (ptrdiff_t l = 0; l < count; l++) {
            char *out = y + (l * g->y_k + p0 * Q) * size;
            if (to)
                store_sums(to, filter + l, n, rows + l * pitch, out, 1);
            else
                finish_sums(e, filter + l, n, rows + l * pitch, out, 1);
        }
    }
}
