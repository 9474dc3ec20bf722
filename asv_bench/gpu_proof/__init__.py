"""What compilers say of the kernels that a GPU would be given, without one.

targets    the GPUs: how each is compiled for, its limits, its published peaks
recorder   a device that computes nothing and notes what it is asked to launch
compiling  source to machine code, with the compiler's counts of registers and memory
reading    machine code to counts: the main loop, its instructions, stack, calls
banks      conflicts in local memory, by the kernels' own addresses
model      all of these to a time, as issue slots, memory or local memory bind
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # the checkout's cyconv, where none is installed
