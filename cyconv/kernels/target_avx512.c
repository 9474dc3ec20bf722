#define TARGET avx512
#define VECTOR_BYTES 64
#define REGISTERS 32
#include "kernels_body.h"
