"""Where events come from, what judges them, and what a guard lets become of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.config.values import Branch, Integer, Port, Real


class BrokerTls(Branch):
    """How a broker proves itself, which it must, and how we do, where it asks."""

    ca: Path | None = None  # none means the system's authorities
    certificate: Path | None = None
    key: Path | None = None


class Broker(Branch):
    """An MQTT 5 broker."""

    host: str = "127.0.0.1"
    port: Port = 1883
    username: str | None = None
    password: SecretStr | None = None
    tls: BrokerTls | None = None


class MqttSource(Branch):
    """Endpoint and branch agents that report over MQTT."""

    broker: Broker = Broker()
    topic: str = "portcullis/telemetry/#"


class Telemetry(Branch):
    """Where events come from, beside the edge's own access log."""

    eve: tuple[Path, ...] = ()  # Suricata EVE JSON files to follow
    zeek: tuple[Path, ...] = ()  # Zeek logs to follow, TSV or JSON
    mqtt: MqttSource | None = None
    queue_events: Annotated[Integer, Field(ge=1000)] = 200_000  # beyond it the noisiest source is shed


class Detectors(Branch):
    """What judges events, in a process of its own."""

    models: Path | None = None  # a shelf of models; none means the one in the state folder, with the default ones
    trusted_keys: tuple[Path, ...] = ()  # of others, whose models may judge; the shelf's own key may ever
    device: Literal["cpu", "gpu"] = "cpu"


class Guard(Branch):
    """What may never be blocked, how much may be, and what is watched when it is."""

    never_block_addresses: tuple[str, ...] = ("127.0.0.0/8", "::1/128")  # addresses and ranges
    never_block_principals: tuple[str, ...] = ()
    max_ttl_seconds: Annotated[Integer, Field(ge=1)] = 86_400
    repeat_seconds: Annotated[Integer, Field(ge=0)] = 86_400  # within which a target that comes back is remembered
    blocks_per_minute: Annotated[Integer, Field(ge=1)] = 60  # by each cause's author
    blast_radius_share: Annotated[Real, Field(gt=0, le=1)] = 0.2  # of the good principals; above it by canary
    blast_radius_count: Annotated[Integer, Field(ge=1)] = 3  # good principals that may be hit whatever the share
    blast_radius_most: Annotated[Integer, Field(ge=1)] = 50  # good principals that may be hit, however small a share
    approval_share: Annotated[Real, Field(gt=0, le=1)] = 0.4  # likewise; above it a second person decides
    approval_count: Annotated[Integer, Field(ge=1)] = 10
    approval_most: Annotated[Integer, Field(ge=1)] = 200
    approval_seconds: Annotated[Integer, Field(ge=1, le=86_400)] = 3_600  # that a block waits for a second person
    widest_ipv4: Annotated[Integer, Field(ge=0, le=32)] = 16  # prefix; of a wider range a second person decides
    widest_ipv6: Annotated[Integer, Field(ge=0, le=128)] = 32
    shared_principals: Annotated[Integer, Field(ge=1)] = 10  # an address that more were seen at is many people's
    watch_seconds: Annotated[Integer, Field(ge=1, le=600)] = (
        30  # a new block is watched; then a canary goes to all lines
    )
    harm_callers: Annotated[Integer, Field(ge=1)] = 5  # good callers that must fail before their failing counts
    harm_share: Annotated[Real, Field(gt=0, le=1)] = 0.05  # by which the share of good callers who fail must rise
