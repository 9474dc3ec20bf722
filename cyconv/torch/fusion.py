"""Convolutions of a traced model, with what follows each and nothing else reads."""

from collections import Counter

from torch import fx, nn
from torch.nn import functional as F

from cyconv.torch import folding
from cyconv.torch.packed import PackedConvolution, put
from cyconv.torch.report import Layer

CALLED = {getattr(F, f"conv{kind}{n}d") for kind in ("", "_transpose") for n in (1, 2, 3)}


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
        for follower, _ in followers:
            follower.replace_all_uses_with(node)
            graph.erase_node(follower)
    traced.delete_all_unused_submodules()
    graph.lint()
    traced.recompile()
    return traced, rows


def packed(layer, steps, accuracy, threads):
    """`layer` with the norm and the bounds of `steps` in it."""
    weight, bias, clamp = layer.weight, layer.bias, None
    for step in steps:
        if isinstance(step, nn.Module):
            weight, bias = folding.folded(weight, bias, step, layer.transposed, layer.groups)
        else:
            clamp = step
    return PackedConvolution(layer, weight, bias, clamp, accuracy, threads)


def _followers(node, modules):
    """[(node, norm module or bounds), ...] that join the convolution at `node`, and a remark."""
    found = []
    while True:
        users = list(node.users)
        clamp = _bounds(users[0], modules) if len(users) == 1 else None
        if len(users) > 1 and any(_bounds(u, modules) or _norm(u, modules) for u in users):
            return found, f"its result goes {len(users)} ways"
        if clamp is not None:
            return [*found, (users[0], clamp)], ""
        norm = _norm(users[0], modules) if len(users) == 1 and not found else None
        if norm is None:
            return found, ""
        found.append((users[0], norm))
        node = users[0]


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
    return {(0.0, float("inf")): "ReLU", (0.0, 6.0): "ReLU6"}.get(step, f"clamp{step}")
