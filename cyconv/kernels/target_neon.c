#define TARGET neon
#define VECTOR_BYTES 16
#define REGISTERS 32
#include "kernels_body.h"
