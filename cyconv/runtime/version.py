"""The version, as pyproject.toml has it: what is remembered in files names it."""

__version__ = "0.1.0"
