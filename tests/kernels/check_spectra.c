/* Checks of the kernels beside products of spectra (spectra.h), for one element type. */
#include "check.h"
#include "spectra.h"
#include <math.h>

#ifdef ELEMENT_f32
typedef float real;
#define CHECK check_spectra_f32
#else
typedef double real;
#define CHECK check_spectra_f64
#endif

static double largest(const real *x, ptrdiff_t n) {
    double most = 0;
    for (ptrdiff_t i = 0; i < n; i++) most = fmax(most, fabs((double)x[i]));
    return most;
}

void CHECK(const spectra_t *k) {
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
