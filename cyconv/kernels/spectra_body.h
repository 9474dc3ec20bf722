/* Looks at the sizes of numbers: see the contract in spectra.h. Sizes are compared as integers,
 * whose order is that of the numbers, and NaN above infinity. */
#include <math.h>

#if REAL_BYTES == 4
#define SIZE_BITS 0x7fffffff
#define INFINITE 0x7f800000
#else
#define SIZE_BITS 0x7fffffffffffffff
#define INFINITE 0x7ff0000000000000
#endif

INLINE lane_mask either(lane_mask mask, lane_mask a, lane_mask b) {
    return (mask & a) | (~mask & b);
}
INLINE lane_mask sizes(const real *x) { return (lane_mask)load(x) & SIZE_BITS; }
INLINE lane_mask larger(lane_mask a, lane_mask b) { return either(a > b, a, b); }
INLINE lane_mask least_but_zero(lane_mask a, lane_mask b) {
    return either((a > 0) & (a < b), a, b);
}

/* The largest of a run, in some lane. */
INLINE lane_mask run_size(const real *x) {
    lane_mask most = sizes(x);
#pragma GCC unroll 8
    for (int k = LANES; k < CYCONV_RUN; k += LANES) most = larger(sizes(x + k), most);
    return most;
}

/* In lane l, the largest of all lanes of run l; `runs` is used up. */
INLINE lane_mask largest_each(lane_mask *runs) {
#pragma GCC unroll 4
    for (int n = LANES / 2; n; n /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            const vec a = (vec)runs[2 * i], b = (vec)runs[2 * i + 1];
            runs[i] = larger((lane_mask)evens(a, b), (lane_mask)odds(a, b));
        }
    return runs[0];
}

/* The sizes of rows of numbers, in the lanes: the largest, the least that is not zero, and the
 * least of the largest of each run. */
typedef struct {
    lane_mask most, low, run;
} sizes_t;

INLINE sizes_t no_sizes(void) {
    const lane_mask none = (lane_mask){0} + INFINITE;
    return (sizes_t){{0}, none, none};
}

static void add_sizes(ptrdiff_t n, const real *x, int least, sizes_t *found) {
    lane_mask most = found->most, low = found->low, run = found->run, runs[LANES];
    real few[CYCONV_RUN] = {0};
    ptrdiff_t count = n / CYCONV_RUN, i = 0;
    for (; i + LANES <= count; i += LANES) {
#pragma GCC unroll 16
        for (int k = 0; k < LANES; k++) runs[k] = run_size(x + (i + k) * CYCONV_RUN);
        const lane_mask each = largest_each(runs);
        most = larger(each, most);
        run = least_but_zero(each, run);
    }
    if (n < CYCONV_RUN) {
        if (n > 0) memcpy(few, x, (size_t)n * sizeof *x);
        x = few, n = CYCONV_RUN, count = 1;
    }
    /* Fewer runs than lanes: the last one, which ends where the numbers do, stands again. */
    for (const ptrdiff_t end = count + (n % CYCONV_RUN > 0); i < end; i += LANES) {
        for (ptrdiff_t k = 0; k < LANES; k++) {
            const ptrdiff_t j = i + k < end ? i + k : end - 1;
            runs[k] = run_size(x + (j < count ? j * CYCONV_RUN : n - CYCONV_RUN));
        }
        const lane_mask each = largest_each(runs);
        most = larger(each, most);
        run = least_but_zero(each, run);
    }
    if (least) {
        for (i = 0; i + LANES <= n; i += LANES) low = least_but_zero(sizes(x + i), low);
        if (i < n) low = least_but_zero(sizes(x + n - LANES), low);
    }
    *found = (sizes_t){most, low, run};
}

static void merge_sizes(const sizes_t *sizes, spread_t *found) {
    const vec most = (vec)sizes->most, run = (vec)sizes->run, low = (vec)sizes->low;
    for (int l = 0; l < LANES; l++) {
        if (!(most[l] <= found->largest))
            found->largest = sizes->most[l] < INFINITE ? most[l] : INFINITY;
        if (run[l] < found->least_run) found->least_run = run[l];
        if (low[l] < found->least) found->least = low[l];
    }
}

static void row_spread(ptrdiff_t n, const void *x, int least, spread_t *found) {
    sizes_t sizes = no_sizes();
    add_sizes(n, x, least, &sizes);
    merge_sizes(&sizes, found);
}
