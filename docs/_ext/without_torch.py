"""``cyconv.torch`` as far as its names and docstrings go, where PyTorch is not installed."""

import importlib.util
import sys
import types

#: What cyconv.torch imports from.
MODULES = ("torch", "torch.nn", "torch.nn.functional", "torch.nn.utils")


class _Anything(type):
    """A class that has every attribute, can be called and may be a base."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything

    def __call__(cls, *_, **__):
        return cls


class Anything(metaclass=_Anything):
    """Stands for all that PyTorch has."""


class _Module(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything


def load():
    """Import ``cyconv.torch``; what it takes for PyTorch is gone afterwards."""
    missing = importlib.util.find_spec("torch") is None
    if missing:
        sys.modules.update({name: _Module(name) for name in MODULES})
    import cyconv.torch  # noqa: F401

    if missing:
        for name in MODULES:
            del sys.modules[name]
