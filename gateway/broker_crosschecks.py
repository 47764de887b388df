"""Checks of MQTT brokers that take more than one value to make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.config import BrokerTls, Config
from gateway.yaml_document import Key


def brokers(config: Config) -> Iterator[tuple[Key, str]]:
    """What does not fit together in the values alone."""
    for key, tls in _tls(config):
        if (tls.certificate is None) != (tls.key is None):
            yield key, "a certificate and its key come together"


def broker_files(config: Config) -> Iterator[tuple[Key, Path | None]]:
    """The files that must be there."""
    for key, tls in _tls(config):
        for name in ("ca", "certificate", "key"):
            yield (*key, name), getattr(tls, name)


def _tls(config: Config) -> Iterator[tuple[Key, BrokerTls]]:
    if config.lines.openc2 and config.lines.openc2.broker.tls:
        yield ("lines", "openc2", "broker", "tls"), config.lines.openc2.broker.tls
    if config.telemetry.mqtt and config.telemetry.mqtt.broker.tls:
        yield ("telemetry", "mqtt", "broker", "tls"), config.telemetry.mqtt.broker.tls
