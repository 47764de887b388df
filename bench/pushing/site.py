"""Portcullis as it runs here: everything as by default, and a port for lines' agents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.pushing.authority import Authority
from deploy.demo.ports import free_port
from gateway.config import Agents, Config, Edge, Guard, Lines, MutualTls, Route, Service


def configuration(folder: Path, authority: Authority, lines: Sequence[str]) -> Config:
    """The starter policy; the guard lets as many blocks pass as are ordered."""
    certificate, key = authority.gateway
    tls = MutualTls(certificate=certificate, key=key, client_ca=authority.certificate, clients=tuple(lines))
    return Config(
        state=folder / "state",
        edge=Edge(port=free_port(), concurrency=1),
        services={"accounts": Service(address="127.0.0.1", port=free_port())},  # nobody asks for it
        routes=(Route(prefix="/accounts", service="accounts"),),
        lines=Lines(agents=Agents(port=free_port(), tls=tls)),
        guard=Guard(blocks_per_minute=1_000_000),
    )
