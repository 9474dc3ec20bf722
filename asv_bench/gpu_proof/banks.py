"""Conflicts in local memory: what a wave of the tiles' work items reads or writes at a time."""

from collections import defaultdict

BANKS = 32  # of 4 bytes, on both vendors' devices
PHASE = 8  # work items of NVIDIA's that access 16 bytes each at a time


def cycles(words):
    """Clocks of one access: distinct words of the fullest bank; and of as many words in a row."""
    banks = defaultdict(set)
    for word in words:
        banks[word % BANKS].add(word)
    distinct = len({*words})
    return max(map(len, banks.values())), -(-distinct // BANKS)


def in_phases(words, count=4):
    """The same of an access of `count` words to a work item, some work items at a time."""
    step = PHASE * count
    clocks = [cycles(words[i : i + step]) for i in range(0, len(words), step)]
    return tuple(map(sum, zip(*clocks, strict=True)))


class Tile:
    """A tile of implicit_gemm.cl by its macros, with the kernel's own names."""

    def __init__(self, defines):
        self.k, self.p, self.t = (defines[name] for name in ("TILE_K", "TILE_P", "TILE_T"))
        self.thread_k, self.thread_p = defines["THREAD_K"], defines["THREAD_P"]
        self.down, self.across = self.k // self.thread_k, self.p // self.thread_p
        self.items = self.down * self.across
        self.beside = self.items // self.t
        self.weights, self.cells = self.t * self.k // self.items, self.t * self.p // self.items
        self.wide_w = min(4, self.weights)
        self.wide_x = min(4, self.cells) if "ALIGNED" in defines else 1
        self.matrices = "MATRICES" in defines
        aside = 8 if self.matrices else 0
        self.step_k, self.step_p = self.k + aside, self.p + aside

    def place(self, i):
        """Work item i's place (across, down)."""
        if self.matrices:
            wide, beside = 4, self.across // 4
        elif self.across % 8 == 0 and self.down % 4 == 0:
            wide, beside = 8, self.across // 8
        else:
            return i % self.across, i // self.across
        high = 32 // wide
        return i % wide + i // 32 % beside * wide, i // wide % high + i // 32 // beside * high

    def cells_at(self, p):
        """Where position p of a tap lies."""
        return p + p // (self.p // 2) * 4 if self.matrices else p

    def row(self, i):
        """The first word that work item i reads of the weights."""
        _, down = self.place(i)
        return (i % 4 * self.step_k if self.matrices else 0) + down * 4

    def column(self, i):
        """The first word that it reads of the cells."""
        across, _ = self.place(i)
        if not self.matrices:
            return across * 4
        u, e = i % 32 // 8, i // 4 % 2
        half = e * self.p // 2
        return i % 4 * self.step_p + self.cells_at(half + (across // 4 * 4 + u) * 4)


def accesses(defines, wave):
    """{access of implicit_gemm.cl's tiles: (clocks of the first wave, fewest)}, for one tap."""
    tile = Tile(defines)
    ids = range(min(wave, tile.items))

    def words(first, count):
        return [word for element in first for word in range(element, element + count)]

    def put(i):
        element = i * tile.wide_w
        return element + element // tile.k * (tile.step_k - tile.k)

    def put_cell(i):
        place = tile.cells_at(i % tile.beside * tile.wide_x)
        return i // tile.beside * tile.step_p + place

    read = in_phases if tile.matrices else cycles
    return {
        "row": read(words(map(tile.row, ids), 4)),
        "column": read(words(map(tile.column, ids), 4)),
        "put weights": cycles(words(map(put, ids), tile.wide_w)),
        "put cells": cycles(words(map(put_cell, ids), tile.wide_x)),
    }


def clocks_of_chunk(defines, wave):
    """Clocks of local memory that one wave takes for one chunk."""
    tile = Tile(defines)
    took = {name: clocks for name, (clocks, _) in accesses(defines, wave).items()}
    reads = tile.thread_k // 4 * took["row"] + tile.thread_p // 4 * took["column"]
    if tile.matrices:  # for eight taps, four of which a wave reads at a time
        reads = (2 * took["row"] * tile.thread_k // 4 + 2 * took["column"]) / 8
    puts = tile.weights // tile.wide_w * took["put weights"]
    return tile.t * reads + puts + tile.cells // tile.wide_x * took["put cells"]
