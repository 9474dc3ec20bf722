"""Conflicts in local memory: what a wave of the tiles' work items reads or writes at a time."""

from collections import defaultdict

BANKS = 32  # of 4 bytes, on both vendors' devices


def cycles(words):
    """Clocks of one access: distinct words of the fullest bank; and of as many words in a row."""
    banks = defaultdict(set)
    for word in words:
        banks[word % BANKS].add(word)
    distinct = len({*words})
    return max(map(len, banks.values())), -(-distinct // BANKS)


def accesses(defines, wave):
    """{access of implicit_gemm.cl's tiles: (clocks of the first wave, fewest)}, for one tap."""
    k, p, t = (defines[name] for name in ("TILE_K", "TILE_P", "TILE_T"))
    down_all, across_all = k // defines["THREAD_K"], p // defines["THREAD_P"]
    items = down_all * across_all
    beside, weights, cells = items // t, t * k // items, t * p // items
    wide_w, wide_x = min(4, weights), min(4, cells) if "ALIGNED" in defines else 1
    by_warps = across_all % 8 == 0 and down_all % 4 == 0

    def place(i):
        if by_warps:
            return i % 8 + i // 32 % (across_all // 8) * 8, i // 8 % 4 + i // 32 // (
                across_all // 8
            ) * 4
        return i % across_all, i // across_all

    def words(first, count):
        return [word for element in first for word in range(element, element + count)]

    ids = range(min(wave, items))
    row = words((place(i)[1] * 4 for i in ids), 4)
    column = words((place(i)[0] * 4 for i in ids), 4)
    panel = words((i * wide_w for i in ids), wide_w)
    plane = words((i // beside * p + i % beside * wide_x for i in ids), wide_x)
    return {
        "row": cycles(row),
        "column": cycles(column),
        "put weights": cycles(panel),
        "put cells": cycles(plane),
    }


def clocks_of_chunk(defines, wave):
    """Clocks of local memory that one wave takes for one chunk."""
    k, p, t = (defines[name] for name in ("TILE_K", "TILE_P", "TILE_T"))
    items = k // defines["THREAD_K"] * (p // defines["THREAD_P"])
    took = {name: clocks for name, (clocks, _) in accesses(defines, wave).items()}
    weights, cells = t * k // items, t * p // items
    wide_w, wide_x = min(4, weights), min(4, cells) if "ALIGNED" in defines else 1
    reads = defines["THREAD_K"] // 4 * took["row"] + defines["THREAD_P"] // 4 * took["column"]
    return t * reads + weights // wide_w * took["put weights"] + cells // wide_x * took["put cells"]
