"""Which defense lines there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.config.detection import Broker
from gateway.config.values import Branch, Real


class NftablesLine(Branch):
    """The host firewall line: a process of its own that holds CAP_NET_ADMIN alone."""

    table: str = "portcullis"


_TAKEN = frozenset(("edge", "nftables"))

Device = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]  # as a level of a topic


class OpenC2Lines(Branch):
    """OpenC2 SLPF consumers behind an MQTT 5 broker; each is a line of its own."""

    broker: Broker = Broker()
    consumers: tuple[Device, ...] = ()  # of ours: commands are signed, answers sealed
    foreign: tuple[Device, ...] = ()  # of others, who check nothing and prove nothing
    signing_key: Path  # Ed25519, PEM, made on first use
    group: Device = "slpf"  # commands for all of ours go to oc2/cmd/ap/GROUP
    timeout_seconds: Annotated[Real, Field(gt=0, le=60)] = 2.0

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = (*self.consumers, *self.foreign)
        if not names or len(set(names)) < len(names):
            raise ValueError("lines.openc2 needs at least one consumer, and names each once")
        if taken := _TAKEN.intersection(names):
            raise ValueError(f"lines.openc2: {min(taken)} is another line's name")
        return self


class Lines(Branch):
    """Which defense lines there are; the edge always is one."""

    nftables: NftablesLine | None = None
    openc2: OpenC2Lines | None = None
