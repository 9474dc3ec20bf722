"""Convolutions of a traced model, with what follows each and nothing else reads."""

import operator
from collections import Counter
from typing import NamedTuple

import torch
from torch import fx, nn
from torch.nn import functional as F

from cyconv.torch import folding
from cyconv.torch.packed import PackedConvolution, put
from cyconv.torch.report import Layer

CALLED = {getattr(F, f"conv{kind}{n}d") for kind in ("", "_transpose") for n in (1, 2, 3)}


SUMS = (operator.add, torch.add, "add")
SUMS_IN_PLACE = (operator.iadd, "add_")


class Sum(NamedTuple):
    """The sum of a convolution's result and a residual."""

    residual: fx.Node


class _Tracer(fx.Tracer):
    """One that stops at what can be replaced or joined."""

    def is_leaf_module(self, module, name):
        own = (*folding.CONVOLUTIONS, *folding.NORMS)
        return isinstance(module, own) or super().is_leaf_module(module, name)


def fused(model, accuracy, threads):
    """(traced model with packed layers, rows of the report, what was left of other classes)."""
    graph = _Tracer().trace(model)
    traced = fx.GraphModule(model, graph, type(model).__name__)
    modules = dict(traced.named_modules(remove_duplicate=False))
    calls = Counter(id(modules[n.target]) for n in graph.nodes if n.op == "call_module")
    made, rows = {}, []
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target in CALLED:
            rows.append(Layer(node.name, node.target.__name__, note="a function, not a module"))
        if node.op != "call_module" or not isinstance(modules[node.target], folding.CONVOLUTIONS):
            continue
        layer = modules[node.target]
        if id(layer) in made:
            put(traced, node.target, made[id(layer)])
            continue
        row = Layer(node.target, type(layer).__name__, note=folding.refusal(layer) or "")
        rows.append(row)
        if row.note:
            continue
        followers = []
        if calls[id(layer)] > 1:
            row.note = f"called {calls[id(layer)]} times: nothing joins it"
        else:
            followers, row.note = _followers(node, modules)
        row.packed = made[id(layer)] = packed(
            layer, [step for _, step in followers], accuracy, threads
        )
        row.joined = [_name(step) for _, step in followers]
        put(traced, node.target, row.packed)
        _join(graph, node, followers)
    traced.delete_all_unused_submodules()
    graph.lint()
    traced.recompile()
    return traced, rows


def _join(graph, node, followers):
    """Take the followers of the convolution at `node` out of the graph.

    One with a sum is called in the sum's place, where its residual is known.
    """
    for follower, step in followers:
        if isinstance(step, Sum):
            with graph.inserting_before(follower):
                arguments = {**node.kwargs, "add": step.residual}
                call = graph.call_module(node.target, node.args, arguments)
            follower.replace_all_uses_with(call)
            graph.erase_node(follower)
            graph.erase_node(node)
            node = call
        else:
            follower.replace_all_uses_with(node)
            graph.erase_node(follower)


def packed(layer, steps, accuracy, threads):
    """`layer` with the norm and the bounds of `steps` in it; a sum is an argument of its calls."""
    weight, bias, clamp = layer.weight, layer.bias, None
    for step in steps:
        if isinstance(step, nn.Module):
            weight, bias = folding.folded(weight, bias, step, layer.transposed, layer.groups)
        elif not isinstance(step, Sum):
            clamp = step
    return PackedConvolution(layer, weight, bias, clamp, accuracy, threads)


def _followers(convolution, modules):
    """What joins a convolution, [(node, norm module, Sum or bounds), ...], and a remark.

    At most one of each, in this order.
    """
    found, node = [], convolution
    while True:
        users = list(node.users)
        if len(users) > 1 and any(_bounds(u, modules) or _norm(u, modules) for u in users):
            return found, f"its result goes {len(users)} ways"
        if len(users) != 1:
            return found, ""
        step, why = _bounds(users[0], modules), ""
        if step is not None:
            return [*found, (users[0], step)], ""
        step = None if found else _norm(users[0], modules)
        if step is None and not any(isinstance(each, Sum) for _, each in found):
            step, why = _sum(convolution, node, users[0], modules)
        if step is None:
            return found, why
        found.append((users[0], step))
        node = users[0]


def _sum(convolution, node, user, modules):
    """The Sum that `user` is of `node`, what the convolution has become, or None; and a remark."""
    if user.op not in ("call_function", "call_method") or user.target not in SUMS + SUMS_IN_PLACE:
        return None, ""
    if len(user.args) != 2 or user.kwargs:
        return None, ""
    first, second = user.args
    residual = second if first is node else first
    if not isinstance(residual, fx.Node) or residual is node:
        return None, ""
    if user.target in SUMS_IN_PLACE and first is not node:
        return None, "its sum is written into another's memory"
    between = convolution.next
    while between is not user:
        if _writes(between, modules):
            return None, f"before its sum {between.name} writes in place"
        between = between.next
    return Sum(residual), ""


def _writes(node, modules):
    """Whether a node may write to what it reads."""
    if node.kwargs.get("inplace") or "out" in node.kwargs:
        return True
    if node.op == "call_module":
        return getattr(modules[node.target], "inplace", False)
    if node.op == "call_method":
        return node.target.endswith("_") and not node.target.endswith("__")
    if node.op != "call_function":
        return False
    name = node.target.__name__
    if node.target is getattr(operator, name, None):
        return name == "setitem" or (hasattr(operator, f"__{name}__") and name.startswith("i"))
    flagged = node.target is getattr(F, name, None) and any(a is True for a in node.args)
    return flagged or name.endswith("_")  # such as F.relu(x, True)


def _norm(node, modules):
    module = modules.get(node.target) if node.op == "call_module" else None
    return module if module is not None and folding.is_norm(module) else None


def _bounds(node, modules):
    """The bounds of the activation that `node` calls, or None."""
    if node.op == "call_module":
        return folding.bounds(modules[node.target])
    if node.op == "call_method":
        return (0.0, float("inf")) if node.target in ("relu", "relu_") else None
    if node.op != "call_function":
        return None
    if node.target is F.hardtanh:
        low, high = (*node.args[1:3], *(-1.0, 1.0)[len(node.args) - 1 :])[:2]
        low, high = node.kwargs.get("min_val", low), node.kwargs.get("max_val", high)
        plain = all(isinstance(n, (int, float)) for n in (low, high))
        return (float(low), float(high)) if plain else None
    return folding.FUNCTIONS.get(node.target)


def _name(step):
    if isinstance(step, nn.Module):
        return type(step).__name__
    if isinstance(step, Sum):
        return "add"
    return {(0.0, float("inf")): "ReLU", (0.0, 6.0): "ReLU6"}.get(step, f"clamp{step}")
