"""What compilers say of the kernels for GPUs: bounds that hold without one.

Where clang and libclc are (Debian: clang-19 libclc-19), and for NVIDIA ptxas and nvdisasm (the CUDA
toolkit or the package index). The reading of machine code is tested without them.
"""

import sys
from functools import cache
from pathlib import Path
from unittest import mock

import pytest

pytest.importorskip("pyopencl", reason="pyopencl is not installed: pip install 'cyconv[opencl]'")

ASV_BENCH = Path(__file__).parents[1] / "asv_bench"
with mock.patch.object(sys, "path", [str(ASV_BENCH), *sys.path]):
    import gpu_static
    from gpu_proof import banks, compiling, model, reading
    from gpu_proof.recorder import Recorder, every_kernel
    from gpu_proof.targets import TARGETS

GEMM = "multiply_tiles"
# Of a tap, a work item has A = THREAD_K THREAD_P products and (THREAD_K + THREAD_P) / 4 loads of
# local memory; of a chunk of 8 taps, at most 2 + 2 loads and stores of aligned cells or 8 + 8 of
# others with an address each, as many of weights, and about 20 instructions of the loop.
LEAST = {(8, 8): 0.88, (8, 4): 0.79, (4, 4): 0.67}
UNALIGNED = 0.05  # less, where cells come one by one
# A product of matrices takes a quarter of a multiprocessor 8 clocks (A100) or 4 (H100), in each of
# which it begins an instruction: for three, 4 sums, and a part of the splits, loads and addresses.
OF_MATRICES = {8: 0.18, 16: 0.24}  # share of the instructions, by taps of a chunk


@cache
def proof(arch):
    return gpu_static.Proof(TARGETS[arch])


@cache
def kernels(arch, all_choices=False):
    found = every_kernel(TARGETS[arch], gpu_static.samples(), all_choices)
    return {k: n for k, n in found.items() if k.stem != "arrays"}


def bounds(arch, all_choices=False):
    """(kernel, what is wrong) of each kernel beyond a bound."""
    target = TARGETS[arch]
    for kernel, items in kernels(arch, all_choices).items():
        compiled, code = proof(arch)(kernel)
        if compiled.stack or compiled.spills or code.whole.stack:
            yield kernel, f"{compiled.stack} bytes of stack, {compiled.spills} spills"
        if target.groups(compiled.registers, compiled.local, items, compiled.wave) < 2:
            yield kernel, f"one group: {compiled.registers} registers, {compiled.local} bytes"
        if code.whole.calls:
            yield kernel, "calls a function, as a division of 64 bits does"
        # Intel's compiler makes one loop of a chunk's segments, a division each, and their cells.
        outside = {"add_chunks"} | ({"sum_chunks"} if target.vendor == "intel" else set())
        if code.loop.fmas and code.loop.divisions and kernel.name not in outside:
            yield kernel, "divides in its main loop"
        if kernel.name == GEMM:
            defines = dict(kernel.defines)
            least = LEAST[defines["THREAD_K"], defines["THREAD_P"]]
            least -= 0 if "ALIGNED" in defines else UNALIGNED
            if "MATRICES" in defines:
                least = OF_MATRICES[defines["TILE_T"]]
                if code.loop.matrices != 48 or code.loop.fmas:
                    yield kernel, f"{code.loop.matrices} products of matrices, not 48"
            if target.vendor == "nvidia" and code.loop.fma_share < least:
                yield kernel, f"{code.loop.fma_share:.0%} of its main loop are products"
            if max(code.loop.local_loads) != 16:
                yield kernel, "reads local memory in less than 16 bytes"
            loads = code.loop.loads + code.around.loads
            if "ALIGNED" in defines and defines["THREAD_P"] == 8 and 16 not in loads:
                yield kernel, "reads aligned cells in less than 16 bytes"


NEWEST = ("sm_90", "gfx1100", "bmg-g21")  # of each vendor; the others with --full
SOME = [pytest.param(a, marks=() if a in NEWEST else pytest.mark.full) for a in TARGETS]


@pytest.mark.parametrize("arch", SOME)
def test_kernels_keep_the_bounds(arch):
    lacking = compiling.missing(TARGETS[arch].vendor)
    if lacking:
        pytest.skip(f"needs {lacking}")
    wrong = [f"{kernel}: {what}" for kernel, what in bounds(arch)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.full
@pytest.mark.parametrize("arch", TARGETS)
def test_every_choice_of_tune_keeps_the_bounds(arch):
    lacking = compiling.missing(TARGETS[arch].vendor)
    if lacking:
        pytest.skip(f"needs {lacking}")
    wrong = [f"{kernel}: {what}" for kernel, what in bounds(arch, True)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("arch", [arch for arch in TARGETS if not arch.startswith("bmg")])
def test_tiles_read_local_memory_without_conflicts(arch):
    tiles = [kernel for kernel in kernels(arch) if kernel.name == GEMM]
    assert tiles
    for kernel in tiles:
        found = banks.accesses(dict(kernel.defines), TARGETS[arch].wave)
        for access in ("row", "column"):
            clocks, least = found[access]
            assert clocks == least, f"{kernel}: {access} takes {clocks} clocks, {least} would do"


@pytest.mark.parametrize("arch", [arch for arch in TARGETS if arch.startswith("sm_")])
def test_gpus_that_have_matrices_use_them(arch):
    found = [dict(kernel.defines) for kernel in kernels(arch) if kernel.name == GEMM]
    kinds = {("ASYNC" in defines, "MATRICES" in defines) for defines in found}
    assert kinds == {(True, True), (True, False), (False, False)}


def test_conflicts_are_counted():
    assert banks.cycles(range(32)) == (1, 1)
    assert banks.cycles([0] * 32) == (1, 1)  # one word for all
    assert banks.cycles(range(0, 64, 2)) == (2, 1)
    assert banks.cycles(range(0, 32 * 32, 32)) == (32, 1)


SASS = """
.L_x_0:
        /*0010*/                   LDG.E.128.CONSTANT R4, [R2.64] ;
        /*0020*/              @!P0 FFMA R1, R2, R3, R1 ;
.L_x_1:
        /*0030*/                   LDS.128 R8, [R9+0x10] ;
        /*0040*/                   FFMA R1, R8.reuse, R9, R1 ;
        /*0050*/                   FFMA R2, R8, R10, R2 ;
        /*0060*/               @P0 BRA `(.L_x_1) ;
        /*0070*/                   MUFU.RCP R3, R3 ;
        /*0080*/               @P1 BRA `(.L_x_0) ;
        /*0090*/                   LDL R3, [R1] ;
        /*00a0*/                   STG.E [R2.64], R1 ;
.L_x_2:
        /*00b0*/                   BRA `(.L_x_2);
"""
ASSEMBLY = """
.LBB0_1:
\tds_load_b128 v[1:4], v5 offset:16
\tv_dual_fmac_f32 v6, v1, v2 :: v_dual_fmac_f32 v7, v1, v3
\tv_pk_fma_f32 v[8:9], v[1:2], v[3:4], v[8:9]
\ts_cbranch_scc1 .LBB0_1
\tglobal_load_b128 v[1:4], v5, s[0:1]
\tscratch_store_b32 off, v1, s32
\ts_endpgm
"""


XE = """
L0:
(W)     send.ugm (1|M0)          r1       r127  null:0  0xFF000000  0x6219D500 {A@1,$0} // load.ugm.d32x4.a64
L16:
        send.slm (16|M0)         r44      r32  null:0  0x0  0x02403500 {I@7} // wr:1+0, rd:4; load.slm.d32x4.a32
        mad (16|M0)              r9.0<1>:f  r2.0<1;0>:f  r3.4<0;0>:f  r2.1<0>:f {A@1,$3.dst}
        mad (16|M0)              r10.0<1>:f  r2.0<1;0>:f  r3.4<0;0>:f  r2.1<0>:f
(W)     mad (1|M0)               r127.0<1>:ud  r127.2<0;0>:ud  r127.0<0;0>:uw  0x40:uw
(W&f0.1) jmpi                    L16
        math.inv (16|M0)         r9.0<1>:f  r9.0<1;1,0>:f
(W&f0.1) jmpi                    L0
"""  # noqa: E501


def test_machine_code_of_intels_is_read():
    found = reading.read(compiling.Compiled(XE, 0, 0, 0, 0, 16), "intel")
    assert (found.loop.issued, found.loop.fmas, found.loop.fma_issued) == (5, 2, 2)
    assert found.loop.local_loads == (16,)
    assert found.whole.loads == (16,)
    assert found.whole.divisions == 1


@pytest.mark.parametrize(("vendor", "code"), [("nvidia", SASS), ("amd", ASSEMBLY)])
def test_machine_code_is_read(vendor, code):
    found = reading.read(compiling.Compiled(code, 0, 0, 0, 0), vendor)
    assert found.loop.local_loads == (16,)
    assert found.loop.loads == ()
    assert found.loop.fmas == (2 if vendor == "nvidia" else 4)
    assert found.whole.loads == (16,)
    assert found.whole.stack == 1
    assert found.loop.divisions == 0
    assert found.whole.divisions == (vendor == "nvidia")


def test_a_bound_is_no_less_than_the_devices_peak():
    """Were every instruction a product, the time would be the products over the peak."""
    target = TARGETS["sm_80"]
    device = Recorder(target)
    problem = gpu_static.problem_of(gpu_static.shapes.NETWORKS["64->64 @56 k3"], 32)
    _, launches = device.run(device.plan(problem, "implicit_gemm"))
    (launch,) = [each for each in launches if each.kernel.name == GEMM]
    products = 8 * dict(launch.kernel.defines)["THREAD_K"] * dict(launch.kernel.defines)["THREAD_P"]
    counts = reading.Counts(issued=products, fma_issued=products, fmas=products)
    took, binds = model.seconds(launch, None, reading.Code(counts, counts), target)
    peak = 2 * target.products * target.units * target.clock
    assert binds == "products"
    assert peak == pytest.approx(19.5e12, rel=0.01)  # as published
    assert problem.flops / peak <= took <= 1.3 * problem.flops / peak


MATRICES = """
.L_x_0:
        /*0010*/                   LDGSTS.E.128 [R87], [R28.64] ;
        /*0020*/              @!PT LDS RZ, [RZ] ;
.L_x_1:
        /*0030*/                   HMMA.1688.F32.TF32 R4, R8, R12, RZ ;
        /*0040*/                   FADD R1, R1, R4 ;
        /*0060*/               @P0 BRA `(.L_x_1) ;
        /*0070*/                   IADD3 R3, R3, R4, RZ ;
        /*0080*/               @P1 BRA `(.L_x_0) ;
"""


def test_a_loop_of_matrices_is_read_with_what_is_around_it():
    found = reading.read(compiling.Compiled(MATRICES, 0, 0, 0, 0), "nvidia")
    assert (found.loop.issued, found.loop.matrices) == (3, 1)
    assert found.loop.fma_share == pytest.approx(1 / 3)
    assert (found.around.issued, found.around.loads) == (3, (16,))
