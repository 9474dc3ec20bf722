/* Kernels of whole numbers over bytes: sums that 16 bits hold, and are exact in any order.
 *
 *     rows of bytes, with what lies around them ── sums ──► words ── finish ──► result
 *
 * Chains of one stage of a few taps: Sobel, Laplace, Prewitt and their lengths. */
#include "widen.h"

typedef int16_t shorts_unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(2), may_alias));
typedef uint8_t half_bytes __attribute__((vector_size(VECTOR_BYTES / 2)));

enum { WORD_ROWS = 32, WORD_MOST = 32767, LENGTH_MOST = 4096 };

INLINE shorts widened(const uint8_t *from) {
    half_bytes cells;
    memcpy(&cells, from, sizeof cells);
    return WIDE_uint8_t(cells);
}

/* sums[j] = sum_t w[t] * in[j + at[t]] of n cells, by whole groups of vectors. */
static void word_sums(ptrdiff_t terms, const shorts_unaligned *w, const ptrdiff_t *at,
                      const uint8_t *in, ptrdiff_t n, int16_t *sums) {
    enum { V = 4 };
    for (ptrdiff_t j = 0; j < n; j += V * SHORTS) {
        shorts sum[V] = {{0}};
        for (ptrdiff_t t = 0; t < terms; t++) {
            const uint8_t *from = in + at[t] + j;
            const shorts weight = w[t];
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) sum[v] += widened(from + v * SHORTS) * weight;
        }
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) *(shorts_unaligned *)(sums + j + v * SHORTS) = sum[v];
    }
}

VECTORIZED static void words_to_real(const int16_t *sums, ptrdiff_t n, real *to) {
    for (ptrdiff_t j = 0; j < n; j++) to[j] = sums[j];
}
VECTORIZED static void words_to_bytes(const int16_t *sums, ptrdiff_t n, int saturate, uint8_t *to) {
    if (saturate)
        for (ptrdiff_t j = 0; j < n; j++) {
            const int16_t v = sums[j] < 0 ? 0 : sums[j];
            to[j] = (uint8_t)(v > 255 ? 255 : v);
        }
    else
        for (ptrdiff_t j = 0; j < n; j++) to[j] = (uint8_t)sums[j];
}
VECTORIZED static void word_lengths(const int16_t *a, const int16_t *b, ptrdiff_t n, real *to) {
    for (ptrdiff_t j = 0; j < n; j++) to[j] = sqrtf((real)a[j] * a[j] + (real)b[j] * b[j]);
}

static int sums_fit_words(const chain_t *c) {
    const int border = c->row_border == CYCONV_CONSTANT || c->column_border == CYCONV_CONSTANT;
    if (c->source != CYCONV_U8 || (c->target != CYCONV_U8 && c->target != CYCONV_F32)) return 0;
    if (c->finish != CYCONV_EACH && c->finish != CYCONV_HYPOT) return 0;
    if (border && (c->constant != rint(c->constant) || c->constant < 0 || c->constant > 255))
        return 0;
    for (int b = 0; b < c->branches; b++) {
        const stage_t *s = &c->stage[b][0];
        const real *w = s->w;
        double reach = 0;
        if (c->stages[b] > 1 || s->box || s->pairs || s->divisor != 1 || s->terms > 25) return 0;
        for (ptrdiff_t t = 0; t < s->terms; t++)
            reach += w[t] == rintf(w[t]) ? fabs((double)w[t]) : WORD_MOST;
        if (!(255 * reach <= (c->finish == CYCONV_HYPOT ? LENGTH_MOST : WORD_MOST))) return 0;
    }
    return 1;
}

typedef struct {
    uint8_t *cells;
    int16_t *sums[CYCONV_BRANCHES];
    shorts_unaligned *w[CYCONV_BRANCHES];
    real *lengths;
    int32_t *map;
} words_t;

static ptrdiff_t divide_words(const chain_t *c, words_t *t, real *scratch) {
    ptrdiff_t used = 0;
    t->cells =
        some_bytes((c->up + c->below + WORD_ROWS + 1) * c->pitch + 4 * SHORTS, 1, scratch, &used);
    t->lengths = some_rows(c, 1, scratch, &used);
    t->map = some_bytes(c->pitch, sizeof(int32_t), scratch, &used);
    for (int b = 0; b < c->branches; b++) {
        const stage_t *s = &c->stage[b][0];
        t->sums[b] = some_bytes(c->pitch + 4 * SHORTS, sizeof(int16_t), scratch, &used);
        t->w[b] = some_bytes(s->terms, sizeof(shorts), scratch, &used);
        for (ptrdiff_t i = 0; scratch && i < s->terms; i++)
            t->w[b][i] = (int16_t)((const real *)s->w)[i] + (shorts){0};
    }
    return used;
}

/* Row r of the plane between the columns of `a`, as load_row has it, in bytes. */
static void copy_bytes(const chain_t *c, const char *x, ptrdiff_t r, const area_t *a,
                       const int32_t *map, uint8_t *to) {
    const ptrdiff_t source = border_source(c->row_border, r, c->rows), step = c->step;
    const ptrdiff_t first = a->column0 > 0 ? a->column0 : 0;
    const ptrdiff_t last = a->column1 < c->columns ? a->column1 : c->columns;
    const ptrdiff_t n = (a->column1 - a->column0) * step, before = (first - a->column0) * step;
    const ptrdiff_t inside = (last - first) * step;
    const uint8_t *row = (const uint8_t *)x + source * c->x_row, constant = (uint8_t)c->constant;
    if (source < 0) {
        memset(to, constant, n);
        return;
    }
    memcpy(to + before, row + first * step, inside);
    for (ptrdiff_t j = 0; j < n - inside; j++, map++)
        to[j < before ? j : j + inside] = *map >= 0           ? to[*map]
                                          : *map == INT32_MIN ? constant
                                                              : row[-1 - (ptrdiff_t)*map];
}

/* The sums of a row, stored. */
static void finish_words(const chain_t *c, const words_t *t, int branch, ptrdiff_t n, char *y) {
    real *const lengths = c->target == CYCONV_F32 ? (real *)y : t->lengths;
    if (c->finish == CYCONV_HYPOT) {
        word_lengths(t->sums[0], t->sums[1], n, lengths);
        if (c->target == CYCONV_U8) store_cells(c->target, c->saturate, lengths, n, y);
    } else if (c->target == CYCONV_F32)
        words_to_real(t->sums[branch], n, (real *)y);
    else
        words_to_bytes(t->sums[branch], n, c->saturate, (uint8_t *)y);
}

static void words_tile(const chain_t *c, const char *x, char *y, const area_t *tile,
                       real *scratch) {
    const ptrdiff_t step = c->step, n = (tile->column1 - tile->column0) * step;
    const area_t across = {0, 0, tile->column0 - c->left, tile->column1 + c->right};
    const int last = c->finish == CYCONV_HYPOT ? c->branches - 1 : 0;
    words_t t;
    divide_words(c, &t, scratch);
    map_border(c, &across, t.map);
    y += tile->column0 * step * storage_size(c->target);
    for (ptrdiff_t row = tile->row0, end; row < tile->row1; row = end) {
        end = row + WORD_ROWS < tile->row1 ? row + WORD_ROWS : tile->row1;
        for (ptrdiff_t r = row - c->up; r < end + c->below; r++)
            copy_bytes(c, x, r, &across, t.map, t.cells + (r - row + c->up) * c->pitch);
        for (ptrdiff_t r = row; r < end; r++)
            for (int b = 0; b < c->branches; b++) {
                const stage_t *s = &c->stage[b][0];
                const uint8_t *in = t.cells + (r - row + c->up - s->up) * c->pitch;
                word_sums(s->terms, t.w[b], s->at, in + (c->left - s->left) * step, n, t.sums[b]);
                if (b >= last)
                    finish_words(c, &t, b, n, y + r * c->y_row + (b - last) * c->y_branch);
            }
    }
}
