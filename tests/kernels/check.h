/* What the checks of the kernels share: guarded buffers, random numbers, and the case at hand.
 *
 * A buffer ends where memory may be neither read nor written, and begins after a margin; all of it
 * is POISON at first, which as a number of any type is too large to go unseen in a sum:
 *
 *     | ... POISON, MARGIN bytes | the buffer | no access |
 *
 * A check fills two of them, `got` by the kernel and `want` by a plain loop, and compares all their
 * bytes. What a contract leaves open is copied from `got` to `want` first. */
#ifndef CHECK_H
#define CHECK_H
#include "chain.h"
#include "kernel_table.h"
#include "last.h"
#include "spectra.h"
#include <stdint.h>
#include <stdio.h>

enum { SLOTS = 6, SLOT_BYTES = 1 << 20, MARGIN = 2048, POISON = 0xFB };

#ifdef __MINGW_PRINTF_FORMAT /* with __USE_MINGW_ANSI_STDIO: C's formats, not those of its system \
                              */
#define PRINTF __MINGW_PRINTF_FORMAT
#else
#define PRINTF printf
#endif

/* A buffer of so many bytes in place of the slot's last one. */
void *guarded(int slot, ptrdiff_t bytes);

/* The case that the next failure names; every case counts. */
void begin(const char *format, ...) __attribute__((format(PRINTF, 1, 2)));
/* Prints the case and what is wrong with it, and ends the process. */
_Noreturn void fail(const char *format, ...) __attribute__((format(PRINTF, 1, 2)));

uint64_t random_bits(void);                         /* the same in every run */
ptrdiff_t between(ptrdiff_t first, ptrdiff_t last); /* a random number, both included */

/* All checks of one element type, from check_element.c. */
void check_f32(const kernels_t *k);
void check_f64(const kernels_t *k);
void check_u32(const kernels_t *k);
void check_u64(const kernels_t *k);

/* Those of image filters, from check_chains.c. */
void check_chains(const chains_t *k);

/* Those of products of 16-bit integers, from check_pairs.c; nr is that of
 * kernels_t for u32. */
void check_pairs(const pairs_t *k, ptrdiff_t nr);
/* Those of channels last, from check_last.c. */
void check_last_f32(const last_t *k);
void check_last_f64(const last_t *k);
/* Those of products of spectra, from check_spectra.c. */
void check_spectra_f32(const spectra_t *k);
void check_spectra_f64(const spectra_t *k);
#endif
