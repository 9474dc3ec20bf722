/* Checks every kernel of every table that this machine can run against plain loops:
 *
 *     check_kernels           prints a line for each table and element type; exit code 0 or 1
 *
 * tests/test_kernels.py builds it with the kernels' own objects and runs it. */
#include "check.h"
#include "pages.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *table_name, *element_name;
static char current[400];
static long cases;
static uint64_t state;
static unsigned char *slot_end[SLOTS];

static void make_slots(void) {
    const size_t page = page_bytes(), each = SLOT_BYTES + page;
    unsigned char *all = pages(SLOTS * each);
    for (int i = 0; i < SLOTS; i++) {
        slot_end[i] = all + i * each + SLOT_BYTES;
        if (!all || !closed(slot_end[i], page)) {
            fputs("no memory with pages that cannot be touched\n", stderr);
            exit(2);
        }
    }
}

void *guarded(int slot, ptrdiff_t bytes) {
    if (bytes < 0 || bytes + MARGIN > SLOT_BYTES) fail("the check wants %td bytes", bytes);
    unsigned char *at = slot_end[slot] - bytes;
    memset(at - MARGIN, POISON, (size_t)bytes + MARGIN);
    return at;
}

void begin(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(current, sizeof current, format, values);
    va_end(values);
    cases++;
}

_Noreturn void fail(const char *format, ...) {
    va_list values;
    fprintf(stderr, "FAILED %s %s, case %ld: %s: ", table_name, element_name, cases, current);
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    fflush(NULL);
    _Exit(1);
}

static void no_access(int number) {
    (void)number;
    fail("reads or writes beyond a buffer");
}

/* Marsaglia's xorshift64. */
uint64_t random_bits(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

ptrdiff_t between(ptrdiff_t first, ptrdiff_t last) {
    return first + (ptrdiff_t)(random_bits() >> 8) % (last - first + 1);
}

static void start(const char *element) {
    element_name = element;
    cases = 0;
    state = 0x9E3779B97F4A7C15u;
}

static void finish(void) {
    printf("%s %s: %ld cases\n", table_name, element_name, cases);
    fflush(stdout);
}

static void check_filters(const char *element, const chains_t *k) {
    start(element);
    check_chains(k);
    finish();
}

static void check_last(const char *element, void (*checks)(const last_t *), const last_t *k) {
    start(element);
    checks(k);
    finish();
}

static void check_spectra(const char *element, void (*checks)(const spectra_t *),
                          const spectra_t *k) {
    start(element);
    checks(k);
    finish();
}

static void check(const char *element, void (*checks)(const kernels_t *), const kernels_t *k) {
    start(element);
    checks(k);
    finish();
}

static void check_products(const char *element, const pairs_t *k, ptrdiff_t nr) {
    start(element);
    check_pairs(k, nr);
    finish();
}

int main(void) {
    make_slots();
    signal(SIGSEGV, no_access);
#ifdef SIGBUS
    signal(SIGBUS, no_access);
#endif
    for (const kernel_table_t **table = kernel_tables(); *table; table++) {
        table_name = (*table)->name;
        check("f32", check_f32, (*table)->f32);
        check("f64", check_f64, (*table)->f64);
        check("u32", check_u32, (*table)->u32);
        check("u64", check_u64, (*table)->u64);
        check_filters("chains_f32", (*table)->chains_f32);
        check_filters("chains_f64", (*table)->chains_f64);
        check_products("pairs_u32", (*table)->pairs, (*table)->u32->nr);
        check_last("last_f32", check_last_f32, last_table(table_name, 4));
        check_last("last_f64", check_last_f64, last_table(table_name, 8));
        check_spectra("spectra_f32", check_spectra_f32, spectra_table(table_name, 4));
        check_spectra("spectra_f64", check_spectra_f64, spectra_table(table_name, 8));
    }
    return 0;
}
