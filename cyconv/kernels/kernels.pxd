"""The kernels' contract as Cython sees it; kernel_table.h is the text of it."""

cdef extern from "geometry.h" nogil:
    enum:
        CYCONV_REAL
        CYCONV_F16
        CYCONV_BF16

    ctypedef struct axis_t:
        ptrdiff_t in_ "in"
        ptrdiff_t out, kernel, stride, pad, dilation, x_stride, y_stride

    ctypedef struct geometry_t:
        ptrdiff_t N, G, C, K, D, slabs, outer_rank
        axis_t outer[6]
        axis_t h, w
        ptrdiff_t x_n, x_c, y_n, y_k
        int x_cells, y_cells

    void valid_range(ptrdiff_t shift, ptrdiff_t stride, ptrdiff_t in_, ptrdiff_t count,
                     ptrdiff_t *begin, ptrdiff_t *end)
    ptrdiff_t geometry_slab(const geometry_t *g, ptrdiff_t index, const char *x,
                            ptrdiff_t itemsize, const char **planes, ptrdiff_t *group)

cdef extern from "chain.h" nogil:
    enum:
        CYCONV_BRANCHES
        CYCONV_STAGES
        CYCONV_SPARE

    ctypedef enum storage_t:
        CYCONV_U8
        CYCONV_I8
        CYCONV_I16
        CYCONV_F32

    ctypedef enum border_mode_t:
        pass

    ptrdiff_t border_source(border_mode_t, ptrdiff_t, ptrdiff_t) noexcept

    ctypedef enum finish_t:
        CYCONV_EACH

    ctypedef struct stage_t:
        ptrdiff_t up, below, left, right
        int pairs, dense
        ptrdiff_t terms
        const void *w
        const ptrdiff_t *at
        const ptrdiff_t *mirrored
        ptrdiff_t box
        int down
        double divisor, factor

    ctypedef struct chain_t:
        storage_t source, between, target
        int saturate
        ptrdiff_t rows, columns, step, x_row, y_row, y_branch
        border_mode_t row_border, column_border
        double constant
        finish_t finish
        int branches
        int stages[3]
        stage_t stage[3][2]
        ptrdiff_t up, below, left, right, pitch
        ptrdiff_t box_rows, box_columns, box_up, box_left
        double box_divisor

    ctypedef struct chains_t:
        int itemsize, lanes
        ptrdiff_t (*scratch)(const chain_t *) noexcept nogil
        void (*tile)(const chain_t *, const char *, char *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                     ptrdiff_t, void *) noexcept nogil

cdef extern from "kernel_table.h" nogil:
    enum:
        CYCONV_MAX_OUTER
        CYCONV_MR
        CYCONV_OVERREAD
        CYCONV_CACHE_LINE
        CYCONV_WINOGRAD_VARIANTS

    ctypedef struct epilogue_t:
        const void *bias
        double low, high
        int clamp
        const void *add
        const void *y
        int cells

    bint epilogue_acts(const epilogue_t *e)

    ctypedef struct strip_t:
        ptrdiff_t row_phases, column_phases, rows, filled, pitch
        const ptrdiff_t *row_phase
        const ptrdiff_t *column_phase

    ctypedef struct run_t:
        ptrdiff_t start, length

    ctypedef struct stencil_t:
        const void *w
        ptrdiff_t runs
        const ptrdiff_t *start
        const ptrdiff_t *length
        ptrdiff_t row
        ptrdiff_t y_row, y_column
        int accumulate
        const epilogue_t *e
        ptrdiff_t filter

    ctypedef struct winograd_t:
        int[2] m, r, alpha
        void (*weights)(const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, void *,
                        ptrdiff_t) noexcept nogil
        void (*input)(const geometry_t *, const void *, const void *, ptrdiff_t, ptrdiff_t,
                      ptrdiff_t, void *, ptrdiff_t) noexcept nogil
        int (*output)(const geometry_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                      ptrdiff_t, void *, const epilogue_t *) noexcept nogil

    ctypedef struct scattered_t:
        ptrdiff_t planes, rows, columns
        ptrdiff_t w_filter, w_plane, w_row, w_column

    ctypedef struct ahead_t:
        const void *from_ "from"
        ptrdiff_t plane_step, row_step, planes, rows, bytes, lines

    ctypedef struct kernels_t:
        int itemsize, lanes, nr
        void (*multiply)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void *, const void *, ptrdiff_t,
                         ptrdiff_t, const ptrdiff_t *, void *, ptrdiff_t, ptrdiff_t, int,
                         const epilogue_t *) noexcept nogil
        void (*multiply_ahead)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void *, const void *,
                               ptrdiff_t, ptrdiff_t, const ptrdiff_t *, void *, ptrdiff_t,
                               ptrdiff_t, int, const epilogue_t *, ahead_t *) noexcept nogil
        void (*pack_filters)(const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, void *) noexcept nogil
        void (*pack_scattered)(const void *, const scattered_t *, ptrdiff_t, void *) noexcept nogil
        void (*fill_strip)(const geometry_t *, const strip_t *, const char **, ptrdiff_t,
                           ptrdiff_t, ptrdiff_t, void *) noexcept nogil
        void (*stencil)(const stencil_t *, const void *, ptrdiff_t, ptrdiff_t,
                        void *) noexcept nogil
        void (*stencil_pair)(const stencil_t *, const void *, const void *, ptrdiff_t,
                             const ptrdiff_t *, void *) noexcept nogil
        int (*image3_fits)(const geometry_t *) noexcept nogil
        void (*image3)(const geometry_t *, const void *, const void *, void *, const epilogue_t *,
                       ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        int (*in_lanes_fits)(const geometry_t *) noexcept nogil
        ptrdiff_t (*in_lanes_scratch)(const geometry_t *) noexcept nogil
        void (*in_lanes)(const geometry_t *, const void *, const void *, const ptrdiff_t *, void *,
                         const epilogue_t *, ptrdiff_t, ptrdiff_t, void *) noexcept nogil
        void (*filters_in_lanes)(ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                                 const void *, const void *, ptrdiff_t, const ptrdiff_t *, void *,
                                 ptrdiff_t, int, const epilogue_t *) noexcept nogil
        int (*gradient3_fits)(const geometry_t *) noexcept nogil
        ptrdiff_t (*gradient3_scratch)(const geometry_t *) noexcept nogil
        void (*gradient3)(const geometry_t *, const void *, const void *, const ptrdiff_t *,
                          void *, const epilogue_t *, ptrdiff_t, ptrdiff_t,
                          void *) noexcept nogil
        void (*gather)(int, ptrdiff_t, const void *, const ptrdiff_t *, ptrdiff_t, const run_t *,
                       ptrdiff_t, int, void *) noexcept nogil
        void (*gather_columns)(const geometry_t *, const char **, const ptrdiff_t *,
                               const ptrdiff_t *, void *, void *) noexcept nogil
        void (*patches)(const geometry_t *, const char **, ptrdiff_t, ptrdiff_t, void *,
                        ptrdiff_t) noexcept nogil
        void (*widen)(int, ptrdiff_t, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t, void *,
                      ptrdiff_t) noexcept nogil
        void (*finish_rows)(int, ptrdiff_t, ptrdiff_t, const void *, ptrdiff_t, void *, ptrdiff_t,
                            ptrdiff_t, const epilogue_t *) noexcept nogil
        void (*store_pixels)(const geometry_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                             void *, const epilogue_t *) noexcept nogil
        void (*interleave)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                           void *, ptrdiff_t, ptrdiff_t, const epilogue_t *) noexcept nogil
        void (*spread_tiles)(ptrdiff_t, ptrdiff_t, const void *, ptrdiff_t, void *, ptrdiff_t,
                             ptrdiff_t) noexcept nogil
        winograd_t winograd[3]

    ctypedef struct pairs_t:
        pass

    ctypedef struct kernel_table_t:
        const char *name
        const kernels_t *f32
        const kernels_t *f64
        const kernels_t *u32
        const kernels_t *u64
        const chains_t *chains_f32
        const chains_t *chains_f64
        const pairs_t *pairs

cdef extern from "pairs.h" nogil:
    ctypedef struct pair_source_t:
        storage_t type
        int zero
        ptrdiff_t next

    ctypedef struct pair_target_t:
        storage_t type
        const int *bias
        const float *factor
        int zero

    ctypedef struct plane_t:
        ptrdiff_t outputs, cells

    struct pairs:
        ptrdiff_t lanes
        void (*multiply)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void *, const void *, ptrdiff_t,
                         ptrdiff_t, const ptrdiff_t *, void *, ptrdiff_t, ptrdiff_t, int,
                         const epilogue_t *) noexcept nogil
        void (*fill)(const geometry_t *, const strip_t *, const pair_source_t *, const char **,
                     ptrdiff_t, ptrdiff_t, ptrdiff_t, void *, void *) noexcept nogil
        int (*plane_fits)(const geometry_t *) noexcept nogil
        void (*plane_copy)(const geometry_t *, const plane_t *, const pair_source_t *, const char *,
                           ptrdiff_t, ptrdiff_t, void *) noexcept nogil
        void (*plane)(const geometry_t *, const plane_t *, const void *, const void *, ptrdiff_t,
                      const pair_target_t *, ptrdiff_t, void *) noexcept nogil
        void (*plane_store)(const geometry_t *, const plane_t *, storage_t, const void *, ptrdiff_t,
                            void *) noexcept nogil
        int (*lanes_fit)(const geometry_t *) noexcept nogil
        size_t (*lanes_scratch)(const geometry_t *) noexcept nogil
        void (*in_lanes)(const geometry_t *, const pair_source_t *, const char *, ptrdiff_t,
                         const void *, const pair_target_t *, const epilogue_t *, ptrdiff_t,
                         char *, void *) noexcept nogil
        void (*winograd_input)(const void **, ptrdiff_t, ptrdiff_t, void *,
                               ptrdiff_t) noexcept nogil
        void (*winograd_output)(const void *, ptrdiff_t, ptrdiff_t, void *, void *) noexcept nogil
        void (*finish)(const epilogue_t *, ptrdiff_t, ptrdiff_t, const void *, void *,
                       ptrdiff_t) noexcept nogil
        void (*store)(const pair_target_t *, ptrdiff_t, ptrdiff_t, const void *, void *,
                      ptrdiff_t) noexcept nogil

    plane_t plane_layout(const geometry_t *, ptrdiff_t, ptrdiff_t)
    ptrdiff_t pair_row_bytes(const geometry_t *, const strip_t *, const pair_source_t *)

cdef extern from "last.h" nogil:
    ctypedef struct last_t:
        int itemsize, lanes, nr
        void (*multiply)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void *, ptrdiff_t, const void *,
                         ptrdiff_t, void *, ptrdiff_t, int, const epilogue_t *) noexcept nogil
        void (*multiply_windows)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void *, const ptrdiff_t *,
                                 const ptrdiff_t *, const void *, ptrdiff_t, void *, ptrdiff_t,
                                 int, const epilogue_t *) noexcept nogil
        void (*pack)(const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, void *) noexcept nogil
        void (*depthwise3)(const geometry_t *, ptrdiff_t, const void *, const void *, const void *,
                           void *, const epilogue_t *, ptrdiff_t, ptrdiff_t) noexcept nogil

    const last_t *last_table(const char *isa, int itemsize)

cdef extern from "spectra.h" nogil:
    ctypedef struct spread_t:
        double largest, least, least_run

    ctypedef struct tile_t:
        ptrdiff_t outer, rows, columns, pitch, channels, filters
        bint folded
        const void *outer_roots
        const void *row_roots
        const void *column_roots
        const void *turns

    ctypedef struct tile_source_t:
        ptrdiff_t[3] begin, end, step
        const void *x
        storage_t type
        border_mode_t border
        ptrdiff_t[3] held, place, size
        double constant

    ctypedef struct tile_target_t:
        ptrdiff_t[3] count, stride, step
        void *y
        storage_t type
        bint saturate

    ctypedef struct spectra_t:
        int itemsize, lanes
        bint (*length)(ptrdiff_t) noexcept nogil
        ptrdiff_t (*fill_roots)(ptrdiff_t, void *) noexcept nogil
        void (*fill_turns)(ptrdiff_t, ptrdiff_t, void *) noexcept nogil
        ptrdiff_t (*plane)(const tile_t *) noexcept nogil
        ptrdiff_t (*scratch)(const tile_t *) noexcept nogil
        void (*look)(const tile_t *, const tile_source_t *, bint, spread_t *) noexcept nogil
        void (*load)(const tile_t *, const tile_source_t *, int, void *) noexcept nogil
        void (*store)(const tile_t *, const tile_target_t *, int, const void *) noexcept nogil
        void (*transform)(const tile_t *, void *, void *, void *) noexcept nogil
        void (*correlate)(const tile_t *, void *, const void *, void *) noexcept nogil
        void (*spread)(ptrdiff_t, const void *, bint, spread_t *) noexcept nogil

    const spectra_t *spectra_table(const char *isa, int itemsize)


cdef const kernels_t *kernels_for(str isa, dtype) except NULL
cdef const chains_t *chains_for(bint double_precision) except NULL
cdef const pairs *pairs_for(str isa) except NULL
cdef const last_t *last_for(str isa, dtype) noexcept
cdef const spectra_t *spectra_for(str isa, dtype) noexcept
