/* Has run under qemu only (tests/test_kernels.py), on no processor: its speed is not known. */
#define TARGET neon
#define VECTOR_BYTES 16
#define REGISTERS 32
#include "kernels_body.h"
