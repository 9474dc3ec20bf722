/* multiply_tiles' products by matrices of 16 filters x 8 taps and 8 taps x 8 positions, which a
   warp of NVIDIA's work items multiplies by one instruction. It takes numbers of 10 bits of
   mantissa: each is split into two of them, w = w0 + w1 and x = x0 + x1 to some 2^-23, and

       w x = w0 x0 + w0 x1 + w1 x0

   to 2^-22. The instruction cuts off what a sum has beyond 24 bits, always towards zero, which over
   many taps would add up; so a matrix is summed from zero and added outside, rounded. */

#ifdef MATRICES
/* The nearest number of 10 bits, and the rest, of which MULTIPLY takes 10. What has none, as
   infinity, comes out as NaN: see sum_again. */
INLINE void split(float value, uint *big, uint *small) {
    *big = (as_uint(value) + (1u << 12)) & ~((1u << 13) - 1);
    *small = as_uint(value - as_float(*big));
}

/* Of a warp's matrices, i is of filters i and i + 1 of the work items in a row, j of positions j
   and j + 4. */
static void add_products(__local const quad *chunk, quad sums[][2], uint across,
                         uint down PTX_TAKES) {
    /* Column 2 u + e of a matrix b is position j + 4 e of work item u of the four across. */
    const uint lane = get_local_id(0) % 32, t = lane % 4, u = lane / 8, e = lane / 4 % 2;
    const uint column = SPREAD(4 * e, across / 4 * 4 + u, ACROSS);
    __local const quad *w = chunk + t * (STEP_K / 4) + down;
    __local const quad *x = chunk + PANEL + t * (STEP_P / 4) + CELLS_AT(column) / 4;
#pragma unroll 1 /* two steps at once have no room in registers */
    for (uint r = 0; r < TILE_T; r += 8, w += 2 * STEP_K, x += 2 * STEP_P) {
        const quad cells[2] = {x[0], x[STEP_P]};
        uint big[4][2], small[4][2];
        UNROLL for (uint j = 0; j < 4; j++) UNROLL for (uint late = 0; late < 2; late++)
            split(((const real *)(cells + late))[j], big[j] + late, small[j] + late);
        UNROLL for (uint m = 0; m < 2; m++) {
            const quad weights[2] = {w[m * DOWN], w[STEP_K + m * DOWN]};
            UNROLL for (uint i = 0; i < 4; i += 2) {
                uint great[4], little[4];
                UNROLL for (uint a = 0; a < 4; a++)
                    split(((const real *)(weights + a / 2))[i + a % 2], great + a, little + a);
                UNROLL for (uint j = 0; j < 4; j++) {
                    const float none[4] = {0, 0, 0, 0};
                    float sum[4];
                    MULTIPLY(sum, little, big[j], none);
                    MULTIPLY(sum, great, small[j], sum);
                    MULTIPLY(sum, great, big[j], sum);
                    UNROLL for (uint c = 0; c < 4;
                                c++)((real *)&sums[m * 4 + i + c / 2][c % 2])[j] += sum[c];
                }
            }
        }
    }
}

/* The sums that are not finite, each as it is defined: what is infinite, or rounds to infinity in
   10 bits, has no rest. begin: the work item's first position. last: of all images. size: of a
   plane and, in x, of an image. */
static void sum_again(quad sums[][THREAD_P / 4], __global const real *x, __global const real *w,
                      __global const int *offset, uint begin, uint last, uint2 size, uint taps) {
    ulong wrong = 0;
    UNROLL for (uint m = 0; m < THREAD_K; m++) UNROLL for (uint p = 0; p < THREAD_P; p++) {
        const real sum = ((const real *)sums[m])[p];
        if (!(sum - sum == 0)) wrong |= 1UL << (m * THREAD_P + p);
    }
    for (; wrong; wrong &= wrong - 1) {
        const uint which = 63 - clz(wrong & -wrong);
        const uint i = min(begin + SPREAD(which % THREAD_P, 0, ACROSS), last), n = i / size.s0;
        __global const real *weight = w + SPREAD(which / THREAD_P, 0, DOWN);
        const uint place = n * size.s1 + i - n * size.s0;
        real again = 0;
#pragma unroll 1
        for (uint t = 0; t < taps; t++) again += weight[t * TILE_K] * x[(uint)(place + offset[t])];
        UNROLL for (uint m = 0; m < THREAD_K; m++) UNROLL for (uint p = 0; p < THREAD_P; p++) {
            real *const sum = (real *)sums[m] + p;
            *sum = select(*sum, again, which == m * THREAD_P + p ? ~0u : 0u);
        }
    }
}
#endif
