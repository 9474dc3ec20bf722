"""One door each to what is not ours.

machine.py     the machine: caches, cores, instruction set
parallel.pyx   OpenMP: threads, forks, the parallel loop
memory.pyx     memory: aligned, reusable workspace
blas.pyx       BLAS: matrix products
calls.pyx      Python: what every call asks of its arrays, in C
arguments.py   whole numbers as arguments
"""
