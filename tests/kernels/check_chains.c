/* Filters of images: tiles against the formula, cell by cell, on small integers, where every order
 * of a sum is exact. Compiled once; the image and the result end where memory does. */
#include "chain.h"
#include "check.h"
#include <math.h>

enum { IMAGE, RESULT, SCRATCH, MOST = 40, TAPS = 25 };

static const ptrdiff_t sizes[] = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8};

static double cell_of(storage_t type, const char *x, ptrdiff_t i) {
    switch (type) {
    case CYCONV_U8:
        return ((const uint8_t *)x)[i];
    case CYCONV_I8:
        return ((const int8_t *)x)[i];
    case CYCONV_U16:
        return ((const uint16_t *)x)[i];
    case CYCONV_I16:
        return ((const int16_t *)x)[i];
    case CYCONV_U32:
        return ((const uint32_t *)x)[i];
    case CYCONV_I32:
        return ((const int32_t *)x)[i];
    case CYCONV_U64:
        return (double)((const uint64_t *)x)[i];
    case CYCONV_I64:
        return (double)((const int64_t *)x)[i];
    case CYCONV_F32:
        return ((const float *)x)[i];
    default:
        return ((const double *)x)[i];
    }
}

static void set_cell(storage_t type, char *x, ptrdiff_t i, int value) {
    switch (type) {
    case CYCONV_U8:
        ((uint8_t *)x)[i] = (uint8_t)value;
        break;
    case CYCONV_I8:
        ((int8_t *)x)[i] = (int8_t)value;
        break;
    case CYCONV_U16:
        ((uint16_t *)x)[i] = (uint16_t)value;
        break;
    case CYCONV_I16:
        ((int16_t *)x)[i] = (int16_t)value;
        break;
    case CYCONV_U32:
        ((uint32_t *)x)[i] = (uint32_t)value;
        break;
    case CYCONV_I32:
        ((int32_t *)x)[i] = value;
        break;
    case CYCONV_U64:
        ((uint64_t *)x)[i] = (uint64_t)value;
        break;
    case CYCONV_I64:
        ((int64_t *)x)[i] = value;
        break;
    case CYCONV_F32:
        ((float *)x)[i] = (float)value;
        break;
    default:
        ((double *)x)[i] = value;
    }
}

/* The image, with what lies around it. */
static double cell_at(const chain_t *c, const char *x, ptrdiff_t r, ptrdiff_t q, ptrdiff_t k) {
    const ptrdiff_t row = border_source(c->row_border, r, c->rows);
    const ptrdiff_t column = border_source(c->column_border, q, c->columns);
    if (row < 0 || column < 0) return c->constant;
    return cell_of(c->source, x + row * c->x_row, column * c->step + k);
}

/* Means of boxes of bytes: the nearest in f32, and the nearest integers. */
static void check_boxes(const chains_t *k) {
    for (int turn = 0; turn < 300; turn++) {
        const ptrdiff_t rows = between(1, turn % 3 ? 9 : 40),
                        columns = between(1, turn % 3 ? 9 : 40);
        chain_t c = {.source = CYCONV_U8,
                     .target = (storage_t)between(0, 9),
                     .between = CYCONV_F32,
                     .saturate = 1,
                     .rows = between(1, MOST),
                     .columns = between(1, MOST),
                     .step = between(1, 3),
                     .row_border = (border_mode_t)between(0, 4),
                     .column_border = (border_mode_t)between(0, 4),
                     .branches = 1,
                     .stages = {2},
                     .box_rows = rows,
                     .box_columns = columns,
                     .box_up = between(0, rows - 1),
                     .box_left = between(0, columns - 1),
                     .box_divisor = (double)(rows * columns)};
        c.up = c.box_up, c.below = rows - 1 - c.up;
        c.left = c.box_left, c.right = columns - 1 - c.left;
        c.x_row = c.columns * c.step, c.y_row = c.columns * c.step * sizes[c.target];
        begin("box %td x %td of bytes -> %d, %td x %td x %td, borders %d %d", rows, columns,
              c.target, c.rows, c.columns, c.step, c.row_border, c.column_border);
        char *x = guarded(IMAGE, c.rows * c.x_row), *y = guarded(RESULT, c.rows * c.y_row);
        for (ptrdiff_t i = 0; i < c.rows * c.x_row; i++)
            set_cell(c.source, x, i, (int)between(0, 255));
        const ptrdiff_t r[] = {0, between(0, c.rows), c.rows};
        const ptrdiff_t q[] = {0, between(0, c.columns), c.columns};
        void *scratch = guarded(SCRATCH, k->scratch(&c) * k->itemsize);
        for (int tile = 0; tile < 4; tile++)
            if (r[tile / 2] < r[tile / 2 + 1] && q[tile % 2] < q[tile % 2 + 1])
                k->tile(&c, x, y, r[tile / 2], r[tile / 2 + 1], q[tile % 2], q[tile % 2 + 1],
                        scratch);
        const double most = c.target == CYCONV_I8 ? 127 : 255;
        for (ptrdiff_t i = 0; i < c.rows; i++)
            for (ptrdiff_t j = 0; j < c.columns; j++)
                for (ptrdiff_t e = 0; e < c.step; e++) {
                    double sum = 0;
                    for (ptrdiff_t t = 0; t < rows; t++)
                        for (ptrdiff_t u = 0; u < columns; u++)
                            sum += cell_at(&c, x, i + t - c.box_up, j + u - c.box_left, e);
                    double mean = sum / (double)(rows * columns);
                    if (c.target < CYCONV_F32) mean = fmin(rint(mean), most);
                    const double got = cell_of(c.target, y + i * c.y_row, j * c.step + e);
                    if (fabs(got - mean) > (c.target < CYCONV_F32 ? 0 : 6e-8 * mean))
                        fail("cell %td %td %td is %g, not %g", i, j, e, got, mean);
                }
    }
}

/* The sum of a column of the image, as the second stage of a chain reads it: what it reads beyond
 * the columns, where that is a constant, is the constant. */
static double column_sum(const chain_t *c, const char *x, ptrdiff_t r, ptrdiff_t q, ptrdiff_t k) {
    const stage_t *s = &c->stage[0][0];
    double sum = 0;
    if (border_source(c->column_border, q, c->columns) < 0) return c->constant;
    for (ptrdiff_t t = 0; t < s->box; t++) sum += cell_at(c, x, r + t - s->up, q, k);
    return sum;
}

/* One stage of random taps over both axes, or a box; small enough for int8. Or a box down the rows
 * and one along them. */
void check_chains(const chains_t *k) {
    if (k->itemsize == 4) check_boxes(k);
    for (int turn = 0; turn < 900; turn++) {
        float narrow[TAPS];
        double wide[TAPS];
        ptrdiff_t at[TAPS], row[TAPS], column[TAPS], terms = 0;
        chain_t c = {.source = (storage_t)between(0, 9),
                     .saturate = (int)between(0, 1),
                     .rows = between(1, MOST),
                     .columns = between(1, MOST),
                     .step = between(1, 3),
                     .row_border = (border_mode_t)between(0, 4),
                     .column_border = (border_mode_t)between(0, 4),
                     .constant = 2,
                     .branches = 1,
                     .stages = {1}};
        stage_t *s = &c.stage[0][0];
        const int box = between(0, 2) ? 0 : (int)between(9, 20), down = (int)between(0, 1);
        c.target = box ? (storage_t)between(CYCONV_I16, CYCONV_F64) : (storage_t)between(0, 9);
        if (c.target == CYCONV_U32 || c.target == CYCONV_U64) c.target = CYCONV_F32;
        c.between = c.target;
        const int sparse = (int)between(0, 1); /* else no tap is left out */
        s->divisor = s->factor = 1;
        s->box = box, s->down = down;
        const ptrdiff_t reach = box ? box - 1 : between(0, 4);
        s->up = !box || down ? between(0, reach) : 0, s->below = !box || down ? reach - s->up : 0;
        s->left = !box || !down ? between(0, reach) : 0;
        s->right = !box || !down ? reach - s->left : 0;
        c.up = s->up + between(0, 2), c.below = s->below + between(0, 2);
        c.left = s->left + between(0, 2), c.right = s->right + between(0, 2);
        stage_t *two = box && down && between(0, 1) ? &c.stage[0][1] : NULL;
        if (two) {
            c.stages[0] = 2, two->box = between(9, 20), two->divisor = two->factor = 1;
            two->left = between(0, two->box - 1), two->right = two->box - 1 - two->left;
            c.left += two->left, c.right += two->right;
        }
        c.pitch = ((c.columns + c.left + c.right) * c.step + CYCONV_SPARE) / 16 * 16 + 16;
        for (ptrdiff_t r = -s->up; !box && r <= s->below; r++)
            for (ptrdiff_t q = -s->left; q <= s->right; q++) {
                if (terms && sparse && between(0, 2) == 0) continue;
                row[terms] = r, column[terms] = q;
                at[terms] = (r + s->up) * c.pitch + (q + s->left) * c.step;
                wide[terms] = narrow[terms] = (float)between(0, 1);
                terms++;
            }
        s->dense = !box && !sparse;
        s->terms = terms, s->at = at, s->mirrored = at;
        s->w = k->itemsize == 4 ? (const void *)narrow : (const void *)wide;
        c.x_row = c.columns * c.step * sizes[c.source];
        c.y_row = c.columns * c.step * sizes[c.target];
        begin("chain %d -> %d, %td x %td x %td, borders %d %d, box %d down %d, stages %d", c.source,
              c.target, c.rows, c.columns, c.step, c.row_border, c.column_border, box, down,
              c.stages[0]);
        char *x = guarded(IMAGE, c.rows * c.x_row), *y = guarded(RESULT, c.rows * c.y_row);
        for (ptrdiff_t i = 0; i < c.rows * c.columns * c.step; i++)
            set_cell(c.source, x, i, (int)between(0, 4));
        /* Two tiles down, two across, in any place. */
        const ptrdiff_t r[] = {0, between(0, c.rows), c.rows};
        const ptrdiff_t q[] = {0, between(0, c.columns), c.columns};
        void *scratch = guarded(SCRATCH, k->scratch(&c) * k->itemsize);
        for (int tile = 0; tile < 4; tile++)
            if (r[tile / 2] < r[tile / 2 + 1] && q[tile % 2] < q[tile % 2 + 1])
                k->tile(&c, x, y, r[tile / 2], r[tile / 2 + 1], q[tile % 2], q[tile % 2 + 1],
                        scratch);
        for (ptrdiff_t i = 0; i < c.rows; i++)
            for (ptrdiff_t j = 0; j < c.columns; j++)
                for (ptrdiff_t e = 0; e < c.step; e++) {
                    double sum = 0;
                    for (ptrdiff_t t = 0; t < terms; t++)
                        sum += wide[t] * cell_at(&c, x, i + row[t], j + column[t], e);
                    for (ptrdiff_t t = 0; two && t < two->box; t++)
                        sum += column_sum(&c, x, i, j + t - two->left, e);
                    for (ptrdiff_t t = 0; !two && t < box; t++)
                        sum += down ? cell_at(&c, x, i + t - s->up, j, e)
                                    : cell_at(&c, x, i, j + t - s->left, e);
                    const double got = cell_of(c.target, y + i * c.y_row, j * c.step + e);
                    if (got != sum) fail("cell %td %td %td is %g, not %g", i, j, e, got, sum);
                }
    }
}
