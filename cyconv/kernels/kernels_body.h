/* One instruction set's kernels for one element type, as a table. A target file sets TARGET (its
 * name), VECTOR_BYTES and REGISTERS; the build sets ELEMENT_*. */
#include "kernel_table.h"
#include "simd.h"

#include "multiply_body.h"
#include "patches_body.h"
#if defined(ELEMENT_f32) || defined(ELEMENT_f64)
#include "winograd_body.h"
#define WINOGRAD_TABLE {WINOGRAD_ENTRY(2, 3)}
#else
#define WINOGRAD_TABLE {{0}}
#endif

#define JOIN_(isa, element) kernels_##isa##_##element
#define JOIN(isa, element) JOIN_(isa, element)

extern const kernels_t JOIN(TARGET, ELEMENT);
const kernels_t JOIN(TARGET, ELEMENT) = {
    .itemsize = REAL_BYTES,
    .lanes = LANES,
    .multiply = multiply,
    .pack_panel = pack_panel,
    .fill_strip = fill_strip,
    .patches = patches,
    .store_pixels = store_pixels,
    .winograd = WINOGRAD_TABLE,
};
