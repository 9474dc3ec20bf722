/* The sums of n neighbours along a row, by doubling: of n = 13 = 1 + 4 + 8,
 *
 *     s1 = x,   s2[i] = s1[i] + s1[i + 1],   s4[i] = s2[i] + s2[i + 2],   ...
 *     y[i] = (s1[i] + s4[i + 1]) + s8[i + 5]
 *
 * log2(n) additions of whole rows, the same for every cell. Set before:
 *   CELL, CELLS     the type of a cell, and of a vector of them
 *   ALONG           the name
 *   MEAN(v), PREPARE(s)   what becomes of a vector of sums; and what that needs, declared
 * `work` and `sums` hold as much as is read of x; whole vectors are read and written, but `columns`
 * cells of `out`. */
static void ALONG(const stage_t *s, ptrdiff_t box, const CELL *x, ptrdiff_t columns, ptrdiff_t step,
                  CELL *work, CELL *sums, CELL *out) {
    enum { MANY = sizeof(CELLS) / sizeof(CELL) };
    typedef CELLS cells_unaligned __attribute__((aligned(sizeof(CELL)), may_alias));
#define AT(p) (*(cells_unaligned *)(p))
#define FROM(p) (*(const cells_unaligned *)(p))
    PREPARE(s);
    const ptrdiff_t wide = columns + (box - 1) * step;
    const CELL *first = NULL;
    ptrdiff_t offset = 0, m = 1;
    for (ptrdiff_t bits = box; bits > 1; bits >>= 1, m *= 2) {
        const ptrdiff_t left = wide - m * step;
        if (bits & 1) {
            const CELL *from = x + offset * step;
            if (!first && x != work) /* the row itself stays as it is */
                first = from;
            else {
                for (ptrdiff_t j = 0; j < columns; j += MANY) {
                    CELLS sum = FROM(from + j);
                    if (first) sum = FROM(first + j) + sum;
                    AT(sums + j) = sum;
                }
                first = sums;
            }
            offset += m;
        }
        for (ptrdiff_t j = 0; j < left; j += MANY)
            AT(work + j) = FROM(x + j) + FROM(x + j + m * step);
        x = work;
    }
    const CELL *from = x + offset * step;
    for (ptrdiff_t j = 0; j < columns; j += MANY) {
        CELLS sum = FROM(from + j);
        if (first) sum = FROM(first + j) + sum;
        sum = MEAN(sum);
        if (j + MANY <= columns)
            AT(out + j) = sum;
        else
            memcpy(out + j, &sum, (columns - j) * sizeof(CELL));
    }
#undef AT
#undef FROM
}
