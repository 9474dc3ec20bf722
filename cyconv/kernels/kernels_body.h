/* One instruction set's kernels for one element type, as a table. A target file sets TARGET (its
 * name), VECTOR_BYTES and REGISTERS; the build sets ELEMENT_*, and PART_chains for the table of
 * image filters, PART_pairs for that of 16-bit integers: objects of their own. */
#include "kernel_table.h"
#include "simd.h"

#define JOIN_(part, isa, element) part##_##isa##_##element
#define JOIN(part, isa, element) JOIN_(part, isa, element)

#ifdef PART_chains
#include "chain.h"
#include "chain_body.h"
extern const chains_t JOIN(chains, TARGET, ELEMENT);
const chains_t JOIN(chains, TARGET, ELEMENT) = {
    .itemsize = REAL_BYTES, .lanes = LANES, .scratch = chain_scratch, .tile = chain_tile};
#elif defined(PART_pairs)
#include "pairs_body.h"
#include "pairs_lanes_body.h"
#include "pairs_plane_body.h"
#include "pairs_winograd_body.h"
extern const pairs_t JOIN(pairs, TARGET, ELEMENT);
const pairs_t JOIN(pairs, TARGET, ELEMENT) = {
    .lanes = LANES,
    .multiply = multiply,
    .fill = fill_pairs,
    .plane_fits = plane_fits,
    .plane_copy = plane_copy,
    .plane = plane_filter,
    .plane_store = plane_store,
    .lanes_fit = pair_lanes_fit,
    .lanes_scratch = pair_lanes_scratch,
    .in_lanes = pair_lanes,
    .winograd_input = winograd_input,
    .winograd_output = winograd_output,
    .finish = finish_sums,
    .store = store_sums,
};
#elif defined(PART_last)
#include "halves.h"
#include "last.h"
#include "last_body.h"
extern const last_t JOIN(last, TARGET, ELEMENT);
const last_t JOIN(last, TARGET, ELEMENT) = {.itemsize = REAL_BYTES,
                                            .lanes = LANES,
                                            .nr = LAST_NR,
                                            .multiply = last_multiply,
                                            .multiply_windows = last_multiply_windows,
                                            .pack = last_pack,
                                            .depthwise3 = last_depthwise};
#elif defined(PART_spectra)
#include "spectra.h"
#include "spectra_body.h"
#include "storage_body.h"

#include "transforms_body.h"

#include "tiles_body.h"
extern const spectra_t JOIN(spectra, TARGET, ELEMENT);
const spectra_t JOIN(spectra, TARGET, ELEMENT) = {.itemsize = REAL_BYTES,
                                                  .lanes = LANES,
                                                  .length = can_transform,
                                                  .fill_roots = fill_roots,
                                                  .fill_turns = fill_turns,
                                                  .plane = plane_elements,
                                                  .scratch = scratch_elements,
                                                  .look = look_at_tile,
                                                  .load = load_tile,
                                                  .store = store_tile,
                                                  .transform = transform_weights,
                                                  .correlate = correlate_tiles,
                                                  .spread = row_spread};
#else

#include "halves.h"
#include "multiply_body.h"

#include "gradient3_body.h"
#include "image3_body.h"
#include "lanes_body.h"
#include "patches_body.h"
#include "stencil_body.h"

#include "filters_body.h"
#include "interleave_body.h"
#if defined(ELEMENT_f32) || defined(ELEMENT_f64)
#include "winograd_body.h"
#define WINOGRAD_FIELDS \
    .spread_tiles = spread_tiles, .winograd = {WINOGRAD_VARIANTS(WINOGRAD_ENTRY)},
#else /* none of integers */
#define WINOGRAD_FIELDS
#endif

extern const kernels_t JOIN(kernels, TARGET, ELEMENT);
const kernels_t JOIN(kernels, TARGET, ELEMENT) = {.itemsize = REAL_BYTES,
                                                  .lanes = LANES,
                                                  .nr = NR,
                                                  .multiply = multiply,
                                                  .multiply_ahead = multiply_ahead,
                                                  .pack_filters = pack_filters,
                                                  .pack_scattered = pack_scattered,
                                                  .fill_strip = fill_strip,
                                                  .stencil = stencil,
                                                  .stencil_pair = stencil_pair,
                                                  .image3_fits = image3_fits,
                                                  .image3 = image3,
                                                  .in_lanes_fits = in_lanes_fits,
                                                  .in_lanes_scratch = in_lanes_scratch,
                                                  .in_lanes = in_lanes,
                                                  .filters_in_lanes = filters_in_lanes,
                                                  .gradient3_fits = gradient3_fits,
                                                  .gradient3_scratch = gradient3_scratch,
                                                  .gradient3 = gradient3,
                                                  .gather = gather,
                                                  .gather_columns = gather_columns,
                                                  .patches = patches,
                                                  .widen = widen,
                                                  .finish_rows = finish_rows,
                                                  .store_pixels = store_pixels,
                                                  .interleave = interleave_rows,
                                                  WINOGRAD_FIELDS};
#endif
