/* Planes of the image copied between zeros, one phase of the stride at a time. */

/* s[plane, phase, z, h, w] = x[n, c, z step + lo[phase], ...], zero outside x. lo: (d, h, w) of
   every phase. xs: strides (n, c, d, h, w), offset, what stands for 0. in: sizes of x (d, h, w) and
   channels. size: of a phase (d, h, w), elements to the next plane, how many zeros follow the last
   phase. run: columns to a work item. */
__kernel void stage(__global const X *restrict x, __global real *restrict s,
                    __global const int *restrict lo, long8 xs, long8 in, long8 size, long8 step,
                    long run) {
    const uint plane = get_global_id(2), n = plane / (uint)in.s3;
    const uint slice = (uint)size.s0 * (uint)size.s1, phase = get_global_id(1) / slice;
    const uint line = MOD((uint)get_global_id(1), slice), z = line / (uint)size.s1;
    const uint r = MOD(line, (uint)size.s1);
    const real zero = xs.s6;
    lo += phase * 3;
    const long d = z * step.s0 + lo[0], h = r * step.s1 + lo[1];
    const long tail = get_global_id(1) + 1 == get_global_size(1) ? size.s4 : 0;
    const long begin = get_global_id(0) * run, end = min(begin + run, size.s2 + tail);
    if (begin >= end) return;
    /* The columns from first to last lie inside x. */
    const int low = lo[2], by = step.s2, width = in.s2;
    long first = low < 0 ? (-low + by - 1) / by : 0;
    long last = width > low ? (width - low + by - 1) / by : 0;
    if (d < 0 || d >= in.s0 || h < 0 || h >= in.s1) last = 0;
    first = clamp(first, begin, end);
    last = clamp(min(last, size.s2), first, end);
    x += xs.s5 + n * xs.s0 + (plane - n * in.s3) * xs.s1 + d * xs.s2 + h * xs.s3 + low * xs.s4;
    s += plane * size.s3 + get_global_id(1) * size.s2;
    const long stride = step.s2 * xs.s4;
    for (long i = begin; i < first; i++) s[i] = 0;
    long i = first;
    if (stride == 1)
        for (; i < last; i++) s[i] = LESS(X_AT(x, i));
#if defined(CPU) && LANES > 1
    if (stride == 2)
        for (; i + LANES < last; i += LANES) { /* not the last one: a cell follows it in x */
            VEC even;
            even.lo = LESS(XS_AT(x + 2 * i)).even;
            even.hi = LESS(XS_AT(x + 2 * i + LANES)).even;
            STORE(even, s + i);
        }
#endif
    for (; i < last; i++) s[i] = LESS(X_AT(x, i * stride));
    for (; i < end; i++) s[i] = 0;
}
