"""Endpoint and branch agents over MQTT (aiomqtt, QoS 1): a message is a report. Reconnects for as long as it takes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import aiomqtt
import prometheus_client
import structlog

from telemetry.event import EventBatch
from telemetry.malformed import Parse
from telemetry.rejects import Rejects
from telemetry.sources.endpoint import parse_endpoint
from telemetry.sources.lines import parse_lines

SOURCE = "mqtt:endpoint"
MAX_REPORT = 64 * 1024  # bytes of one message
_QUEUE = 1000  # messages that wait for us; more are dropped and counted
_BATCH = 500  # messages of one batch at most
_FIRST_DELAY, _LONGEST_DELAY = 0.25, 15.0  # seconds before the next attempt

_RECONNECTS = prometheus_client.Counter(
    "portcullis_telemetry_mqtt_reconnects_total", "Times the broker was lost or not reached", ["source"]
)
_DROPPED = prometheus_client.Counter(
    "portcullis_telemetry_mqtt_dropped_total", "Messages dropped because too many were waiting", ["source"]
)
_CONNECTED = prometheus_client.Gauge("portcullis_telemetry_mqtt_connected", "1 while subscribed", ["source"])
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """Where agents report: a broker and one of its topics.

    With an `identifier` the broker keeps what comes while we are away (a persistent session); without, it does not.
    """

    host: str
    port: int
    topic: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    identifier: str | None = None
    source: str = SOURCE
    tls: Callable[[], ssl.SSLContext] | None = None  # made anew for each connection: certificates are renewed


async def subscribe(
    topic: Topic,
    publish: Callable[[EventBatch], None],
    stop: asyncio.Event,
    *,
    rejects: Rejects,
    parse: Parse = parse_endpoint,
    on_subscribed: Callable[[], None] = lambda: None,
) -> None:
    """Publish the topic's reports as events until `stop`. `on_subscribed` is called at each connection made."""
    delay = _FIRST_DELAY
    while not stop.is_set():
        try:
            trust = await asyncio.to_thread(topic.tls) if topic.tls else None
            async with _client(topic, rejects, trust) as client, asyncio.TaskGroup() as group:
                await client.subscribe(topic.topic, qos=1)
                _CONNECTED.labels(topic.source).set(1)
                delay = _FIRST_DELAY
                on_subscribed()
                reading = group.create_task(_read(client, topic.source, publish, rejects, parse))
                await stop.wait()
                reading.cancel()
        except* aiomqtt.MqttError as errors:
            _RECONNECTS.labels(topic.source).inc()
            _log.warning("broker lost", host=topic.host, port=topic.port, error=str(errors.exceptions[0]), delay=delay)
        finally:
            _CONNECTED.labels(topic.source).set(0)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay)
        delay = min(delay * 2, _LONGEST_DELAY)


async def _read(
    client: aiomqtt.Client, source: str, publish: Callable[[EventBatch], None], rejects: Rejects, parse: Parse
) -> None:
    messages = client.messages
    async for message in messages:
        reports = [bytes(message.payload)]
        while len(messages) and len(reports) < _BATCH:
            reports.append(bytes((await anext(messages)).payload))
        harvest = parse_lines(reports, parse, source)
        harvest.count(source, rejects)
        if len(harvest.batch):
            publish(harvest.batch)


def _client(topic: Topic, rejects: Rejects, trust: ssl.SSLContext | None) -> aiomqtt.Client:
    class Waiting(asyncio.Queue[aiomqtt.Message]):
        """aiomqtt takes a queue by its type, and drops without counting when it is full."""

        def put_nowait(self, item: aiomqtt.Message) -> None:
            if len(item.payload) > MAX_REPORT:
                rejects.add(topic.source, "too_long", bytes(item.payload[:MAX_REPORT]))
            elif self.full():
                _DROPPED.labels(topic.source).inc()
            else:
                super().put_nowait(item)

    return aiomqtt.Client(
        topic.host,
        topic.port,
        username=topic.username,
        password=topic.password,
        tls_context=trust,
        identifier=topic.identifier,
        clean_session=topic.identifier is None,
        queue_type=Waiting,
        max_queued_incoming_messages=_QUEUE,
    )
