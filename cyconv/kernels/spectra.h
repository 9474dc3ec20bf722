/* What products of spectra need beside the library of transforms: a look at how widely the sizes of
 * real numbers are spread. */
#ifndef CYCONV_SPECTRA_H
#define CYCONV_SPECTRA_H
#include <stddef.h>

enum { CYCONV_RUN = 16 };

/* Of sizes: the largest, infinite if a number is not finite; the least that is not zero; the least
 * of the largest of each CYCONV_RUN neighbours that are not all zero. */
typedef struct {
    double largest, least, least_run;
} spread_t;

typedef struct {
    int itemsize, lanes;
    /* That of a row of n numbers, merged with what is there; the least only if asked for. */
    void (*spread)(ptrdiff_t n, const void *x, int least, spread_t *found);
} spectra_t;

const spectra_t *spectra_table(const char *isa, int itemsize); /* dispatch.c; NULL: none */
#endif
