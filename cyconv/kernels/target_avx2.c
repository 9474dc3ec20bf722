#define TARGET avx2
#define VECTOR_BYTES 32
#define REGISTERS 16
#include "kernels_body.h"
