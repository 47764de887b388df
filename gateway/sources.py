"""Which telemetry sources this gateway reads beside the edge's own logs, from the configuration."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.config import MqttSource, Telemetry
from gateway.keeping import keep_running
from telemetry import EventBatch, Parse, Rejects, Topic, ZeekParser, broker_tls, follow, parse_eve, subscribe

Publish = Callable[[EventBatch], None]


async def run_sources(settings: Telemetry, publish: Publish, rejects: Rejects, positions: Path) -> None:
    """Follow every configured file and topic until cancelled; each fails and starts again alone.

    In the folder `positions` is kept how far each file was read.
    """
    stop = asyncio.Event()  # never set: cancelling ends us

    async def file(kind: str, path: Path, parser: Callable[[], Parse]) -> None:
        position = positions / f"{kind}-{hashlib.blake2b(bytes(path), digest_size=8).hexdigest()}"
        source = f"{kind}:{path.name}"
        await follow(path, parser(), publish, stop, source=source, rejects=rejects, position=position)

    async with asyncio.TaskGroup() as tasks:
        for path in settings.eve:
            tasks.create_task(keep_running(f"eve:{path.name}", partial(file, "eve", path, lambda: parse_eve)))
        for path in settings.zeek:
            tasks.create_task(keep_running(f"zeek:{path.name}", partial(file, "zeek", path, ZeekParser)))
        if settings.mqtt is not None:
            topic = _topic(settings.mqtt)
            tasks.create_task(keep_running(topic.source, lambda: subscribe(topic, publish, stop, rejects=rejects)))


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
        tls=partial(broker_tls, **dict(broker.tls)) if broker.tls else None,
    )
