/* One instruction set's kernels for one element type, as a table. A target file sets TARGET (its
 * name), VECTOR_BYTES and REGISTERS; the build sets ELEMENT_*. */
#include "kernel_table.h"
#include "simd.h"

#include "multiply_body.h"

#include "gradient3_body.h"
#include "image3_body.h"
#include "patches_body.h"
#include "stencil_body.h"
#if defined(ELEMENT_f32) || defined(ELEMENT_f64)
#include "winograd_body.h"
#define WINOGRAD_FIELDS \
    .spread_tiles = spread_tiles, .winograd = {WINOGRAD_VARIANTS(WINOGRAD_ENTRY)},
#else /* none of integers */
#define WINOGRAD_FIELDS
#endif

#define JOIN_(isa, element) kernels_##isa##_##element
#define JOIN(isa, element) JOIN_(isa, element)

extern const kernels_t JOIN(TARGET, ELEMENT);
const kernels_t JOIN(TARGET, ELEMENT) = {.itemsize = REAL_BYTES,
                                         .lanes = LANES,
                                         .nr = NR,
                                         .multiply = multiply,
                                         .pack_filters = pack_filters,
                                         .pack_scattered = pack_scattered,
                                         .fill_strip = fill_strip,
                                         .stencil = stencil,
                                         .stencil_pair = stencil_pair,
                                         .image3_fits = image3_fits,
                                         .image3 = image3,
                                         .gradient3_fits = gradient3_fits,
                                         .gradient3_scratch = gradient3_scratch,
                                         .gradient3 = gradient3,
                                         .gather = gather,
                                         .gather_columns = gather_columns,
                                         .patches = patches,
                                         .store_pixels = store_pixels,
                                         WINOGRAD_FIELDS};
