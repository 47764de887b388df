"""OpenC2 over MQTT 5 (transfer specification v1.0): the connection, topics, and what goes beside the messages."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, NoReturn

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from prometheus_client import Counter

CONTENT_TYPE = "application/openc2"
KEEP_ALIVE = 60  # seconds; the specification allows up to 300
SESSION_SECONDS = 300  # the broker keeps a session, and what waits in it, this long
QUEUE = 1_000  # messages received and not yet read; beyond it they are lost, and the producer hears nothing
BACKOFF_SECONDS = (0.05, 5.0)  # first and longest wait before connecting again

_log = structlog.get_logger()
_lost = Counter(
    "portcullis_defense_lines_openc2_connections_lost_total", "Connections to the broker that ended", ["why"]
)


@dataclass(frozen=True)
class Broker:
    """Where the MQTT 5 broker is, and who we are to it."""

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def client(broker: Broker, identifier: str) -> aiomqtt.Client:
    """A connection to be entered; the session outlives it."""
    return aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        keepalive=KEEP_ALIVE,
        properties=_session(),
        max_queued_incoming_messages=QUEUE,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # as with Nagle below
    )


async def stay_connected(
    broker: Broker, identifier: str, topics: Sequence[str], converse: Callable[[aiomqtt.Client], Awaitable[None]]
) -> NoReturn:
    """Hold one connection to the broker, subscribed to the topics, and get another when it is lost, until cancelled.

    `converse` is called with each, and ends when it is lost. A fault in it (a bug of ours) ends that connection alone:
    it is logged, counted, and we connect again.
    """
    clock, wait, before = asyncio.get_running_loop().time, BACKOFF_SECONDS[0], _cancellations()
    while True:
        start = clock()
        try:
            async with client(broker, identifier) as connection:
                for topic in topics:
                    await connection.subscribe(topic, qos=1)
                _heed_cancellation(before)
                _log.info("connected to the broker", host=broker.host, port=broker.port, topics=topics)
                await converse(connection)
        except aiomqtt.MqttError as error:
            _lost.labels("broker").inc()
            _log.warning("broker is away", error=str(error))
        except Exception:
            _lost.labels("fault").inc()
            _log.exception("fault in a conversation over MQTT")
        _heed_cancellation(before)
        if clock() - start > BACKOFF_SECONDS[1]:  # it stood for a while: no reason yet to wait long
            wait = BACKOFF_SECONDS[0]
        await asyncio.sleep(wait)
        wait = min(2 * wait, BACKOFF_SECONDS[1])


async def publish(connection: aiomqtt.Client, topic: str, payload: bytes, said: Properties) -> None:
    """Publish with QoS 1 and wait for the broker's PUBACK. Raises aiomqtt.MqttError."""
    before = _cancellations()
    await connection.publish(topic, payload, qos=1, properties=said)
    _heed_cancellation(before)
    # A broker that leaves Nagle's algorithm on (Mosquitto's default) holds back its next message to us until TCP has
    # acknowledged that PUBACK, which Linux delays by 40 ms: acknowledge it now.
    end = connection._client.socket()
    if isinstance(end, socket.socket):
        with suppress(OSError):  # lost meanwhile; whoever reads from it is told
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _heed_cancellation(before: int) -> None:
    """Be cancelled after all, if that was asked since `before`: Python 3.11's `wait_for`, through which aiomqtt waits
    for the broker, goes on as if nothing had been said when the answer comes in the same moment as the cancellation.
    """
    if _cancellations() > before:
        raise asyncio.CancelledError


def response_topic(producer: str) -> str:
    """Where a producer listens; without a name, where all do."""
    return f"oc2/rsp/{producer}" if producer else "oc2/rsp"


def is_command(message: aiomqtt.Message) -> bool:
    """Whether a message says that it is an OpenC2 command in JSON, sent now and not kept by the broker for later."""
    said = message.properties
    users = dict(getattr(said, "UserProperty", ()))
    is_json = getattr(said, "ContentType", "") == CONTENT_TYPE and users.get("encoding", "json") == "json"
    return is_json and users.get("msgType", "req") == "req" and not message.retain


def properties(kind: Literal["req", "rsp"], expiry: int = 0) -> Properties:
    """What MQTT 5 says beside a message; with `expiry` the broker throws it away after so many seconds."""
    made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    made.ContentType = CONTENT_TYPE
    made.UserProperty = [("msgType", kind), ("encoding", "json")]
    if expiry:
        made.MessageExpiryInterval = expiry
    return made


def _session() -> Properties:
    """What MQTT 5 says at connect: the session outlives a lost connection."""
    made = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    made.SessionExpiryInterval = SESSION_SECONDS
    return made
