"""Portcullis as it runs here: everything as by default, and a port for lines' agents."""

from __future__ import annotations

from pathlib import Path

from bench.pushing.authority import Authority
from deploy.demo.ports import free_port
from gateway.config import AgentLines, Config, Edge, Guard, Lines, MutualTls, Route, Service


def configuration(folder: Path, authority: Authority) -> Config:
    """The starter policy; the guard lets as many blocks pass as are ordered."""
    certificate, key = authority.gateway
    tls = MutualTls(certificate=certificate, key=key, client_ca=authority.certificate)
    return Config(
        state=folder / "state",
        edge=Edge(port=free_port(), concurrency=1),
        services={"accounts": Service(address="127.0.0.1", port=free_port())},  # nobody asks for it
        routes=(Route(prefix="/accounts", service="accounts"),),
        lines=Lines(agents=AgentLines(port=free_port(), tls=tls)),
        guard=Guard(blocks_per_minute=1_000_000),
    )
