"""The C kernels, one table for each instruction set: see ``kernel_table.h`` for the contract."""

from cyconv.kernels.kernels import available, isa, lanes, set_isa

__all__ = ["available", "isa", "lanes", "set_isa"]
