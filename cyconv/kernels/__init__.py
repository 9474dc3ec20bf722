"""The C kernels, one table for each instruction set: see ``kernel_table.h`` for the contract."""

from cyconv.kernels.kernels import available, cpuid_caches, isa, lanes, set_isa

__all__ = ["available", "cpuid_caches", "isa", "lanes", "set_isa"]
