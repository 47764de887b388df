"""Which telemetry sources this gateway reads beside the edge's own logs, from the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway.config import MqttSource, Telemetry
from telemetry import EventBatch, Rejects, Topic, ZeekParser, follow, parse_eve, subscribe

Publish = Callable[[EventBatch], None]


async def run_sources(settings: Telemetry, publish: Publish, rejects: Rejects) -> None:
    """Follow every configured file and topic until cancelled."""
    stop = asyncio.Event()  # never set: cancelling ends us
    async with asyncio.TaskGroup() as tasks:
        for path in settings.eve:
            source = _named("eve", path)
            tasks.create_task(follow(path, parse_eve, publish, stop, source=source, rejects=rejects))
        for path in settings.zeek:
            source = _named("zeek", path)
            tasks.create_task(follow(path, ZeekParser(), publish, stop, source=source, rejects=rejects))
        if settings.mqtt is not None:
            tasks.create_task(subscribe(_topic(settings.mqtt), publish, stop, rejects=rejects))


def _named(kind: str, path: Path) -> str:
    return f"{kind}:{path.name}"


def _topic(settings: MqttSource) -> Topic:
    broker = settings.broker
    password = broker.password.get_secret_value() if broker.password else None
    return Topic(
        host=broker.host,
        port=broker.port,
        topic=settings.topic,
        username=broker.username,
        password=password,
        identifier="portcullis-telemetry",
    )
