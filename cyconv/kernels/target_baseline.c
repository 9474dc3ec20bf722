#define TARGET baseline
#define VECTOR_BYTES 16
#define REGISTERS 16
#include "kernels_body.h"
