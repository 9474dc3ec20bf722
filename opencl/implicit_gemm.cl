/* Implicit GEMM: y[k, i] = sum over t of w[k, t] x[i + offset[t]], positions i of whole planes.

   On a CPU a work item holds a register tile, FILTERS rows of VECTORS vectors of positions, and
   reads memory itself: its caches do what local memory does on a GPU. There a group computes a tile
   of TILE_K filters x TILE_P positions from chunks of TILE_T taps in local memory, the next chunk
   on its way in registers while one is multiplied, THREAD_K x THREAD_P to a work item. Positions
   are counted over all images there. Where tiles are few, the sum is cut into parts for more
   groups, which add_parts adds in their order. */

/* Rows of a CPU's register tile: 4, 6 or 8. */
#ifndef FILTERS
#define FILTERS 6
#endif
/* Vectors in a row: 1, 2 or 3. FILTERS * VECTORS sums, VECTORS cells and a weight are registers. */
#ifndef VECTORS
#define VECTORS 2
#endif
#define WIDTH (VECTORS * LANES)

/* Filters of a GPU's tile: larger ones read the image less often. */
#ifndef TILE_K
#define TILE_K 128
#endif
/* Positions of it: larger ones read the weights less often. */
#ifndef TILE_P
#define TILE_P 128
#endif
/* Taps of a chunk; two chunks are in local memory, 2 TILE_T (TILE_K + TILE_P) elements. */
#ifndef TILE_T
#define TILE_T 8
#endif
/* Filters of one work item: THREAD_K * THREAD_P sums are in its registers. */
#ifndef THREAD_K
#define THREAD_K 8
#endif
/* Positions of one work item; (TILE_K / THREAD_K) * (TILE_P / THREAD_P) of them are a group. */
#ifndef THREAD_P
#define THREAD_P 8
#endif
/* ALIGNED: four positions from a multiple of four on are 16-byte aligned in x, in y and in the
   residual, and outputs lie in a row; the host knows. */

#ifdef CPU

/* Where position i of the planes lies in y, or NOWHERE if it is no output; y may run backwards.
   out: sizes of y (d, h, w). pitch: positions to the next slice and row. */
#define NOWHERE LONG_MIN
long place(uint i, long8 out, long8 pitch, long8 ys) {
    const uint slice = pitch.s0, row = pitch.s1; /* 32 bits: a quotient of 64 is slow on GPUs */
    const uint z = i / slice, rest = MOD(i, slice);
    const uint p = rest / row, q = MOD(rest, row);
    return p < out.s1 && q < out.s2 ? z * ys.s2 + p * ys.s3 + q * ys.s4 : NOWHERE;
}

#if FILTERS == 8
#define ROWS(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#elif FILTERS == 6
#define ROWS(F) F(0) F(1) F(2) F(3) F(4) F(5)
#else
#define ROWS(F) F(0) F(1) F(2) F(3)
#endif
#if VECTORS == 3
#define COLUMNS(F, m) F(m, 0) F(m, 1) F(m, 2)
#elif VECTORS == 2
#define COLUMNS(F, m) F(m, 0) F(m, 1)
#else
#define COLUMNS(F, m) F(m, 0)
#endif

#define ZERO(m, v) VEC sum##m##_##v = (VEC)(0);
#define ZERO_ROW(m) COLUMNS(ZERO, m)
#define ADD(m, v) sum##m##_##v += weight * cells##v;
#define ADD_ROW(m)                            \
    {                                         \
        const VEC weight = (VEC)(weights[m]); \
        COLUMNS(ADD, m)                       \
    }
#define LEAVE(m, v)                                                              \
    {                                                                            \
        const VEC residual = add ? LOAD(add + to + v * LANES + away) : (VEC)(0); \
        const VEC value = sum##m##_##v + shift + residual;                       \
        STORE_YS(value, k + m, y + to + v * LANES);                              \
    }
#define LEAVE_ROW(m)                                     \
    if (m < rows) {                                      \
        const VEC shift = (VEC)(bias ? bias[k + m] : 0); \
        const long to = first + at_once + m * ys.s1;     \
        COLUMNS(LEAVE, m)                                \
    }
#define SPILL(m, v) row[v] = sum##m##_##v;
#define APART_ROW(m)                                                                 \
    if (m < rows) {                                                                  \
        VEC row[VECTORS];                                                            \
        COLUMNS(SPILL, m)                                                            \
        leave_apart((const real *)row, places, y, first + m * ys.s1, k + m, PASSED); \
    }
#define KEEP(m, v) sums[m * VECTORS + v] = sum##m##_##v;
#define KEEP_ROW(m) COLUMNS(KEEP, m)
#define RESUME(m, v) sum##m##_##v = sums[m * VECTORS + v];
#define RESUME_ROW(m) COLUMNS(RESUME, m)

/* A row's sums to places of y from `first` on. */
void leave_apart(const real *sums, const long *places, __global Y *y, long first, long k,
                 EPILOGUE) {
    const real shift = bias ? bias[k] : 0;
    for (long j = 0; j < WIDTH; j++)
        if (places[j] != NOWHERE) {
            const long to = first + places[j];
            const real value = sums[j] + shift + RESIDUAL(to);
            STORE_Y(value, k, y, to);
        }
}

/* STRIP: of a column's cells, those of a chunk of taps are copied to local memory, where all blocks
   of a work item read them: in planes they lie far apart. The sums so far lie behind them. */
#ifdef STRIP
#define CELLS_OF(t) (strip + (t) * VECTORS)
#define FETCH(m, v) const VEC cells##v = at[v];
#define FILL(m, v) strip[t * VECTORS + v] = LESS(XS_AT(cells + v * LANES));
typedef __local const VEC *cells_of_tap;
#else
#define CELLS_OF(t) (x + i + offset[t])
#define FETCH(m, v) const VEC cells##v = LESS(XS_AT(at + v * LANES));
typedef __global const X *cells_of_tap;
#endif

/* A work item's tiles: some blocks of FILTERS filters, for some columns of WIDTH positions.
   xs: elements to the next image and group, offset, what stands for 0. ys: strides (n, k, d, h, w),
   offset. size: positions, taps, filters of a group, groups; columns and blocks of a work item,
   taps of a chunk. w: (group, block of FILTERS, tap, FILTERS). */
__kernel void multiply_rows(__global const X *restrict x, __global const real *restrict w,
                            __global const int *restrict offset, __global Y *restrict y, long8 xs,
                            long8 ys, long8 size, long8 out, long8 pitch, EPILOGUE,
                            __local VEC *strip) {
    const real zero = xs.s3;
    const long g = MOD((long)get_global_id(2), size.s3), n = get_global_id(2) / size.s3;
    const long taps = size.s1, filters = size.s2, blocks = (filters + FILTERS - 1) / FILTERS;
    const long from_block = get_global_id(1) * size.s5, from_column = get_global_id(0) * size.s4;
    const long to_block = min(from_block + size.s5, blocks);
    const long end = min((from_column + size.s4) * WIDTH, size.s0);
    x += xs.s2 + n * xs.s0 + g * xs.s1;
    w += g * blocks * taps * FILTERS;

    for (long begin = from_column * WIDTH; begin < end; begin += WIDTH) {
        /* The last tile begins early, so as not to read beyond the planes, and leaves out what it
           has in common with the one before. */
        const long i = max(0L, min(begin, size.s0 - WIDTH));
        const uint q = (uint)i % (uint)pitch.s0 % (uint)pitch.s1;
        const int whole = i == begin && i + WIDTH <= size.s0 && q + WIDTH <= out.s2 && ys.s4 == 1;
        const long at_once = whole ? place(i, out, pitch, ys) : NOWHERE;
        long places[WIDTH];
        for (long j = 0; j < WIDTH && !whole; j++)
            places[j] = i + j < begin || i + j >= size.s0 ? NOWHERE : place(i + j, out, pitch, ys);

        long from, to = 0;
        do {
            from = to, to = min(from + size.s6, taps);
#ifdef STRIP
            for (long t = 0; t < to - from; t++) {
                __global const X *cells = x + i + offset[from + t];
                COLUMNS(FILL, 0)
            }
#endif
            for (long block = from_block; block < to_block; block++) {
                __global const real *weights = w + (block * taps + from) * FILTERS;
                ROWS(ZERO_ROW)
#ifdef STRIP
                const long behind = size.s6 + (block - from_block) * FILTERS;
                __local VEC *const sums = strip + behind * VECTORS;
                if (from) {
                    ROWS(RESUME_ROW)
                }
#endif
                for (long t = 0; t < to - from; t++, weights += FILTERS) {
                    const cells_of_tap at = CELLS_OF(t);
                    COLUMNS(FETCH, 0)
                    ROWS(ADD_ROW)
                }
#ifdef STRIP
                if (to < taps) {
                    ROWS(KEEP_ROW)
                    continue;
                }
#endif
                const long k = g * filters + block * FILTERS;
                const long rows = min((long)FILTERS, filters - block * FILTERS);
                const long first = ys.s5 + n * ys.s0 + k * ys.s1;
                if (at_once != NOWHERE) {
                    ROWS(LEAVE_ROW)
                } else if (!whole) {
                    ROWS(APART_ROW)
                }
            }
        } while (to < taps);
    }
}

#else /* a GPU */

typedef CAT(REAL, 4) quad;
#define ACROSS (TILE_P / THREAD_P)
#define DOWN (TILE_K / THREAD_K)
#define GROUP (ACROSS * DOWN)
/* What one work item brings of a chunk: weights as they lie, and cells of one tap, which as many
   work items share as are BESIDE one another. */
#define WEIGHTS (TILE_T * TILE_K / GROUP)
#define CELLS (TILE_T * TILE_P / GROUP)
#define BESIDE (GROUP / TILE_T)
/* MATRICES: products of small matrices by warps; see tensor.cl. Eight work items read two quads of
   each of four taps at a time, so a tap's quads lie two aside from the last one's, and the second
   half of its cells one more: in other banks of local memory. */
#ifdef MATRICES
#define ASIDE 8
#define CELLS_AT(p) ((p) + (p) / (TILE_P / 2) * 4)
#else
#define ASIDE 0
#define CELLS_AT(p) (p)
#endif
/* Elements from a tap to the next, of the weights and of the cells. */
#define STEP_K (TILE_K + ASIDE)
#define STEP_P (TILE_P + ASIDE)
/* Quads of a chunk, the panel of weights first. */
#define PANEL (TILE_T * STEP_K / 4)
#define CHUNK (PANEL + TILE_T * STEP_P / 4)
/* Where element i of a panel as it lies in memory is in local memory. */
#define WEIGHTS_AT(i) ((i) + (i) / TILE_K * ASIDE)
/* Elements that one load brings, 16 bytes if they are aligned and so many. */
#if WEIGHTS >= 4
#define WIDE_W 4
typedef quad weights_t;
#elif WEIGHTS == 2
#define WIDE_W 2
typedef CAT(REAL, 2) weights_t;
#else
#define WIDE_W 1
typedef real weights_t;
#endif
#if !defined(ALIGNED) || CELLS == 1 || (CELLS == 2 && !defined(SAME_X))
#define WIDE_X 1
typedef real cells_t;
#define CELLS_FROM(p) X_AT(p, 0)
#elif CELLS == 2
#define WIDE_X 2
typedef CAT(REAL, 2) cells_t;
#define CELLS_FROM(p) (*(__global const cells_t *)(p))
#else
#define WIDE_X 4
typedef quad cells_t;
#define CELLS_FROM(p) XS_AT(p)
#endif

/* A warp of 32 is 8 x 4 work items: what it reads of local memory at a time lies in a row. */
#if defined(MATRICES)
#define PLACE_ACROSS(id) ((id) % 4 + (id) / 32 % (ACROSS / 4) * 4)
#define PLACE_DOWN(id) ((id) / 4 % 8 + (id) / 32 / (ACROSS / 4) * 8)
#elif ACROSS % 8 == 0 && DOWN % 4 == 0
#define PLACE_ACROSS(id) ((id) % 8 + (id) / 32 % (ACROSS / 8) * 8)
#define PLACE_DOWN(id) ((id) / 8 % 4 + (id) / 32 / (ACROSS / 8) * 4)
#else
#define PLACE_ACROSS(id) ((id) % ACROSS)
#define PLACE_DOWN(id) ((id) / ACROSS)
#endif
/* Row or column i of a work item: four neighbours, the next ones as far as the group is wide. */
#define SPREAD(i, own, all) ((i) / 4 * 4 * (all) + (own) * 4 + (i) % 4)

/* The chunk at tap `at` from global memory to registers, and where the cells of the next one's tap
   begin: the table goes on beyond the last tap. */
#define BRING(at)                                                                  \
    {                                                                              \
        _Pragma("unroll") for (uint j = 0; j < WEIGHTS / WIDE_W; j++) weights[j] = \
            panel[(at) * (TILE_K / WIDE_W) + j * GROUP];                           \
        _Pragma("unroll") for (uint j = 0; j < CELLS / WIDE_X; j++) cells[j] =     \
            LESS(CELLS_FROM(x + (uint)(shift + from[j])));                         \
        shift = offset[(at) + TILE_T];                                             \
    }
/* From registers to one of the chunks in local memory. RAGGED: taps end within a chunk, and the
   cells of those beyond count as zero, whatever they are. */
#ifdef RAGGED
#define CELL(j) (inside ? cells[j] : (cells_t)(0))
#else
#define CELL(j) cells[j]
#endif
#define PUT(to)                                                                                    \
    {                                                                                              \
        __local weights_t *const rows = (__local weights_t *)(chunks + (to)) + id;                 \
        __local cells_t *const columns = (__local cells_t *)(chunks + (to) + PANEL) +              \
                                         id / BESIDE * (TILE_P / WIDE_X) + id % BESIDE;            \
        _Pragma("unroll") for (uint j = 0; j < WEIGHTS / WIDE_W; j++) rows[j * GROUP] =            \
            weights[j];                                                                            \
        _Pragma("unroll") for (uint j = 0; j < CELLS / WIDE_X; j++) columns[j * BESIDE] = CELL(j); \
    }

/* ASYNC: the same without registers in between, for three chunks in local memory if they are short,
   two of which are on their way while one is multiplied. */
#ifdef ASYNC
#define CHUNKS (TILE_T > 8 ? 2 : 3)
#define GIVEN(at) ((at) + id / BESIDE < taps ? sizeof(cells_t) : 0)
#define SEND(at, to)                                                                    \
    {                                                                                   \
        __local real *const rows = (__local real *)(chunks + (to));                     \
        __local real *const columns = rows + PANEL * 4 + id / BESIDE * STEP_P;          \
        const uint given = GIVEN(at);                                                   \
        _Pragma("unroll") for (uint j = 0; j < WEIGHTS / WIDE_W; j++)                   \
            ASYNC_COPY(rows + WEIGHTS_AT((id + j * GROUP) * WIDE_W),                    \
                       panel + (at) * (TILE_K / WIDE_W) + j * GROUP, sizeof(weights_t), \
                       (uint)sizeof(weights_t));                                        \
        _Pragma("unroll") for (uint j = 0; j < CELLS / WIDE_X; j++)                     \
            ASYNC_COPY(columns + CELLS_AT((id % BESIDE + j * BESIDE) * WIDE_X),         \
                       x + (uint)(shift + from[j]), sizeof(cells_t), given);            \
        shift = offset[(at) + TILE_T];                                                  \
    }
#else
#define CHUNKS 2
#endif

/* sums += the products of a chunk. Where two chunks change places, a compiler that sees `now` in
   each index needs fewer registers; in a ring, one that adds it to the address first. */
#ifdef MATRICES
static void add_products(__local const quad *chunk, quad sums[][THREAD_P / 4], uint across,
                         uint down PTX_TAKES);
static void sum_again(quad sums[][THREAD_P / 4], __global const real *x, __global const real *w,
                      __global const int *offset, uint begin, uint last, uint2 size, uint taps);
#define PRODUCTS add_products(chunks + now, sums, across, down PTX_GIVES)
#else
#ifdef ASYNC
#define QUAD(i) (chunks + now)[i]
#else
#define QUAD(i) chunks[now + (i)]
#endif
#define PRODUCTS                                                                    \
    _Pragma("unroll") for (uint r = 0; r < TILE_T; r++) {                           \
        quad row[THREAD_K / 4], column[THREAD_P / 4];                               \
        _Pragma("unroll") for (uint m = 0; m < THREAD_K / 4; m++) row[m] =          \
            QUAD(r * TILE_K / 4 + m * DOWN + down);                                 \
        _Pragma("unroll") for (uint v = 0; v < THREAD_P / 4; v++) column[v] =       \
            QUAD(PANEL + r * TILE_P / 4 + v * ACROSS + across);                     \
        _Pragma("unroll") for (uint m = 0; m < THREAD_K; m++)                       \
            _Pragma("unroll") for (uint v = 0; v < THREAD_P / 4; v++) sums[m][v] += \
            ((const real *)row)[m] * column[v];                                     \
    }
#endif

/* The same by tiles in local memory. w: (group, block of TILE_K, tap, TILE_K), taps filled up with
   zeros to whole chunks. size: as above, then images, taps of a part of the sum (whole chunks) and
   elements of y to the next part's. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
multiply_tiles(__global const X *restrict x, __global const real *restrict w,
               __global const int *restrict offset, __global Y *restrict y, long8 xs, long8 ys,
               long8 size, long8 out, long8 pitch, EPILOGUE) {
    const real zero = xs.s3;
    __local quad chunks[CHUNKS * CHUNK];
    const uint id = get_local_id(0), across = PLACE_ACROSS(id), down = PLACE_DOWN(id);
    const uint positions = size.s0, taps = size.s1, filters = size.s2, groups = size.s3;
    const uint all = positions * (uint)size.s5, begin = get_group_id(0) * TILE_P;
    const uint block = get_group_id(1), blocks = get_num_groups(1);
    const uint part = get_group_id(2) / groups, g = MOD((uint)get_group_id(2), groups);
    const uint first = part * (uint)size.s6, end = min(first + (uint)size.s6, taps);
    const uint whole = (taps + TILE_T - 1) / TILE_T * TILE_T;
    uint from[CELLS / WIDE_X]; /* where the cells of tap 0 lie */
    quad sums[THREAD_K][THREAD_P / 4];
#pragma unroll
    for (uint j = 0; j < CELLS / WIDE_X; j++) {
        const uint i = min(begin + (id % BESIDE + j * BESIDE) * WIDE_X, all - WIDE_X);
        from[j] = taps ? i / positions * (uint)xs.s0 + MOD(i, positions) : 0; /* x may be empty */
    }
#pragma unroll
    for (uint m = 0; m < THREAD_K; m++)
#pragma unroll
        for (uint v = 0; v < THREAD_P / 4; v++) sums[m][v] = 0;

    x += xs.s2 + g * xs.s1;
    w += (ulong)(g * blocks + block) * whole * TILE_K;
    __global const weights_t *panel = (__global const weights_t *)w + id;
    offset += id / BESIDE;
    int shift = offset[first];
    uint now = 0;

#ifdef ASYNC
    PTX_STATE
    for (uint ahead = 0; ahead < CHUNKS - 1; ahead++) {
        if (first + ahead * TILE_T < end) SEND(first + ahead * TILE_T, ahead * CHUNK);
        ASYNC_BATCH();
    }
    uint next = (CHUNKS - 1) * CHUNK; /* which has been multiplied and is free */
    for (uint t = first; t < end; t += TILE_T) {
        ASYNC_WAIT(CHUNKS - 2);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (t + (CHUNKS - 1) * TILE_T < end) SEND(t + (CHUNKS - 1) * TILE_T, next);
        ASYNC_BATCH();
        PRODUCTS;
        next = now;
        now = now == (CHUNKS - 1) * CHUNK ? 0 : now + CHUNK;
    }
#else
    weights_t weights[WEIGHTS / WIDE_W];
    cells_t cells[CELLS / WIDE_X];
    int inside = first + id / BESIDE < taps;
    BRING(first);
    PUT(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint t = first + TILE_T; t < end + TILE_T; t += TILE_T) {
        /* One too many, which nobody reads: a branch would put the loads after the products. */
        BRING(t);
        PRODUCTS;
        now = CHUNK - now;
        inside = t + id / BESIDE < taps;
        PUT(now);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#endif
#ifdef MATRICES
    sum_again(sums, x, (__global const real *)(panel - id) + first * TILE_K + down * 4,
              offset - id / BESIDE + first, begin + across * 4, all - 1, (uint2)(positions, xs.s0),
              end - first);
#endif

    const long origin = ys.s5 + part * size.s7;
#pragma unroll
    for (uint v = 0; v < THREAD_P / 4; v++) {
        const uint i = begin + SPREAD(v * 4, across, ACROSS);
        if (i >= all) break;
        const uint n = i / positions;
        uint rest = MOD(i, positions);
#ifdef ALIGNED
        const long at = origin + n * ys.s0 + rest;
#pragma unroll
        for (uint m = 0; m < THREAD_K; m++) {
            const uint row = block * TILE_K + SPREAD(m, down, DOWN), k = g * filters + row;
            if (row < filters) {
                const long to = at + k * ys.s1;
                quad value = sums[m][v] + (quad)(bias ? bias[k] : 0);
                value += add ? *(__global const quad *)(add + to + away) : (quad)(0);
                STORE_YS(value, k, y + to);
            }
        }
#else
        const uint slice = pitch.s0, length = pitch.s1, rows = slice / length;
        uint z = rest / slice, q = MOD(rest, slice), p = q / length;
        long image = origin + n * ys.s0;
        q = MOD(q, length);
#pragma unroll
        for (uint e = 0; e < 4; e++) {
            if (p < out.s1 && q < out.s2 && i + e < all) {
                const long at = image + z * ys.s2 + p * ys.s3 + q * ys.s4;
#pragma unroll
                for (uint m = 0; m < THREAD_K; m++) {
                    const uint row = block * TILE_K + SPREAD(m, down, DOWN), k = g * filters + row;
                    if (row < filters) {
                        const long to = at + k * ys.s1;
                        const real value =
                            ((const real *)&sums[m][v])[e] + (bias ? bias[k] : 0) + RESIDUAL(to);
                        STORE_Y(value, k, y, to);
                    }
                }
            }
            /* The next position: of this row, slice, image, or the first of the next. */
            if (++rest == positions)
                rest = z = p = q = 0, image += ys.s0;
            else if (++q == length) {
                q = 0;
                if (++p == rows) p = 0, z++;
            }
        }
#endif
    }
}

/* y = clamp(sum of the parts + bias + residual). parts: (part, n, k, outputs). size: outputs of a
   plane, filters, parts, elements to the next part, where they begin. */
__kernel void add_parts(__global const real *restrict parts, __global Y *restrict y, long8 ys,
                        long8 size, long8 out, EPILOGUE) {
    const uint i = get_global_id(0), plane = get_global_id(1), outputs = size.s0;
    const uint n = plane / (uint)size.s1, k = MOD(plane, (uint)size.s1);
    if (i >= outputs) return;
    parts += size.s4 + (ulong)plane * outputs + i;
    real sum = 0;
    for (uint part = 0; part < (uint)size.s2; part++) sum += parts[part * size.s3];
    sum += bias ? bias[k] : 0;
    const uint area = (uint)out.s1 * (uint)out.s2, z = i / area, rest = MOD(i, area);
    const uint p = rest / (uint)out.s2, q = MOD(rest, (uint)out.s2);
    const long at = ys.s5 + n * ys.s0 + k * ys.s1 + z * ys.s2 + p * ys.s3 + q * ys.s4;
    sum += RESIDUAL(at);
    STORE_Y(sum, k, y, at);
}
#endif
