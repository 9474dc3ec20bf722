/* Cells of 16 bits between memory and vectors of f32: f16 (5 bits of exponent) and bf16 (the upper
 * half of a float). Both ways are exact or rounded to even; NaN stays NaN. Sums of other types
 * have no such cells: there the functions only let the same code compile. */
#ifndef CYCONV_HALVES_H
#define CYCONV_HALVES_H
#include "geometry.h"
#include "simd.h"

typedef uint16_t half_t;

INLINE ptrdiff_t cell_bytes(const int cells) {
    return cells == CYCONV_REAL ? REAL_BYTES : (ptrdiff_t)sizeof(half_t);
}

/* Cell i of a row. */
INLINE const void *cell_at(const int cells, const void *row, ptrdiff_t i) {
    return (const char *)row + i * cell_bytes(cells);
}

#ifdef ELEMENT_f32
#if defined(__F16C__) || defined(__AVX512F__)
#include <immintrin.h>
#endif
typedef uint32_t bits_vec __attribute__((vector_size(VECTOR_BYTES)));
typedef half_t half_vec __attribute__((vector_size(VECTOR_BYTES / 2)));

INLINE bits_vec either(lane_mask mask, bits_vec a, bits_vec b) {
    return ((bits_vec)mask & a) | (~(bits_vec)mask & b);
}

/* 2^-14 (1 + m) - 2^-14 is the value of a cell without exponent; the others' exponents, moved to
 * their place, lack the difference of the biases, 112, those of infinity and NaN twice. */
INLINE vec widen_f16(bits_vec cell) {
    const bits_vec magnitude = (cell & 0x7fff) << 13, least = (bits_vec){0} + (113u << 23);
    const bits_vec normal = magnitude + (112u << 23);
    const bits_vec small = (bits_vec)((vec)(magnitude + least) - (vec)least);
    bits_vec bits = either((lane_mask)(magnitude < (1u << 23)), small, normal);
    bits += (bits_vec)((lane_mask)(magnitude >= (31u << 23))) & (112u << 23);
    return (vec)(bits | (cell & 0x8000) << 16);
}

/* To round to even: half a unit less one is added, and one more where the last bit kept is set.
 * Under 2^-14 the sum with 1/2 has its last bit where an f16 has. */
INLINE bits_vec narrow_f16(vec v) {
    const bits_vec bits = (bits_vec)v, magnitude = bits & 0x7fffffff;
    const bits_vec round = magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1);
    const bits_vec half = (bits_vec){0} + (126u << 23);
    const bits_vec small = (bits_vec)((vec)magnitude + (vec)half) - half;
    bits_vec cell = either((lane_mask)(magnitude < (113u << 23)), small, round >> 13);
    cell = either((lane_mask)(magnitude >= (143u << 23)), (bits_vec){0} + 0x7c00, cell);
    cell = either((lane_mask)(magnitude > (255u << 23)), (bits_vec){0} + 0x7e00, cell);
    return cell | (bits >> 16 & 0x8000);
}

/* The cells are the upper halves. A carry may leave the bits of a NaN: they are set once more. */
INLINE bits_vec round_bf16(vec v) {
    const bits_vec bits = (bits_vec)v, round = bits + 0x7fff + (bits >> 16 & 1);
    return round | ((bits_vec)(v != v) & 0x7fc00000);
}

INLINE bits_vec narrow_bf16(vec v) { return round_bf16(v) >> 16; }

/* Of 2 * LANES bf16 at p, two in a lane: those at even and at odd places; and back. */
INLINE vec even_bf16(const void *p) {
    bits_vec pairs;
    memcpy(&pairs, p, sizeof pairs);
    return (vec)(pairs << 16);
}
INLINE vec odd_bf16(const void *p) {
    bits_vec pairs;
    memcpy(&pairs, p, sizeof pairs);
    return (vec)(pairs & 0xffff0000);
}
INLINE void store_bf16_pairs(void *p, vec even, vec odd) {
    const bits_vec pairs = round_bf16(even) >> 16 | (round_bf16(odd) & 0xffff0000);
    memcpy(p, &pairs, sizeof pairs);
}

/* LANES cells at p. */
INLINE vec load_cells_at(const int cells, const void *p) {
    if (cells == CYCONV_REAL) return load(p);
#if defined(__F16C__) && VECTOR_BYTES == 32
    const __m128i half = _mm_loadu_si128(p);
    if (cells == CYCONV_F16) return (vec)_mm256_cvtph_ps(half);
    /* Each half of the register takes its four cells from the same 16 bytes; -1: a zero. */
    const __m256i places =
        _mm256_setr_epi8(-1, -1, 0, 1, -1, -1, 2, 3, -1, -1, 4, 5, -1, -1, 6, 7, -1, -1, 8, 9, -1,
                         -1, 10, 11, -1, -1, 12, 13, -1, -1, 14, 15);
    return (vec)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(half), places);
#elif defined(__AVX512F__) && VECTOR_BYTES == 64
    const __m256i half = _mm256_loadu_si256(p);
    if (cells == CYCONV_F16) return (vec)_mm512_cvtph_ps(half);
    return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
#else
    half_vec half;
    memcpy(&half, p, sizeof half);
    const bits_vec cell = __builtin_convertvector(half, bits_vec);
    return cells == CYCONV_F16 ? widen_f16(cell) : (vec)(cell << 16);
#endif
}

INLINE void store_cells_at(const int cells, void *p, vec v) {
    if (cells == CYCONV_REAL) {
        store(p, v);
        return;
    }
#if defined(__F16C__) && VECTOR_BYTES == 32
    if (cells == CYCONV_F16) {
        _mm_storeu_si128(p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
        return;
    }
    const __m256i cell = (__m256i)narrow_bf16(v);
    _mm_storeu_si128(
        p, _mm_packus_epi32(_mm256_castsi256_si128(cell), _mm256_extracti128_si256(cell, 1)));
#elif defined(__AVX512F__) && VECTOR_BYTES == 64
    if (cells == CYCONV_F16)
        _mm256_storeu_si256(p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
    else
        _mm256_storeu_si256(p, _mm512_cvtepi32_epi16((__m512i)narrow_bf16(v)));
#else
    const half_vec half =
        __builtin_convertvector(cells == CYCONV_F16 ? narrow_f16(v) : narrow_bf16(v), half_vec);
    memcpy(p, &half, sizeof half);
#endif
}

/* A cell by itself: a vector of which one lane counts. */
INLINE real load_cell(const int cells, const void *p) {
    if (cells == CYCONV_REAL) return *(const real *)p;
    half_t row[LANES] = {0};
    memcpy(row, p, sizeof *row);
    return load_cells_at(cells, row)[0];
}

INLINE void store_cell(const int cells, void *p, real a) {
    if (cells == CYCONV_REAL) {
        *(real *)p = a;
        return;
    }
    half_t row[LANES];
    store_cells_at(cells, row, splat(a));
    memcpy(p, row, sizeof *row);
}
#else
INLINE vec even_bf16(const void *p) { return load(p); }
INLINE vec odd_bf16(const void *p) { return load(p); }
INLINE void store_bf16_pairs(void *p, vec even, vec odd) { store(p, even + odd); }
INLINE vec load_cells_at(const int cells, const void *p) {
    (void)cells;
    return load(p);
}
INLINE void store_cells_at(const int cells, void *p, vec v) {
    (void)cells;
    store(p, v);
}
INLINE real load_cell(const int cells, const void *p) {
    (void)cells;
    return *(const real *)p;
}
INLINE void store_cell(const int cells, void *p, real a) {
    (void)cells;
    *(real *)p = a;
}
#endif

/* CALL(cells) with `cells` known to the compiler. */
#ifdef ELEMENT_f32
#define OF_CELLS(cells, CALL) \
    switch (cells) {          \
    case CYCONV_F16:          \
        CALL(CYCONV_F16);     \
        break;                \
    case CYCONV_BF16:         \
        CALL(CYCONV_BF16);    \
        break;                \
    default:                  \
        CALL(CYCONV_REAL);    \
    }
#else
#define OF_CELLS(cells, CALL) \
    {                         \
        (void)(cells);        \
        CALL(CYCONV_REAL);    \
    }
#endif

/* x[0], x[2], ..., reading no cell after the last of them. */
INLINE vec every_second_cell(const int cells, const void *x) {
    if (cells == CYCONV_REAL) return every_second(x);
#if LANES == 2
    return (vec){load_cell(cells, x), load_cell(cells, cell_at(cells, x, 2))};
#else
    const vec a = load_cells_at(cells, x), b = load_cells_at(cells, cell_at(cells, x, LANES - 1));
#if VECTOR_BYTES == 32 && LANES == 8
    return ordered(SHUFFLE(a, b, 0, 2, 9, 11, 4, 6, 13, 15));
#elif VECTOR_BYTES == 32 && LANES == 4
    return ordered(SHUFFLE(a, b, 0, 5, 2, 7));
#else
    return SHUFFLE(a, b, SECOND);
#endif
#endif
}

/* to[i] = from[i * stride], i < n; the last vector overlaps the one before it. */
INLINE void copy_cells(const int cells, real *to, const void *from, ptrdiff_t stride, ptrdiff_t n) {
    if (cells == CYCONV_REAL) {
        copy_row(to, from, stride, n);
        return;
    }
    if (stride == 1 && n >= LANES) {
        for (ptrdiff_t i = 0; i < n - LANES; i += LANES)
            store(to + i, load_cells_at(cells, cell_at(cells, from, i)));
        store(to + n - LANES, load_cells_at(cells, cell_at(cells, from, n - LANES)));
        return;
    }
    if (stride == 2 && n >= LANES) {
        for (ptrdiff_t i = 0; i < n - LANES; i += LANES)
            store(to + i, every_second_cell(cells, cell_at(cells, from, 2 * i)));
        store(to + n - LANES, every_second_cell(cells, cell_at(cells, from, 2 * (n - LANES))));
        return;
    }
    half_t few[LANES];
    real wide[LANES];
    for (ptrdiff_t i = 0; i < n; i += LANES) { /* cells apart, or few: together again */
        const ptrdiff_t some = n - i < LANES ? n - i : LANES;
        for (ptrdiff_t j = 0; j < some; j++) few[j] = ((const half_t *)from)[(i + j) * stride];
        for (ptrdiff_t j = some; j < LANES; j++) few[j] = 0;
        store(wide, load_cells_at(cells, few));
        memcpy(to + i, wide, (size_t)some * sizeof(real));
    }
}

/* The first n < LANES elements, as `store_few` does. */
INLINE void store_few_cells(const int cells, void *to, vec v, ptrdiff_t n) {
    if (cells == CYCONV_REAL) {
        store_few(to, v, n);
        return;
    }
    enum { HALF = LANES / 2, BYTES = HALF * sizeof(half_t) };
    half_t out[LANES], last[HALF];
    store_cells_at(cells, out, v);
    if (n >= HALF) {
        memcpy(last, out + n - HALF, BYTES);
        memcpy(to, out, BYTES);
        memcpy((half_t *)to + n - HALF, last, BYTES);
        return;
    }
    for (ptrdiff_t j = 0; j < n; j++) ((half_t *)to)[j] = out[j];
}
#endif
