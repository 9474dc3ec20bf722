/* Vectors of 16 bits, and pixels of 8 bits widened to them. */
#ifndef CYCONV_WIDEN_H
#define CYCONV_WIDEN_H
#include "simd.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

typedef int16_t shorts __attribute__((vector_size(VECTOR_BYTES)));
enum { SHORTS = VECTOR_BYTES / 2 };

/* SHORTS stored pixels: GCC's own conversions go by way of half vectors. */
#if VECTOR_BYTES == 64 && defined(__AVX512BW__)
#define WIDE_uint8_t(v) ((shorts)_mm512_cvtepu8_epi16((__m256i)(v)))
#define WIDE_int8_t(v) ((shorts)_mm512_cvtepi8_epi16((__m256i)(v)))
#elif VECTOR_BYTES == 32 && defined(__AVX2__)
#define WIDE_uint8_t(v) ((shorts)_mm256_cvtepu8_epi16((__m128i)(v)))
#define WIDE_int8_t(v) ((shorts)_mm256_cvtepi8_epi16((__m128i)(v)))
#else
#define WIDE_uint8_t(v) __builtin_convertvector(v, shorts)
#define WIDE_int8_t(v) __builtin_convertvector(v, shorts)
#endif
#define WIDE_int16_t(v) (v)
#endif
