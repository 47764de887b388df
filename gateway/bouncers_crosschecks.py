"""Checks of `lines.crowdsec` that take more than one value to make."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.config import Bouncer, Config, CrowdSecLine
from gateway.yaml_document import Key

_LINE: Key = ("lines", "crowdsec")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TAKEN = frozenset({"edge", "nftables", "openc2"})
_SHORTEST_KEY = 16

Problem = tuple[Key, str]


def bouncers(config: Config) -> Iterator[Problem]:
    """What does not fit together in the values alone."""
    line = config.lines.crowdsec
    if line is None:
        return
    yield from _port(config, line)
    known: dict[str, str] = {}
    for name, bouncer in line.bouncers.items():
        yield from _bouncer(name, bouncer)
        key = bouncer.key.get_secret_value() if bouncer.key else ""
        if key and known.setdefault(key, name) != name:
            yield (*_LINE, "bouncers", name, "key"), f"is the key of {known[key]} too"


def bouncers_files(config: Config) -> Iterator[tuple[Key, Path | None]]:
    """The files that must be there."""
    line = config.lines.crowdsec
    if line is None:
        return
    if line.tls:
        yield (*_LINE, "tls", "certificate"), line.tls.certificate
        yield (*_LINE, "tls", "key"), line.tls.key
    for name, bouncer in line.bouncers.items():
        yield (*_LINE, "bouncers", name, "key_file"), bouncer.key_file


def _bouncer(name: str, bouncer: Bouncer) -> Iterator[Problem]:
    key = (*_LINE, "bouncers", name)
    if not _NAME.fullmatch(name):
        yield key, "a name is of small letters, digits and hyphens, at most 63"
    if name in _TAKEN:
        yield key, "is the name of another line"
    if (bouncer.key is None) == (bouncer.key_file is None):
        yield (*key, "key"), "either it is here or in key_file"
    elif bouncer.key and len(bouncer.key.get_secret_value()) < _SHORTEST_KEY:
        yield (*key, "key"), f"must have at least {_SHORTEST_KEY} characters"


def _port(config: Config, line: CrowdSecLine) -> Iterator[Problem]:
    try:
        address = ipaddress.ip_address(line.address)
    except ValueError:
        yield (*_LINE, "address"), f"must be an IPv4 or IPv6 address, not {line.address!r}"
        return
    if not address.is_loopback and line.tls is None:
        yield (*_LINE, "tls"), "is needed: from other hosts the keys would come in the clear"
    others = [config.edge.port, config.metrics_port]
    for branch in (config.decisions, config.mesh):
        if branch and branch.tcp:
            others.append(branch.tcp.port)
    if line.port in others:
        yield (*_LINE, "port"), "is the port of another part"
