/* Checks of the kernels of products of spectra (spectra.h), for one element type. */
#include "check.h"
#include "spectra.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef ELEMENT_f32
typedef float real;
#define TYPE CYCONV_F32
#define CHECK check_spectra_f32
#else
typedef double real;
#define TYPE CYCONV_F64
#define CHECK check_spectra_f64
#endif

static double largest(const real *x, ptrdiff_t n) {
    double most = 0;
    for (ptrdiff_t i = 0; i < n; i++) most = fmax(most, fabs((double)x[i]));
    return most;
}

static void check_spread(const spectra_t *k) {
    for (int round = 0; round < 400; round++) {
        const ptrdiff_t n = between(0, 99), zeros = between(0, 8);
        real *x = guarded(0, n * (ptrdiff_t)sizeof(real));
        spread_t want = {0, INFINITY, INFINITY}, got = want;
        for (ptrdiff_t i = 0; i < n; i++) {
            x[i] = (real)(between(0, 8) < zeros ? 0 : between(-99, 99));
            const double size = fabs((double)x[i]);
            if (size > 0) want.least = fmin(want.least, size);
        }
        for (ptrdiff_t i = 0; i < n; i += CYCONV_RUN) {
            const ptrdiff_t rest = n - i, whole = rest < CYCONV_RUN && i;
            const ptrdiff_t from = whole ? n - CYCONV_RUN : i;
            const double most = largest(x + from, n - from < CYCONV_RUN ? n - from : CYCONV_RUN);
            if (most > 0) want.least_run = fmin(want.least_run, most);
        }
        want.largest = largest(x, n);
        const int odd = n && !between(0, 3);
        if (odd) x[between(0, n - 1)] = (real)(between(0, 1) ? NAN : -INFINITY);
        if (odd) want.largest = INFINITY;
        const int least = (int)between(0, 1);
        if (!least) want.least = INFINITY;
        k->spread(n, x, least, &got);
        if (got.largest != want.largest)
            fail("the largest is %g, not %g", got.largest, want.largest);
        if (!odd && (got.least != want.least || got.least_run != want.least_run))
            fail("the least are %g and %g, not %g and %g", got.least, got.least_run, want.least,
                 want.least_run);
    }
}

enum { MOST = 1 << 14 };

/* A product of two lengths or three, all of them transforms' and, but for the first, whole vectors.
 * Small: the sums of a plain loop are many. */
static void choose_lengths(const spectra_t *k, tile_t *t) {
    do {
        t->outer = between(0, 2) ? 1 : between(4, 12);
        t->rows = k->lanes * between(1, 60 / k->lanes), t->columns = k->lanes * between(1, 6);
    } while ((t->outer > 1 && !k->length(t->outer)) || !k->length(t->rows) ||
             !k->length(t->columns) || t->outer * t->rows * t->columns > MOST);
    t->folded = t->outer == 1 && between(0, 1);
    t->pitch = t->columns + k->lanes * between(0, 2);
    t->channels = between(1, 2), t->filters = between(1, 2);
    begin("%td x %td x %td%s, %td channels, %td filters", t->outer, t->rows, t->columns,
          t->folded ? " folded" : "", t->channels, t->filters);
}

/* The cells [begin, end) of axes of these lengths, and their place in a plain array. */
static ptrdiff_t part_of(ptrdiff_t n, ptrdiff_t *begin, ptrdiff_t *end) {
    *begin = between(0, n - 1), *end = between(*begin + 1, n);
    return *end - *begin;
}

/* Correlate a pair of tiles with few taps each and compare with plain sums, round the circle. */
static void check_tiles(const spectra_t *k) {
    static double tile[2][2][MOST], want[2][MOST];
    for (int round = 0; round < 60; round++) {
        tile_t t = {0};
        choose_lengths(k, &t);
        const ptrdiff_t n = t.outer * t.rows * t.columns, size = sizeof(real);
        const ptrdiff_t length[3] = {t.folded ? 1 : t.outer, t.folded ? 1 : t.rows,
                                     t.folded ? n : t.columns};
        static _Alignas(64) real roots[3][MOST], turns[2 * MOST];
        if (t.outer > 1) k->fill_roots(t.outer, roots[0]);
        k->fill_roots(t.rows, roots[1]);
        k->fill_roots(t.columns, roots[2]);
        if (t.folded) k->fill_turns(t.rows, t.columns, turns);
        t.outer_roots = roots[0], t.row_roots = roots[1], t.column_roots = roots[2];
        t.turns = t.folded ? turns : NULL;
        const ptrdiff_t plane = k->plane(&t), pairs = t.channels * t.filters;
        const ptrdiff_t planes = pairs == 1 ? 1 : t.channels + t.filters;
        real *at = guarded(0, planes * plane * size), *scratch = guarded(1, k->scratch(&t) * size);
        real *spectra = guarded(2, pairs * 2 * n * size);

        ptrdiff_t tap[2][2][3];
        double w[2][2][3];
        const tile_source_t none = {.x = NULL};
        for (ptrdiff_t p = 0; p < pairs; p++) {
            real *taps = guarded(3, n * size);
            for (ptrdiff_t i = 0; i < n; i++) taps[i] = 0;
            for (int j = 0; j < 3; j++) {
                double *value = &w[p / t.channels][p % t.channels][j];
                ptrdiff_t *place = &tap[p / t.channels][p % t.channels][j];
                *place = between(0, n - 1), *value = (double)between(-9, 9);
                taps[*place] += (real)*value;
            }
            const tile_source_t all = {.end = {length[0], length[1], length[2]},
                                       .step = {length[1] * length[2], length[2], 1},
                                       .x = taps,
                                       .type = TYPE};
            k->load(&t, &all, 0, at);
            k->load(&t, &none, 1, at);
            k->transform(&t, at, spectra + p * 2 * n, scratch);
        }
        for (ptrdiff_t c = 0; c < t.channels; c++)
            for (int half = 0; half < 2; half++) {
                tile_source_t s = {.type = TYPE};
                ptrdiff_t held[3];
                for (int a = 0; a < 3; a++) held[a] = part_of(length[a], &s.begin[a], &s.end[a]);
                s.step[2] = between(1, 2), s.step[1] = s.step[2] * held[2];
                s.step[0] = s.step[1] * held[1];
                const ptrdiff_t count = held[0] * s.step[0] - s.step[2] + 1;
                real *x = guarded(3, count * size);
                for (ptrdiff_t i = 0; i < count; i++) x[i] = (real)between(-9, 9);
                s.x = x;
                spread_t found = {0, INFINITY, INFINITY};
                k->look(&t, &s, 1, &found);
                k->load(&t, &s, half, at + c * plane);
                double most = 0;
                for (ptrdiff_t i = 0; i < n; i++) {
                    const ptrdiff_t p[3] = {i / length[2] / length[1], i / length[2] % length[1],
                                            i % length[2]};
                    double *cell = &tile[c][half][i];
                    ptrdiff_t from = 0;
                    int inside = 1;
                    for (int a = 0; a < 3; a++) {
                        inside &= p[a] >= s.begin[a] && p[a] < s.end[a];
                        from += (p[a] - s.begin[a]) * s.step[a];
                    }
                    *cell = inside ? (double)x[from] : 0;
                    most = fmax(most, fabs(*cell));
                }
                if (found.largest != most) fail("the largest is %g, not %g", found.largest, most);
            }
        k->correlate(&t, at, spectra, scratch);
        for (ptrdiff_t f = 0; f < t.filters; f++)
            for (int half = 0; half < 2; half++) {
                for (ptrdiff_t i = 0; i < n; i++) {
                    want[half][i] = 0;
                    for (ptrdiff_t c = 0; c < t.channels; c++)
                        for (int j = 0; j < 3; j++) {
                            ptrdiff_t cell = 0, across = 1, o = i, q = tap[f][c][j];
                            for (int a = 2; a >= 0; a--) {
                                cell += (o + q) % length[a] * across;
                                o /= length[a], q /= length[a], across *= length[a];
                            }
                            want[half][i] += w[f][c][j] * tile[c][half][cell];
                        }
                }
                tile_target_t s = {.type = TYPE};
                for (int a = 0; a < 3; a++) {
                    s.stride[a] = between(1, 3);
                    s.count[a] = between(1, (length[a] - 1) / s.stride[a] + 1);
                }
                s.step[2] = between(1, 2), s.step[1] = s.step[2] * s.count[2];
                s.step[0] = s.step[1] * s.count[1];
                const ptrdiff_t count = s.count[0] * s.step[0] - s.step[2] + 1;
                real *y = guarded(4, count * size), *const untouched = guarded(5, count * size);
                s.y = y;
                const real *result = at + (pairs == 1 ? 0 : t.channels + f) * plane;
                k->store(&t, &s, 1 - half, result);
                for (ptrdiff_t i = 0; i < count; i++) {
                    const ptrdiff_t j = i / s.step[2];
                    if (i % s.step[2]) {
                        if (memcmp(y + i, untouched + i, sizeof *y)) fail("a gap was written");
                        continue;
                    }
                    const ptrdiff_t cell = (j / s.count[2] / s.count[1] * s.stride[0] * length[1] +
                                            j / s.count[2] % s.count[1] * s.stride[1]) *
                                               length[2] +
                                           j % s.count[2] * s.stride[2];
                    const double off = fabs((double)y[i] - want[half][cell]);
                    if (!(off <= (size == 4 ? 1e-3 : 1e-12)))
                        fail("result %td of tile %d is %g, not %g", cell, half, (double)y[i],
                             want[half][cell]);
                }
            }
    }
}

/* The cell of an image of small integers, and how large its cells are. */
static double value_of(storage_t type, const char *x, ptrdiff_t i) {
    if (type == CYCONV_U8) return ((const uint8_t *)x)[i];
    if (type == CYCONV_I16) return ((const int16_t *)(const void *)x)[i];
    if (type == CYCONV_F32) return (double)((const float *)(const void *)x)[i];
    return ((const double *)(const void *)x)[i];
}
static void set_value(storage_t type, char *x, ptrdiff_t i, int value) {
    if (type == CYCONV_U8) ((uint8_t *)x)[i] = (uint8_t)value;
    if (type == CYCONV_I16) ((int16_t *)(void *)x)[i] = (int16_t)value;
    if (type == CYCONV_F32) ((float *)(void *)x)[i] = (float)value;
    if (type == CYCONV_F64) ((double *)(void *)x)[i] = value;
}
static ptrdiff_t size_of(storage_t type) {
    return type == CYCONV_U8 ? 1 : type == CYCONV_I16 ? 2 : type == CYCONV_F32 ? 4 : 8;
}

/* Tiles anywhere on images of any type and size, with a border of any width: every cell, their
 * largest, and the cells as they are stored in the other type. */
static void check_borders(const spectra_t *k) {
    const storage_t types[] = {CYCONV_U8, CYCONV_I16, CYCONV_F32, CYCONV_F64};
    for (int round = 0; round < 600; round++) {
        tile_t t = {0};
        choose_lengths(k, &t);
        const ptrdiff_t n = t.outer * t.rows * t.columns, plane = k->plane(&t);
        const ptrdiff_t length[3] = {t.folded ? 1 : t.outer, t.folded ? 1 : t.rows,
                                     t.folded ? n : t.columns};
        tile_source_t s = {.type = types[between(0, 3)], .constant = (double)between(-9, 9)};
        s.border = (border_mode_t)between(CYCONV_REFLECT, CYCONV_CONSTANT);
        ptrdiff_t count = 1, at = 0;
        for (int a = 2; a >= 0; a--) {
            s.size[a] = length[a] == 1 ? 1 : between(1, 30);
            s.place[a] = length[a] == 1 ? 0 : between(-50, s.size[a] + 5);
            s.held[a] = between(0, 3) ? between(1, length[a]) : length[a];
            s.begin[a] = s.place[a] < 0 ? -s.place[a] : 0;
            s.end[a] = s.size[a] - s.place[a] < s.held[a] ? s.size[a] - s.place[a] : s.held[a];
            s.step[a] = a == 2 ? between(1, 2) : count;
            count = s.step[a] * s.size[a];
            at += (s.place[a] + s.begin[a]) * s.step[a];
        }
        const ptrdiff_t cells = count - s.step[2] + 1;
        char *x = guarded(0, cells * size_of(s.type));
        for (ptrdiff_t i = 0; i < cells; i++)
            set_value(s.type, x, i, (int)between(s.type == CYCONV_U8 ? 0 : -99, 99));
        s.x = x + at * size_of(s.type);

        const int half = (int)between(0, 1);
        real *planes = guarded(1, plane * (ptrdiff_t)sizeof(real));
        spread_t found = {0, INFINITY, INFINITY};
        double most = 0;
        k->look(&t, &s, 0, &found);
        k->load(&t, &s, half, planes);
        for (ptrdiff_t i = 0; i < n; i++) {
            const ptrdiff_t p[3] = {i / length[2] / length[1], i / length[2] % length[1],
                                    i % length[2]};
            ptrdiff_t from = 0;
            int held = 1, constant = 0;
            for (int a = 0; a < 3; a++) {
                const ptrdiff_t j = border_source(s.border, s.place[a] + p[a], s.size[a]);
                held &= p[a] < s.held[a], constant |= j < 0, from += j * s.step[a];
            }
            const double want = !held ? 0 : constant ? s.constant : value_of(s.type, x, from);
            const double got = (double)planes[(i / t.columns * 2 + half) * t.pitch + i % t.columns];
            most = fmax(most, fabs(want));
            if (got != want) fail("cell %td of mode %d is %g, not %g", i, s.border, got, want);
        }
        if (found.largest != most) fail("the largest is %g, not %g", found.largest, most);

        tile_target_t y = {.type = TYPE == CYCONV_F32 ? CYCONV_F64 : CYCONV_F32};
        for (int a = 0; a < 3; a++) {
            y.stride[a] = between(1, 3);
            y.count[a] = between(1, (length[a] - 1) / y.stride[a] + 1);
        }
        y.step[2] = between(1, 2), y.step[1] = y.step[2] * y.count[2];
        y.step[0] = y.step[1] * y.count[1];
        const ptrdiff_t stored = y.count[0] * y.count[1] * y.count[2];
        char *to = guarded(2, ((stored - 1) * y.step[2] + 1) * size_of(y.type));
        y.y = to;
        k->store(&t, &y, half, planes);
        for (ptrdiff_t i = 0; i < stored; i++) {
            const ptrdiff_t cell = (i / y.count[2] / y.count[1] * y.stride[0] * length[1] +
                                    i / y.count[2] % y.count[1] * y.stride[1]) *
                                       length[2] +
                                   i % y.count[2] * y.stride[2];
            const double want =
                (double)planes[(cell / t.columns * 2 + half) * t.pitch + cell % t.columns];
            if (value_of(y.type, to, i * y.step[2]) != want) fail("result %td is not %g", i, want);
        }
    }
}

void CHECK(const spectra_t *k) {
    check_spread(k);
    check_tiles(k);
    check_borders(k);
}
