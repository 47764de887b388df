"""Where our module for Envoy is: a shared object that `make setup` compiles beside its sources."""

from __future__ import annotations

from pathlib import Path

_FILE = Path(__file__).parent / "module" / "libportcullis.so"


class ModuleMissing(RuntimeError):
    """Envoy's module has not been compiled."""


def edge_module() -> Path:
    """The module's path. Raises ModuleMissing."""
    if not _FILE.is_file():
        raise ModuleMissing(f"{_FILE} has not been compiled: make setup does it")
    return _FILE
