/* Cells of 16 bits: what is widened, and what is finished and rounded. Values are small integers,
 * which both kinds hold: f16 1024 + n has the bits of n from its lowest on, bf16 128 + n those of
 * n. */

static uint16_t half_of(int cells, int n) {
    return (uint16_t)((cells == CYCONV_F16 ? 0x6400 : 0x4300) + n);
}
static real value_of(int cells, int n) { return (real)((cells == CYCONV_F16 ? 1024 : 128) + n); }

static void same_bytes(const void *got, const void *want, ptrdiff_t n) {
    for (ptrdiff_t i = -MARGIN; i < n; i++)
        if (((const char *)got)[i] != ((const char *)want)[i]) fail("byte %td of %td", i, n);
}

static void check_widen(const kernels_t *k) {
    for (int round = 0; round < 300; round++) {
        const int cells = between(0, 1) ? CYCONV_F16 : CYCONV_BF16;
        const ptrdiff_t rows = between(1, 4), n = between(1, 70), step = between(1, 3);
        const ptrdiff_t from_row = (n - 1) * step + 1 + between(0, 5) * between(0, 1);
        const ptrdiff_t ld = n + between(0, 3), all = (rows - 1) * from_row + (n - 1) * step + 1;
        begin("widen: cells %d, %td x %td, step %td, row %td", cells, rows, n, step, from_row);
        uint16_t *from = guarded(INPUT, all * 2);
        for (ptrdiff_t i = 0; i < all; i++) from[i] = half_of(cells, (int)between(0, 99));
        const ptrdiff_t bytes = ((rows - 1) * ld + n) * (ptrdiff_t)sizeof(real);
        real *got = guarded(GOT, bytes), *want = guarded(WANT, bytes);
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < n; j++)
                want[i * ld + j] = value_of(cells, from[i * from_row + j * step] & 127);
        k->widen(cells, rows, n, from, from_row, step, got, ld);
        same_bytes(got, want, bytes);
    }
}

static void check_finish_rows(const kernels_t *k) {
    for (int round = 0; round < 300; round++) {
        const int cells = between(0, 1) ? CYCONV_F16 : CYCONV_BF16;
        const ptrdiff_t rows = between(1, 4), n = between(1, 70), step = between(1, 3);
        const ptrdiff_t y_row = (n - 1) * step + 1 + between(0, 3), ld = n + between(0, 3);
        const ptrdiff_t bytes = ((rows - 1) * y_row + (n - 1) * step + 1) * 2;
        begin("finish_rows: cells %d, %td x %td, step %td, row %td", cells, rows, n, step, y_row);
        real *block = guarded(INPUT, ((rows - 1) * ld + n) * (ptrdiff_t)sizeof(real));
        uint16_t *got = guarded(GOT, bytes), *want = guarded(WANT, bytes);
        real bias[4];
        const epilogue_t e = {.bias = bias, .low = -INFINITY, .high = INFINITY};
        const int acts = (int)between(0, 1);
        for (ptrdiff_t i = 0; i < rows; i++) {
            bias[i] = (real)between(0, 9);
            for (ptrdiff_t j = 0; j < n; j++) {
                const int value = (int)between(0, 90);
                block[i * ld + j] = value_of(cells, value);
                want[i * y_row + j * step] = half_of(cells, value + (acts ? (int)bias[i] : 0));
            }
        }
        k->finish_rows(cells, rows, n, block, ld, got, y_row, step, acts ? &e : NULL);
        same_bytes(got, want, bytes);
    }
}
