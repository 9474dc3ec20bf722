"""The GPUs that kernels are compiled for, with their makers' published figures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One GPU.

    Attributes
    ----------
    name, arch, vendor : str
    units : int
        Multiprocessors (NVIDIA), compute units (CDNA), workgroup processors (RDNA), Xe cores.
    clock : float
        Boost clock, Hz.
    bandwidth : float
        Of its memory, bytes/s.
    wave : int
        Work items that run one instruction together.
    issue : float
        Instructions of a wave that one unit begins in a clock.
    products : int
        Multiply-adds in float32 that one unit does in a clock.
    matrix : int
        Those in TF32 that a unit's matrix cores do in a clock; 0 without inline PTX for them.
    registers : int
        Of 32 bits that one unit has.
    granule : int
        Registers of a work item are given in multiples of so many.
    waves : int
        Waves that one unit holds.
    local : int
        Bytes of local memory of one unit.
    local_clock : int
        Bytes that a unit's local memory gives in a clock.
    max_group : int
        Work items of a group that its driver takes.
    source : str
        Where the figures are published.
    """

    name: str
    arch: str
    vendor: str
    units: int
    clock: float
    bandwidth: float
    wave: int
    issue: float
    products: int
    registers: int
    granule: int
    waves: int
    local: int
    local_clock: int
    max_group: int
    source: str
    matrix: int = 0

    @property
    def capability(self):
        """NVIDIA's compute capability, as a device says it."""
        return (int(self.arch[3:]) // 10, 0) if self.vendor == "nvidia" else (0, 0)

    def groups(self, registers, local, items, wave=None):
        """Groups that one unit holds at a time; `wave` where the compiler chose it."""
        wave = wave or self.wave
        used = -(-max(1, registers) // self.granule) * self.granule * wave
        waves = -(-items // wave)
        by_registers = self.registers // used // waves
        by_local = self.local // local if local else self.waves
        return min(by_registers, by_local, self.waves // waves)

    def occupancy(self, registers, local, items, wave=None):
        """Share of a unit's waves that are there."""
        waves = -(-items // (wave or self.wave))
        return self.groups(registers, local, items, wave) * waves / self.waves


NVIDIA = {"vendor": "nvidia", "wave": 32, "issue": 4, "registers": 65536, "granule": 8,
          "waves": 64, "local_clock": 128, "max_group": 1024}  # fmt: skip
AMD = {"vendor": "amd", "max_group": 256}

TARGETS = {
    target.arch: target
    for target in (
        Target(
            "A100 SXM", "sm_80", units=108, clock=1.41e9, bandwidth=1.555e12, products=64,
            local=164 << 10, matrix=512,
            source="NVIDIA A100 Tensor Core GPU Architecture (whitepaper, 2020); 19.5 TFLOP/s in "
            "float32, 156 in TF32", **NVIDIA,
        ),
        Target(
            "H100 SXM", "sm_90", units=132, clock=1.98e9, bandwidth=3.35e12, products=128,
            local=228 << 10, matrix=1024,
            source="NVIDIA H100 Tensor Core GPU Architecture (whitepaper, 2022); 66.9 TFLOP/s in "
            "float32, 494.7 in TF32", **NVIDIA,
        ),
        # Four SIMDs of 16 lanes: each begins a wave of 64 in four clocks.
        Target(
            "Instinct MI210", "gfx90a", units=104, clock=1.7e9, bandwidth=1.638e12, wave=64,
            issue=1, products=128, registers=4 * 512 * 64, granule=8, waves=32, local=64 << 10,
            local_clock=128,
            source="AMD Instinct MI210 datasheet (2022), CDNA2 instruction set architecture; 22.6 "
            "TFLOP/s in float32, twice that by packed instructions", **AMD,
        ),
        # Two compute units of two SIMDs of 32 lanes each, which a group may share.
        Target(
            "Radeon RX 7900 XTX", "gfx1100", units=48, clock=2.5e9, bandwidth=0.96e12, wave=32,
            issue=4, products=256, registers=4 * 1536 * 32, granule=24, waves=64, local=128 << 10,
            local_clock=256,
            source="AMD Radeon RX 7900 XTX specifications (2022), RDNA3 instruction set "
            "architecture; 61.4 TFLOP/s in float32 by dual issue", **AMD,
        ),
        # Eight vector engines of 16 lanes and 8 threads of 128 registers of 64 bytes each.
        Target(
            "Arc B580", "bmg-g21", "intel", units=20, clock=2.67e9, bandwidth=456e9, wave=16,
            issue=8, products=128, registers=8 * 8 * 128 * 16, granule=32, waves=64,
            local=128 << 10, local_clock=128, max_group=1024,
            source="Intel Arc B580 specifications (2024), Xe2 architecture; 13.7 TFLOP/s in "
            "float32",
        ),
    )
}  # fmt: skip
"""By the name that their compilers know."""
