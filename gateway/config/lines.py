"""Which defense lines there are."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.config.askers import MutualTls
from gateway.config.detection import Broker
from gateway.config.values import Branch, Integer, Port, Real


class NftablesLine(Branch):
    """The host firewall line: a process of its own that holds CAP_NET_ADMIN alone."""

    table: str = "portcullis"


class Agents(Branch):
    """Agents on other hosts (`portcullis line`), each a line by the name in its certificate."""

    address: str = "127.0.0.1"
    port: Port = 8285
    tls: MutualTls
    max_connections: Annotated[Integer, Field(ge=1, le=65_536)] = 16_384


class OpenC2Line(Branch):
    """OpenC2 SLPF consumers behind an MQTT 5 broker."""

    broker: Broker = Broker()
    actuator: str = "slpf"  # commands go to oc2/cmd/ap/ACTUATOR
    timeout_seconds: Annotated[Real, Field(gt=0, le=60)] = 2.0


class Lines(Branch):
    """Which defense lines there are; the edge always is one."""

    nftables: NftablesLine | None = None
    agents: Agents | None = None
    openc2: OpenC2Line | None = None
