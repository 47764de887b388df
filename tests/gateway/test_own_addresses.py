"""What the gateway itself is reached by is never blocked, in the configuration that the documentation shows."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from defense_lines import Guard, Permit
from gateway.blocking import new_block
from gateway.config import (
    Agents,
    Bouncer,
    Config,
    CrowdSecLine,
    Decisions,
    DecisionsTcp,
    Edge,
    Lines,
    Mesh,
    MeshTcp,
    MutualTls,
    Route,
    Service,
)
from gateway.guarding import guard_limits
from gateway.host_addresses import host_addresses
from policy import Cause, Target

HOST = ("127.0.0.1", "192.0.2.7", "2001:db8::7")
TLS = MutualTls(certificate=Path("c.pem"), key=Path("k.pem"), client_ca=Path("ca.pem"))


def config(address: str = "127.0.0.1", **branches: Any) -> Config:
    services = {"bank": Service(address="127.0.0.1", port=1)}
    told = Config(services=services, routes=(Route(prefix="/", service="bank"),), **branches)
    return told.model_copy(update={"edge": Edge(port=1).model_copy(update={"address": address})})


def refused(told: Config, value: str, kind: Any = "address") -> bool:
    now = time.time()
    block = new_block(Target.of(kind, value), 60, Cause(reason="x", by="analyst:jo"), now)
    return not isinstance(Guard(guard_limits(told, HOST)).judge(block, now), Permit)


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_who_listens_on_all_addresses_is_reached_by_each(address: str) -> None:
    assert refused(config(address), "192.0.2.7")
    assert refused(config(address), "2001:db8::7")
    assert refused(config(address), "192.0.2.0/28", "range")
    assert not refused(config(address), "192.0.2.8")
    assert not refused(config(), "192.0.2.7")


@pytest.mark.parametrize(
    "branch",
    [
        {"lines": Lines(agents=Agents(address="198.51.100.7", tls=TLS))},
        {"lines": Lines(crowdsec=CrowdSecLine(address="198.51.100.7", bouncers={"fw": Bouncer()}))},
        {"decisions": Decisions(tcp=DecisionsTcp(address="198.51.100.7", tls=TLS))},
        {"mesh": Mesh(tcp=MeshTcp(address="198.51.100.7", tls=TLS))},
    ],
    ids=lambda branch: next(iter(branch)),
)
def test_every_port_is_reached(branch: dict[str, Any]) -> None:
    assert refused(config(**branch), "198.51.100.7")
    assert not refused(config(**branch), "198.51.100.8")


def test_the_kernel_tells_this_hosts_addresses() -> None:
    found = host_addresses()
    assert "127.0.0.1" in found
    for address in found:
        if ":" not in address:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                asked.bind((address, 0))  # nobody binds to another's
