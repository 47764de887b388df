"""Which defense lines there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

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


Device = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]  # as a level of a topic


class OpenC2Lines(Branch):
    """OpenC2 SLPF consumers behind an MQTT 5 broker; each is a line of its own."""

    broker: Broker = Broker()
    consumers: tuple[Device, ...] = ()  # of ours: commands are signed, answers sealed
    foreign: tuple[Device, ...] = ()  # of others, who check nothing and prove nothing
    signing_key: Path  # Ed25519, PEM, made on first use
    group: Device = "x-portcullis"  # commands for all of ours go to oc2/cmd/ap/GROUP
    timeout_seconds: Annotated[Real, Field(gt=0, le=60)] = 2.0

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.consumers and not self.foreign:
            raise ValueError("lines.openc2 needs at least one consumer")
        return self


class Bouncer(Branch):
    """One of CrowdSec's bouncers: a line of its own, called as it is here."""

    key: SecretStr | None = None  # that it shows; its own `api_key`
    key_file: Path | None = None
    ranges: bool = False  # whether it enforces a range: crowdsec-firewall-bouncer on nftables takes its first address
    hold_seconds: Annotated[Real, Field(ge=0, le=60)] = 25.0  # that a poll may wait: less than the bouncer's time-out


class CrowdSecTls(Branch):
    """The certificate that bouncers are shown."""

    certificate: Path
    key: Path


class CrowdSecLine(Branch):
    """CrowdSec's own API, for bouncers as they are."""

    address: str = "127.0.0.1"
    port: Port = 8284
    tls: CrowdSecTls | None = None  # none is for bouncers on this host alone
    bouncers: Annotated[dict[str, Bouncer], Field(min_length=1)]
    away_seconds: Annotated[Real, Field(ge=5, le=3600)] = 60.0  # without a request, until one counts as away
    max_connections: Annotated[Integer, Field(ge=1, le=65_536)] = 256


class Lines(Branch):
    """Which defense lines there are; the edge always is one."""

    nftables: NftablesLine | None = None
    agents: Agents | None = None
    openc2: OpenC2Lines | None = None
    crowdsec: CrowdSecLine | None = None
