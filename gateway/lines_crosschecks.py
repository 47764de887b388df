"""Checks of `lines.agents` that take more than one value to make."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from gateway.config import Agents, Config
from gateway.yaml_document import Key

_AGENTS: Key = ("lines", "agents")
_TAKEN = frozenset({"edge", "nftables", "openc2"})  # lines that are no agents on other hosts


def lines(config: Config) -> Iterator[tuple[Key, str]]:
    """What does not fit together in the values alone."""
    settings: Agents | None = config.lines.agents
    if settings is None:
        return
    try:
        ipaddress.ip_address(settings.address)
    except ValueError:
        yield (*_AGENTS, "address"), f"must be an IPv4 or IPv6 address, not {settings.address!r}"
    if settings.port in _ports(config):
        yield (*_AGENTS, "port"), "is the edge's port, the metrics', the decision API's or the mesh's"
    if not settings.tls.clients:
        yield (*_AGENTS, "tls", "clients"), "must name the lines: nobody else may connect"
    for index, name in enumerate(settings.tls.clients):
        if name in _TAKEN or name in settings.tls.clients[:index]:
            yield (*_AGENTS, "tls", "clients", index), f"{name!r} is another line's name"


def lines_files(config: Config) -> Iterator[tuple[Key, Path]]:
    """The files that must be there."""
    if config.lines.agents:
        for name in ("certificate", "key", "client_ca"):
            yield (*_AGENTS, "tls", name), getattr(config.lines.agents.tls, name)


def _ports(config: Config) -> set[int | None]:
    tcp = (branch.tcp for branch in (config.decisions, config.mesh) if branch)
    return {config.edge.port, config.metrics_port, *(each.port for each in tcp if each)}
