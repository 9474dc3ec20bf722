from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from cyconv import Problem

@dataclass(frozen=True)
class DeviceInfo:
    index: int
    platform: str
    name: str
    version: str
    driver: str
    kind: str
    compute_units: int
    local_memory_bytes: int
    global_memory_bytes: int
    float64: bool

def algorithms(problem: Problem, device: str = ...) -> dict[str, str | None]: ...
def devices() -> list[DeviceInfo]: ...
def log() -> AbstractContextManager[list[tuple[str, Any]]]: ...
def queue(name: str = ...) -> Any: ...
