"""Which defense lines there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from gateway.config.detection import Broker
from gateway.config.values import Branch, Integer, Port, Real


class NftablesLine(Branch):
    """The host firewall line: a process of its own that holds CAP_NET_ADMIN alone."""

    table: str = "portcullis"


class OpenC2Line(Branch):
    """OpenC2 SLPF consumers behind an MQTT 5 broker."""

    broker: Broker = Broker()
    actuator: str = "slpf"  # commands go to oc2/cmd/ap/ACTUATOR
    timeout_seconds: Annotated[Real, Field(gt=0, le=60)] = 2.0


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
    openc2: OpenC2Line | None = None
    crowdsec: CrowdSecLine | None = None
