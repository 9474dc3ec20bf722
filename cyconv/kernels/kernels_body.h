/* One instruction set's kernels for one element type, as a table. A target file sets TARGET (its
 * name), VECTOR_BYTES and REGISTERS; the build sets REAL_BYTES. */
#include "kernel_table.h"
#include "simd.h"

#include "multiply_body.h"
#include "patches_body.h"
#include "winograd_body.h"

#define JOIN_(a, b, c) a##b##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#if REAL_BYTES == 4
#define TABLE JOIN(kernels_, TARGET, _f32)
#else
#define TABLE JOIN(kernels_, TARGET, _f64)
#endif

extern const kernels_t TABLE;
const kernels_t TABLE = {
    .itemsize = REAL_BYTES,
    .lanes = LANES,
    .multiply = multiply,
    .pack_panel = pack_panel,
    .fill_strip = fill_strip,
    .patches = patches,
    .store_pixels = store_pixels,
    .define = define_outputs,
    .winograd = {WINOGRAD_ENTRY(2, 3), WINOGRAD_ENTRY(4, 3)},
};
