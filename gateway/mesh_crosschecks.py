"""Checks of `mesh` that take more than one value to make."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from gateway.config import Config, Mesh, MeshTcp
from gateway.yaml_document import Key

_TCP: Key = ("mesh", "tcp")


def mesh(config: Config) -> Iterator[tuple[Key, str]]:
    """What does not fit together in the values alone."""
    if config.mesh is None:
        return
    if config.mesh.unix is None and config.mesh.tcp is None:
        yield ("mesh",), "needs a socket: unix, tcp or both"
    if config.mesh.unix and config.mesh.unix.group and config.mesh.unix.path is None:
        yield ("mesh", "unix", "group"), "needs a path of its own: nobody else may enter the state folder"
    if config.mesh.tcp:
        yield from _address(config, config.mesh.tcp)
        if not config.mesh.tcp.tls.clients:
            yield (*_TCP, "tls", "clients"), "must name who may ask: it is believed what it says of its callers"


def mesh_files(config: Config) -> Iterator[tuple[Key, Path]]:
    """The files that must be there."""
    settings: Mesh | None = config.mesh
    if settings and settings.tcp:
        for name in ("certificate", "key", "client_ca"):
            yield (*_TCP, "tls", name), getattr(settings.tcp.tls, name)


def _address(config: Config, tcp: MeshTcp) -> Iterator[tuple[Key, str]]:
    try:
        ipaddress.ip_address(tcp.address)
    except ValueError:
        yield (*_TCP, "address"), f"must be an IPv4 or IPv6 address, not {tcp.address!r}"
    others = [config.edge.port, config.metrics_port]
    if config.decisions and config.decisions.tcp:
        others.append(config.decisions.tcp.port)
    if tcp.port in others:
        yield (*_TCP, "port"), "is the edge's port, the metrics' or the decision API's"
