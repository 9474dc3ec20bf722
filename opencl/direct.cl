/* Direct: the defining sum over the image where it lies.

   On a CPU a work item computes VECTORS * LANES neighbouring outputs of one row of one filter.
   Inside the image a tap of all of them is a few vectors. Where the row of taps crosses the image's
   border, the cells are first put between zeros in private memory. Any other stride is taken cell
   by cell. On a GPU it computes VECTORS outputs of one plane, as far apart as the group is wide, so
   that neighbours read and write neighbouring cells. */

/* Vectors of outputs to a work item, in registers: 1, 2 or 4. */
#ifndef VECTORS
#define VECTORS 4
#endif
#define WIDTH (VECTORS * LANES)
/* Cells of one row of the image in private memory; wider rows of taps are taken cell by cell. */
#ifndef ROW
#define ROW (WIDTH + 64)
#endif

#ifdef CPU
#if VECTORS == 4
#define EACH(F) F(0) F(1) F(2) F(3)
#elif VECTORS == 2
#define EACH(F) F(0) F(1)
#else
#define EACH(F) F(0)
#endif

typedef VEC private_unaligned __attribute__((aligned(sizeof(real))));
#define LOAD_PRIVATE(p) (*(const private_unaligned *)(p))

#define ZERO(v) VEC sum##v = (VEC)(0);
#define ADD_GLOBAL(v) sum##v += weight * LESS(XS_AT(cells + v * LANES));
#define ADD_PRIVATE(v) sum##v += weight * LOAD_PRIVATE(cells + v * LANES);
#if LANES == 1
#define KEEP(v) sums[v] = sum##v;
#else
#define KEEP(v) CAT(vstore, LANES)(sum##v, v, sums);
#endif

/* xs, ys: strides of axes (n, c, d, h, w), then the offset; xs: then what stands for 0. in, out:
   sizes of (d, h, w), channels of a group, groups. taps, step, dilation, pad: of (d, h, w). */
__kernel void direct(__global const X *restrict x, __global const real *restrict w,
                     __global Y *restrict y, long8 xs, long8 ys, long8 in, long8 out, long8 taps,
                     long8 step, long8 dilation, long8 pad, EPILOGUE) {
    const real zero = xs.s6;
    const long q0 = get_global_id(0) * WIDTH;
    const long p = MOD((long)get_global_id(1), out.s1), z = get_global_id(1) / out.s1;
    const long filters = out.s3 * out.s4;
    const long k = MOD((long)get_global_id(2), filters), n = get_global_id(2) / filters;
    const long count = min((long)WIDTH, out.s2 - q0);
    const long first = q0 * step.s2 - pad.s2; /* column of the first output's first tap */
    const long reach = WIDTH + (taps.s2 - 1) * dilation.s2;
    const int rows = xs.s4 == 1 && step.s2 == 1;
    const int inside = rows && first >= 0 && first + reach <= in.s2;
    const int between = rows && !inside && reach <= ROW;
    real sums[WIDTH], nothing = 0; /* the products with rows of zeros, 0 or NaN; taps.s7 is 0 */
    EACH(ZERO)
    if (count <= 0) return;

    x += xs.s5 + n * xs.s0 + (k / out.s3) * in.s3 * xs.s1;
    w += k * in.s3 * taps.s0 * taps.s1 * taps.s2;
    for (int i = 0; i < WIDTH; i++) sums[i] = 0;
    for (long c = 0; c < in.s3; c++, x += xs.s1)
        for (long t = 0; t < taps.s0; t++) {
            const long d = z * step.s0 + t * dilation.s0 - pad.s0;
            for (long r = 0; r < taps.s1; r++, w += taps.s2) {
                const long h = p * step.s1 + r * dilation.s1 - pad.s1;
                if (d < 0 || d >= in.s0 || h < 0 || h >= in.s1) {
                    for (long s = 0; s < taps.s2; s++) nothing += w[s] * taps.s7;
                    continue;
                }
                __global const X *row = x + d * xs.s2 + h * xs.s3;
                if (inside) {
                    __global const X *cells = row + first;
                    for (long s = 0; s < taps.s2; s++, cells += dilation.s2) {
                        const VEC weight = (VEC)(w[s]);
                        EACH(ADD_GLOBAL)
                    }
                } else if (between) {
                    real copy[ROW];
                    const real *cells = copy;
                    for (long i = 0; i < reach; i++)
                        copy[i] =
                            first + i >= 0 && first + i < in.s2 ? LESS(X_AT(row, first + i)) : 0;
                    for (long s = 0; s < taps.s2; s++, cells += dilation.s2) {
                        const VEC weight = (VEC)(w[s]);
                        EACH(ADD_PRIVATE)
                    }
                } else
                    for (long i = 0; i < count; i++)
                        for (long s = 0; s < taps.s2; s++) {
                            const long column = first + i * step.s2 + s * dilation.s2;
                            const int within = column >= 0 && column < in.s2;
                            sums[i] += w[s] * (within ? LESS(X_AT(row, column * xs.s4)) : 0);
                        }
            }
        }
    if (inside || between) {
        EACH(KEEP)
    }

    const long at = ys.s5 + n * ys.s0 + k * ys.s1 + z * ys.s2 + p * ys.s3 + q0 * ys.s4;
    const real shift = nothing + (bias ? bias[k] : 0);
    long i = 0;
#if LANES > 1
    if (ys.s4 == 1)
        for (; i + LANES <= count; i += LANES) {
            const long to = at + i;
            const VEC residual = add ? LOAD(add + to + away) : (VEC)(0);
            const VEC value = LOAD_PRIVATE(sums + i) + shift + residual;
            STORE_YS(value, k, y + to);
        }
#endif
    for (; i < count; i++) {
        const long to = at + i * ys.s4;
        const real value = sums[i] + shift + RESIDUAL(to);
        STORE_Y(value, k, y, to);
    }
}

#else /* a GPU */

__kernel void direct(__global const X *restrict x, __global const real *restrict w,
                     __global Y *restrict y, long8 xs, long8 ys, long8 in, long8 out, long8 taps,
                     long8 step, long8 dilation, long8 pad, EPILOGUE) {
    const real zero = xs.s6;
    const uint rows = out.s1, columns = out.s2, outputs = (uint)out.s0 * rows * columns;
    const uint filters = (uint)out.s3 * (uint)out.s4;
    const uint n = (uint)get_global_id(2) / filters, k = MOD((uint)get_global_id(2), filters);
    const uint beside = get_local_size(0);
    const uint begin = get_group_id(0) * beside * VECTORS + get_local_id(0);
    const int depth = in.s0, height = in.s1, width = in.s2, channels = in.s3;
    const int reach = taps.s1, across = taps.s2;
    int d0[VECTORS], h0[VECTORS], q0[VECTORS]; /* where an output's first tap lies */
    real sums[VECTORS];
#pragma unroll
    for (uint v = 0; v < VECTORS; v++) {
        const uint i = begin + v * beside, line = i / columns;
        d0[v] = line / rows * (int)step.s0 - (int)pad.s0;
        h0[v] = MOD(line, rows) * (int)step.s1 - (int)pad.s1;
        q0[v] = MOD(i, columns) * (int)step.s2 - (int)pad.s2;
        sums[v] = 0;
    }

    x += xs.s5 + n * xs.s0 + k / (uint)out.s3 * channels * xs.s1;
    w += (ulong)k * channels * (uint)taps.s0 * reach * across;
    for (int c = 0; c < channels; c++, x += xs.s1)
        for (int t = 0; t < (int)taps.s0; t++)
            for (int r = 0; r < reach; r++, w += across)
                for (int s = 0; s < across; s++) {
                    const real weight = w[s];
#pragma unroll
                    for (uint v = 0; v < VECTORS; v++) {
                        const int d = d0[v] + t * (int)dilation.s0;
                        const int h = h0[v] + r * (int)dilation.s1;
                        const int q = q0[v] + s * (int)dilation.s2;
                        const int inside = (uint)d < (uint)depth && (uint)h < (uint)height;
                        const real cell = inside && (uint)q < (uint)width
                                              ? LESS(X_AT(x, d * xs.s2 + h * xs.s3 + q * xs.s4))
                                              : 0;
                        sums[v] += weight * cell;
                    }
                }

    const real shift = bias ? bias[k] : 0;
    const long first = ys.s5 + n * ys.s0 + k * ys.s1;
#pragma unroll
    for (uint v = 0; v < VECTORS; v++) {
        const uint i = begin + v * beside, line = i / columns, z = line / rows;
        const uint p = MOD(line, rows), q = MOD(i, columns);
        if (i < outputs) {
            const long at = first + z * ys.s2 + p * ys.s3 + q * ys.s4;
            const real value = sums[v] + shift + RESIDUAL(at);
            STORE_Y(value, k, y, at);
        }
    }
}
#endif
