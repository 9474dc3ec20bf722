"""Machine code as text to counts: its main loop, and what should not be in it."""

import re
from typing import NamedTuple

LABEL = re.compile(r"^(\.L\w+|L\d+):")
BRANCH = re.compile(
    r"\bBRA `?\(?(\.L\w+)|\bs_c?branch\w*\s+(\.L\w+)|\b(?:jmpi|while|goto)\b.*?\b(L\d+)"
)
NVIDIA = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:\{\s*)?(@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)")
INTEL = re.compile(r"^(?:\([^)]*\))?\s+([a-z]\w*)(?:\.\w+)? (?:\((\d+)\|M\d+\))?(.*)$")
ACCESS = re.compile(r"(load|store)\w*\.(ugm|slm)\.d(\d+)(?:x(\d+))?")
AMD = re.compile(r"^\t((?:v|s|ds|global|flat|scratch|buffer)_\w+)(.*)$")
WIDTHS = {"64": 8, "128": 16, "U8": 1, "U16": 2}
DWORDS = {"dwordx4": 16, "dwordx3": 12, "dwordx2": 8, "dword": 4,
          "b128": 16, "b96": 12, "b64": 8, "b32": 4}  # fmt: skip


class Counts(NamedTuple):
    """Instructions of a stretch of code, by what they do; bytes are of one work item."""

    issued: int = 0
    fma_issued: int = 0
    fmas: int = 0
    matrices: int = 0  # instructions that multiply matrices
    loads: tuple = ()  # bytes of each load from global memory
    local_loads: tuple = ()  # bytes of each load from local memory
    local_stores: tuple = ()
    stores: tuple = ()
    stack: int = 0  # loads and stores of private memory
    divisions: int = 0  # reciprocals, which divisions of integers begin with
    calls: int = 0  # of functions, as a division of 64 bits is

    @property
    def fma_share(self):
        """Share of the instructions that multiply and add."""
        return (self.fma_issued + self.matrices) / self.issued if self.issued else 0.0


class Code(NamedTuple):
    """All of a kernel, its main loop, and the rest of the loop around that.

    The main loop is the innermost one with most products.
    """

    whole: Counts
    loop: Counts
    around: Counts = Counts()


def read(compiled, vendor):
    """The counts of a kernel's machine code."""
    parse = {"nvidia": _nvidia, "amd": _amd, "intel": _intel}[vendor]
    lines, labels, branches = [], {}, []
    for line in compiled.code.splitlines():
        label = LABEL.match(line)
        if label:
            labels[label[1]] = len(lines)
            continue
        found = parse(line)
        if found is None:
            continue
        jump = BRANCH.search(line)
        target = jump and next(filter(None, jump.groups()))
        if target in labels:  # backwards
            branches.append((labels[target], len(lines) + 1))
        kind, size, products = found
        lines.append((kind, size, products // (compiled.wave or 1)))
    loops = [span for span in branches if not any(_within(other, span) for other in branches)]
    counts = [(_count(lines[begin:end]), (begin, end)) for begin, end in loops]

    def products(found):
        return found[0].matrices, found[0].fmas, found[0].issued

    main, span = max(counts, key=products, default=(Counts(), (0, 0)))
    outer = [other for other in branches if _within(span, other)]
    begin, end = min(outer, key=lambda other: other[1] - other[0], default=span)
    return Code(_count(lines), main, _count(lines[begin : span[0]] + lines[span[1] : end]))


def _within(inner, outer):
    return inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]


def _count(lines):
    def sizes(kind):
        return tuple(size for k, size, _ in lines if k == kind)

    return Counts(
        issued=len(lines),
        fma_issued=sum(k == "fma" for k, _, _ in lines),
        fmas=sum(n for k, _, n in lines if k == "fma"),
        matrices=sum(k == "matrix" for k, _, _ in lines),
        loads=sizes("load"),
        stores=sizes("store"),
        local_loads=sizes("local load"),
        local_stores=sizes("local store"),
        stack=sum(k == "stack" for k, _, _ in lines),
        divisions=sum(k == "reciprocal" for k, _, _ in lines),
        calls=sum(k == "call" for k, _, _ in lines),
    )


def _nvidia(line):
    """(kind, bytes, products) of a line of SASS, or None if it is no instruction."""
    found = NVIDIA.search(line)
    if not found or found[2] == "NOP" or found[1] == "@!PT ":  # never done
        return None
    name, *parts = found[2].split(".")
    size = next((WIDTHS[part] for part in parts if part in WIDTHS), 4)
    if name in ("FFMA", "DFMA"):
        return "fma", 0, 1
    if name == "FFMA2":
        return "fma", 0, 2
    if name == "HMMA":
        return "matrix", 0, 0
    if name == "LDGSTS":  # from global memory to local memory
        return "load", size, 0
    kinds = {"LDG": "load", "LD": "load", "STG": "store", "ST": "store", "LDS": "local load",
             "STS": "local store", "LDL": "stack", "STL": "stack", "CALL": "call"}  # fmt: skip
    if name == "CALL" and "$" not in line:  # a jump within the kernel
        return "other", 0, 0
    if name == "MUFU" and parts[0] in ("RCP", "RCP64H"):
        return "reciprocal", 0, 0
    return kinds.get(name, "other"), size, 0


def _intel(line):
    """The same of a line of Intel's assembly; products are of a whole wave."""
    found = INTEL.match(line)
    if not found:
        return None
    name, lanes, rest = found.groups()
    if name == "mad" and re.search(r">:d?f\b", rest):
        return "fma", 0, int(lanes)
    if name in ("send", "sends"):
        access = ACCESS.search(rest)
        if access is None:
            return "other", 0, 0
        kind = ("local " if access[2] == "slm" else "") + access[1]
        return kind, int(access[3]) // 8 * int(access[4] or 1), 0
    if name == "call":
        return "call", 0, 0
    if name == "math" and ".inv" in line:
        return "reciprocal", 0, 0
    return "other", 0, 0


def _amd(line):
    """The same of a line of AMD's assembly."""
    found = AMD.match(line)
    if not found:
        return None
    name, rest = found[1], found[2]
    if name.startswith("v_dual_"):
        second = rest.partition("::")[2]
        products = ("fmac" in name or "fmaak" in name) + ("fmac" in second)
        return ("fma", 0, products) if products else ("other", 0, 0)
    if re.match(r"v_(pk_)?(fma|fmac|mac|mad|fmaak|fmamk)_(legacy_)?f(32|64)", name):
        return "fma", 0, 2 if name.startswith("v_pk") else 1
    if name.startswith(("s_swappc", "s_setpc")):
        return "call", 0, 0
    if name.startswith(("scratch_", "buffer_")) and "inv" not in name and "wb" not in name:
        return "stack", 4, 0
    if name.startswith("v_rcp"):
        return "reciprocal", 0, 0
    size = next((n for word, n in DWORDS.items() if name.endswith(word)), 4)
    if name.startswith(("ds_read2", "ds_load_2")):
        return "local load", 2 * size, 0
    if name.startswith(("ds_read", "ds_load")):
        return "local load", size, 0
    if name.startswith(("ds_write2", "ds_store_2")):
        return "local store", 2 * size, 0
    if name.startswith(("ds_write", "ds_store")):
        return "local store", size, 0
    if name.startswith(("global_load", "flat_load")):
        return "load", size, 0
    if name.startswith(("global_store", "flat_store")):
        return "store", size, 0
    return "other", 0, 0
