/* Long sums of few outputs: products along whole planes, summed in two steps.

   First each work item sums a chunk of the planes for a tile of ROWS filters x COLUMNS outputs, in
   vectors along the planes; then one work item adds the chunks of one output, in their order. */

/* Filters of a tile: 2, 4 or 6. ROWS * COLUMNS vectors are sums in registers. */
#ifndef ROWS
#define ROWS 4
#endif
/* Outputs of a tile: 2, 3 or 4, whose planes are read side by side. */
#ifndef COLUMNS
#define COLUMNS 3
#endif

#if ROWS == 6
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5)
#elif ROWS == 4
#define EACH_ROW(F) F(0) F(1) F(2) F(3)
#else
#define EACH_ROW(F) F(0) F(1)
#endif
#if COLUMNS == 4
#define EACH_COLUMN(F) F(0) F(1) F(2) F(3)
#define EACH(F, m) F(m, 0) F(m, 1) F(m, 2) F(m, 3)
#elif COLUMNS == 3
#define EACH_COLUMN(F) F(0) F(1) F(2)
#define EACH(F, m) F(m, 0) F(m, 1) F(m, 2)
#else
#define EACH_COLUMN(F) F(0) F(1)
#define EACH(F, m) F(m, 0) F(m, 1)
#endif
#define ZERO(m, j) VEC sum##m##_##j = (VEC)(0);
#define ZERO_ROW(m) EACH(ZERO, m)
#define POINT_ROW(m) __global const real *w##m = w + min(row + m, (uint)size.s0 - 1) * size.s7;
#define FETCH(j) const VEC cells##j = LOAD(x##j + from + i);
#define ADD(m, j) sum##m##_##j += weight * cells##j;
#define ADD_ROW(m)                              \
    {                                           \
        const VEC weight = LOAD(w##m + at + i); \
        EACH(ADD, m)                            \
    }
#define KEEP(m, j) sums[m * COLUMNS + j] = sum##m##_##j;
#define KEEP_ROW(m) EACH(KEEP, m)

#define POINT_COLUMN(j)                                                                            \
    const uint column##j = min(column + j, (uint)size.s1 - 1), image##j = column##j / (uint)xs.s3; \
    __global const real *x##j = x + image##j * xs.s2 + offset[column##j - image##j * (uint)xs.s3];

/* partial[chunk, filter, column] = sum of w[filter, i] x[i + offset[column]] over the chunk's i.
   size: filters of a group, columns, segments of all planes, segments of one plane, elements of a
   segment, of a plane of w, segments of a chunk, elements of w to the next filter.
   xs: elements of x to the next plane, group and image, columns of an image, to which the offsets
   belong. begin: where partial begins. */
__kernel void sum_chunks(__global const real *x, __global const real *restrict w,
                         __global const int *restrict offset, __global real *partial, long8 size,
                         long8 xs, long begin) {
    const uint column = get_global_id(0) * COLUMNS, blocks = ((uint)size.s0 + ROWS - 1) / ROWS;
    const uint block = get_global_id(1), g = block / blocks, row = MOD(block, blocks) * ROWS;
    const long chunk = get_global_id(2), filters = size.s0 * ((uint)get_global_size(1) / blocks);
    const long end = min((chunk + 1) * size.s6, size.s2);
    EACH_ROW(ZERO_ROW)
    if (column >= size.s1) return;

    x += g * xs.s1;
    w += g * size.s0 * size.s7;
    EACH_ROW(POINT_ROW)
    EACH_COLUMN(POINT_COLUMN)
    for (long s = chunk * size.s6; s < end; s++) {
        const uint plane = (uint)s / (uint)size.s3;
        const long first = (s - plane * size.s3) * size.s4;
        const long last = min(first + size.s4, size.s5), at = plane * size.s5;
        const long from = plane * xs.s0;
        for (long i = first; i < last; i += LANES) {
            EACH_COLUMN(FETCH)
            EACH_ROW(ADD_ROW)
        }
    }

    VEC sums[ROWS * COLUMNS];
    EACH_ROW(KEEP_ROW)
    partial += begin + (chunk * filters + g * size.s0 + row) * size.s1 + column;
    UNROLL for (uint m = 0; m < ROWS; m++) UNROLL for (uint j = 0; j < COLUMNS; j++) {
        const real *lanes = (const real *)(sums + m * COLUMNS + j);
        real sum = 0;
        UNROLL for (int l = 0; l < LANES; l++) sum += lanes[l];
        if (row + m < size.s0 && column + j < size.s1) partial[m * size.s1 + j] = sum;
    }
}

/* y[n, k, z, p, q] = clamp(sum of its chunks + bias + residual). One that is not finite is summed
   again as it is defined: between the rows of a plane, zeros of w met what is no part of the sum.
   out: sizes of y (d, h, w), filters, filters of a group, chunks, images. The rest as in
   direct.cl. */
__kernel void add_chunks(__global const real *restrict partial, __global Y *restrict y,
                         __global const X *restrict x, __global const real *restrict w, long8 xs,
                         long8 ws, long8 ys, long8 in, long8 out, long8 taps, long8 step,
                         long8 dilation, long8 pad, long begin, EPILOGUE) {
    const uint count = out.s0 * out.s1 * out.s2, k = get_global_id(1), column = get_global_id(0);
    const uint n = column / count, r = MOD(column, count), line = r / (uint)out.s2;
    const long z = line / (uint)out.s1, p = MOD(line, (uint)out.s1), q = MOD(r, (uint)out.s2);
    real sum = 0;
    if (n >= out.s6) return;
    partial += begin + ((long)k * out.s6 + n) * count + r;
    for (long chunk = 0; chunk < out.s5; chunk++) sum += partial[chunk * out.s3 * out.s6 * count];
    if (!(sum - sum == 0)) {
        sum = 0;
        x += xs.s5 + n * xs.s0 + k / (uint)out.s4 * in.s3 * xs.s1;
        for (long c = 0; c < in.s3; c++)
            for (long a = 0; a < taps.s0; a++)
                for (long b = 0; b < taps.s1; b++)
                    for (long e = 0; e < taps.s2; e++) {
                        const long d = z * step.s0 + a * dilation.s0 - pad.s0;
                        const long h = p * step.s1 + b * dilation.s1 - pad.s1;
                        const long i = q * step.s2 + e * dilation.s2 - pad.s2;
                        const int inside = d >= 0 && d < in.s0 && h >= 0 && h < in.s1 && i >= 0;
                        const real cell =
                            inside && i < in.s2
                                ? X_AT(x, c * xs.s1 + d * xs.s2 + h * xs.s3 + i * xs.s4)
                                : 0;
                        sum +=
                            w[ws.s5 + k * ws.s0 + c * ws.s1 + a * ws.s2 + b * ws.s3 + e * ws.s4] *
                            cell;
                    }
    }
    const long at = ys.s5 + n * ys.s0 + k * ys.s1 + z * ys.s2 + p * ys.s3 + q * ys.s4;
    sum += bias ? bias[k] : 0;
    sum += RESIDUAL(at);
    STORE_Y(sum, k, y, at);
}
