"""The cost model's constants as C numbers, for the estimates; :mod:`cyconv.planning.constants` has
what they mean.

They are copied from the record in use when one of its groups is changed.
"""

from cyconv.planning import cost
from cyconv.planning.constants import Group

cdef dict peaks = {}


cdef double peak(isa) except -1:
    """FLOP/s of one core in float32."""
    return peaks[isa]


def copy():
    """Take the numbers of the record in use."""
    global peaks
    arithmetic, memory, copies = cost.arithmetic, cost.memory, cost.copies
    transforms, calls = cost.transforms, cost.calls
    peaks = arithmetic.peak
    constants.integer_share = arithmetic.integer_share
    for i in range(6):
        constants.tile_shares[i] = arithmetic.tile_shares[i]
    constants.tile_seconds = arithmetic.tile_seconds
    constants.offsets_share = arithmetic.offsets_share
    constants.winograd_share = arithmetic.winograd_share
    for i in range(2):
        constants.stencil_shares[i] = arithmetic.stencil_shares[i]
    constants.stencil_strip_seconds = arithmetic.stencil_strip_seconds
    constants.stencil_row_seconds = arithmetic.stencil_row_seconds
    for i in range(2):
        constants.image3_shares[i] = arithmetic.image3_shares[i]
    for i in range(2):
        constants.gradient3_shares[i] = arithmetic.gradient3_shares[i]
    constants.gradient3_taps = arithmetic.gradient3_taps
    constants.plane_seconds = arithmetic.plane_seconds
    constants.blas_share = arithmetic.blas_share
    constants.blas_filter_share = arithmetic.blas_filter_share
    constants.blas_pixels = arithmetic.blas_pixels
    constants.bandwidth = memory.bandwidth
    constants.weights_bandwidth = memory.weights_bandwidth
    constants.shown_share = memory.shown_share
    constants.row_seconds = copies.row_seconds
    for i in range(2):
        constants.pixel_seconds[i] = copies.pixel_seconds[i]
    for i in range(2):
        constants.gather_seconds[i] = copies.gather_seconds[i]
    constants.column_row_seconds = copies.column_row_seconds
    constants.column_seconds = copies.column_seconds
    for i in range(2):
        constants.patch_seconds[i] = copies.patch_seconds[i]
    constants.store_seconds = copies.store_seconds
    constants.winograd_tile_seconds = transforms.winograd_tile_seconds
    constants.winograd_row_seconds = transforms.winograd_row_seconds
    constants.fft_axis_seconds = transforms.fft_axis_seconds
    constants.fft_stage_seconds = transforms.fft_stage_seconds
    constants.fft_lone_factor = transforms.fft_lone_factor
    constants.fft_far_factor = transforms.fft_far_factor
    constants.fft_point_seconds = transforms.fft_point_seconds
    constants.fft_product_seconds = transforms.fft_product_seconds
    constants.fft_wider_power = transforms.fft_wider_power
    constants.call_seconds = calls.call_seconds
    constants.piece_seconds = calls.piece_seconds
    constants.blas_seconds = calls.blas_seconds
    constants.fft_seconds = calls.fft_seconds


copy()
Group.changed.append(copy)
