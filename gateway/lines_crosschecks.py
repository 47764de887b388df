"""Checks of `lines` that take more than one value to make."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from gateway.config import Agents, Config, Lines, OpenC2Lines
from gateway.yaml_document import Key

_AGENTS: Key = ("lines", "agents")
_OPENC2: Key = ("lines", "openc2")
_OURS = ("edge", "nftables")  # lines that have no name of their own in the configuration
_PROFILE = "slpf"  # its own topic is for any actuator of it

Problem = tuple[Key, str]


def lines(config: Config) -> Iterator[Problem]:
    """What does not fit together in the values alone."""
    if config.lines.agents:
        yield from _agents(config, config.lines.agents)
    if config.lines.openc2:
        yield from _openc2(config.lines.openc2)
    yield from _names(config.lines)


def _agents(config: Config, settings: Agents) -> Iterator[Problem]:
    try:
        ipaddress.ip_address(settings.address)
    except ValueError:
        yield (*_AGENTS, "address"), f"must be an IPv4 or IPv6 address, not {settings.address!r}"
    if settings.port in _ports(config):
        yield (*_AGENTS, "port"), "is the edge's port, the metrics', the decision API's or the mesh's"
    if not settings.tls.clients:
        yield (*_AGENTS, "tls", "clients"), "must name the lines: nobody else may connect"


def _openc2(settings: OpenC2Lines) -> Iterator[Problem]:
    if settings.foreign and settings.group == _PROFILE:
        yield (*_OPENC2, "group"), "is for any actuator: foreign ones would carry out what all of ours are told"


def _names(settings: Lines) -> Iterator[Problem]:
    seen = set(_OURS)
    for key, name in _named(settings):
        if name in seen:
            yield key, f"{name!r} is another line's name"
        seen.add(name)


def _named(settings: Lines) -> Iterator[tuple[Key, str]]:
    if settings.agents:
        yield from (((*_AGENTS, "tls", "clients", at), name) for at, name in enumerate(settings.agents.tls.clients))
    if settings.openc2:
        yield from (((*_OPENC2, "consumers", at), name) for at, name in enumerate(settings.openc2.consumers))
        yield from (((*_OPENC2, "foreign", at), name) for at, name in enumerate(settings.openc2.foreign))
    if settings.crowdsec:
        bouncers = (name for name in settings.crowdsec.bouncers if name not in _OURS)  # which is checked elsewhere
        yield from ((("lines", "crowdsec", "bouncers", name), name) for name in bouncers)


def lines_files(config: Config) -> Iterator[tuple[Key, Path]]:
    """The files that must be there."""
    if config.lines.agents:
        for name in ("certificate", "key", "client_ca"):
            yield (*_AGENTS, "tls", name), getattr(config.lines.agents.tls, name)


def _ports(config: Config) -> set[int | None]:
    tcp = (branch.tcp for branch in (config.decisions, config.mesh) if branch)
    return {config.edge.port, config.metrics_port, *(each.port for each in tcp if each)}
