/* Planes of the image copied between zeros, one phase of the stride at a time. */

/* s[plane, z, h, w] = x[n, c, z step + lo, ...], zero outside x. xs: strides (n, c, d, h, w),
   offset. in: sizes of x (d, h, w) and channels. size: of s (d, h, w), elements to its next plane,
   where it begins, and how many zeros follow it. run: columns to a work item. */
__kernel void stage(__global const real *restrict x, __global real *restrict s, long8 xs, long8 in,
                    long8 size, long8 step, long8 lo, long run) {
    const uint plane = get_global_id(2), n = plane / (uint)in.s3;
    const uint line = get_global_id(1), z = line / (uint)size.s1, r = MOD(line, (uint)size.s1);
    const long d = z * step.s0 + lo.s0, h = r * step.s1 + lo.s1;
    const long tail = get_global_id(1) + 1 == get_global_size(1) ? size.s5 : 0;
    const long begin = get_global_id(0) * run, end = min(begin + run, size.s2 + tail);
    if (begin >= end) return;
    /* The columns from first to last lie inside x. */
    const int low = lo.s2, by = step.s2, width = in.s2;
    long first = low < 0 ? (-low + by - 1) / by : 0;
    long last = width > low ? (width - low + by - 1) / by : 0;
    if (d < 0 || d >= in.s0 || h < 0 || h >= in.s1) last = 0;
    first = clamp(first, begin, end);
    last = clamp(min(last, size.s2), first, end);
    x += xs.s5 + n * xs.s0 + (plane - n * in.s3) * xs.s1 + d * xs.s2 + h * xs.s3;
    x += lo.s2 * xs.s4;
    s += size.s4 + plane * size.s3 + get_global_id(1) * size.s2;
    const long stride = step.s2 * xs.s4;
    for (long i = begin; i < first; i++) s[i] = 0;
    if (stride == 1)
        for (long i = first; i < last; i++) s[i] = x[i];
    else
        for (long i = first; i < last; i++) s[i] = x[i * stride];
    for (long i = last; i < end; i++) s[i] = 0;
}
