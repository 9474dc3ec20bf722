# The fields have the names of the record's, each in one group only.
cdef struct constants_t:
    double integer_share, tile_seconds, offsets_share, winograd_share, stencil_strip_seconds
    double stencil_row_seconds, plane_seconds, blas_share, blas_filter_share, blas_pixels
    double bandwidth, weights_bandwidth, shown_share, row_seconds, column_row_seconds
    double column_seconds, store_seconds, winograd_tile_seconds, winograd_row_seconds
    double fft_axis_seconds, fft_stage_seconds, fft_lone_factor, fft_far_factor
    double fft_point_seconds, fft_product_seconds, fft_wider_power, call_seconds, piece_seconds
    double blas_seconds, fft_seconds, pair_point_seconds, pair_stage_seconds, pair_column_seconds
    double pair_product_seconds, pair_far_share, pairs_seconds
    ptrdiff_t gradient3_taps
    double[6] tile_shares
    double[3] stencil_shares
    double[2] image3_shares
    double[2] gradient3_shares
    double[2] pixel_seconds
    double[2] gather_seconds
    double[2] patch_seconds


cdef constants_t constants

cdef double peak(isa) except -1
