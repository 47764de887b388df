"""OpenC2 over MQTT 5 (transfer specification v1.0): one connection to the broker, and another when it is lost.

The codec is mqtt5's. Nobody here waits for a PUBACK: it is the broker's word, and only the other end's answer counts.
What is received is acknowledged when it has been dealt with, so that the broker holds back what we cannot take.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time as clocks
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import structlog
from mqtt5 import (
    ConnAckPacket,
    ConnAckReasonCode,
    ConnectPacket,
    DisconnectPacket,
    Packet,
    PingReqPacket,
    PubAckPacket,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubAckReasonCode,
    SubscribePacket,
    TopicFilter,
    read,
)
from prometheus_client import Counter

from defense_lines.agent.openc2_outbox import CONTENT_TYPE, Outbox, Outgoing

KEEP_ALIVE = 15  # seconds without a word after which the other end is lost; the specification allows up to 300
SESSION_SECONDS = 300  # the broker keeps a session, and what waits in it, this long
RECEIVE = 1_000  # messages that the broker may send before we have dealt with the first of them
MAX_PACKET = 4 << 20  # bytes
HANDSHAKE_SECONDS = 5.0
GROUP = "x-portcullis"  # whom a command is for that is for all consumers of ours; `slpf` is any actuator of the profile
BACKOFF_SECONDS = (0.05, 5.0)  # first and longest wait before connecting again

_GRANTED = SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE
_log = structlog.get_logger()
_lost = Counter(
    "portcullis_defense_lines_openc2_connections_lost_total", "Connections to the broker that ended", ["why"]
)


class BrokerLost(Exception):
    """The connection to the broker ended, or never stood; the message says why."""


@dataclass(frozen=True)
class Broker:
    """Where the MQTT 5 broker is, and who we are to it."""

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Callable[[], ssl.SSLContext] | None = None  # made anew for each connection: certificates are renewed


class Connection(asyncio.Protocol):
    """One connection. `received` is called with each message, and answers for it by calling `acknowledge`."""

    def __init__(self, outbox: Outbox, received: Callable[[PublishPacket], None]) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = loop.create_future()  # why, once it has ended
        self._handshake: asyncio.Future[ConnAckPacket | SubAckPacket] = loop.create_future()
        self._loop = loop
        self._outbox = outbox
        self._received = received
        self._transport: asyncio.Transport | None = None
        self._tcp: Any = None  # its socket, if it has one
        self._rest = b""
        self._unsent: list[bytes] = []
        self._heard = loop.time()
        self._fault: Exception | None = None
        self._stands = False  # from when the broker has agreed until it ends; else what is published waits
        self._ticking: asyncio.TimerHandle | None = None

    async def open(self, broker: Broker, identifier: str, topics: Sequence[str]) -> None:
        """Become the client `identifier`, subscribed to the topics. Raises BrokerLost."""
        agreed = await self._ask(_connect(broker, identifier, clean_start=self._outbox.to_be_forgotten))
        if not isinstance(agreed, ConnAckPacket) or agreed.reason_code != ConnAckReasonCode.SUCCESS:
            raise BrokerLost(f"refused: {getattr(agreed, 'reason_code', agreed)!r}")
        filters = [TopicFilter(topic, max_qos=QoS.AT_LEAST_ONCE) for topic in topics]
        granted = await self._ask(SubscribePacket(1, filters))
        if not isinstance(granted, SubAckPacket) or granted.reason_codes != [_GRANTED] * len(filters):
            raise BrokerLost(f"subscription refused: {topics}")
        if self._transport is None:
            raise BrokerLost("connection closed")
        self._stands = True
        self._write(self._outbox.resume(agreed.session_present, agreed.receive_max, clocks.monotonic()))
        self._send()
        self._tick()

    def publish(self, message: Outgoing) -> None:
        """Send a message, at the latest when the broker takes more, or over the next connection if this one has ended.

        Raises BufferError if too many wait.
        """
        self._outbox.put(message, clocks.monotonic())
        self._send()

    def acknowledge(self, message: PublishPacket) -> None:
        """The message has been dealt with."""
        if message.packet_id is not None:
            self._write(PubAckPacket(message.packet_id).write())

    def close(self, fault: Exception | None = None) -> None:
        """End the connection, after writing what waits; `fault` is a bug of ours."""
        self._fault, self._stands = self._fault or fault, False
        if self._transport is not None:
            self._flush()
            self._transport.close()

    async def ended(self) -> NoReturn:
        """Wait for the end. Raises BrokerLost, or the fault that ended it."""
        why = await asyncio.shield(self.lost)
        raise self._fault or BrokerLost(why)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        end = transport.get_extra_info("socket")  # asked for once: uvloop makes another each time
        if end is not None and end.family in (socket.AF_INET, socket.AF_INET6):
            self._tcp = end
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._heard = self._loop.time()
        self._rest += data
        view, at = memoryview(self._rest), 0
        try:
            while at < len(view):
                packet, length = read(view[at:])
                at += length
                self._handle(packet)
        except IndexError:  # the rest of a packet is still to come
            if len(view) - at > MAX_PACKET:
                self.close(BrokerLost(f"a packet of more than {MAX_PACKET} bytes"))
        except ValueError as error:
            self.close(BrokerLost(f"malformed packet: {error}"))
        except Exception as error:
            self.close(error)
        self._rest = self._rest[at:]

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport, self._tcp, self._stands = None, None, False
        if self._ticking is not None:
            self._ticking.cancel()
        why = str(error) if error else "connection closed"
        if not self._handshake.done():
            self._handshake.set_exception(BrokerLost(why))
            self._handshake.exception()  # it may be that nobody asks
        if not self.lost.done():
            self.lost.set_result(why)

    async def _ask(self, packet: ConnectPacket | SubscribePacket) -> ConnAckPacket | SubAckPacket:
        self._handshake = self._loop.create_future()
        if self._transport is None:
            raise BrokerLost("connection closed")
        self._write(packet.write())
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                return await self._handshake
        except TimeoutError:
            raise BrokerLost(f"no answer within {HANDSHAKE_SECONDS:g} s") from None

    def _handle(self, packet: Packet) -> None:
        match packet:
            case PublishPacket():
                self._received(packet)
            case PubAckPacket():
                self._outbox.acknowledge(packet.packet_id)
                self._send()
                self._acknowledge_segments()
            case ConnAckPacket() | SubAckPacket():
                if not self._handshake.done():
                    self._handshake.set_result(packet)
            case DisconnectPacket():
                self.close(BrokerLost(f"the broker disconnects: {packet.reason_code!r}"))
            case _:  # PINGRESP says no more than that it was heard
                pass

    def _acknowledge_segments(self) -> None:
        """A broker that leaves Nagle's algorithm on (Mosquitto's default) holds back its next message to us until TCP
        has acknowledged that PUBACK, which Linux delays by 40 ms: acknowledge it now.
        """
        if self._tcp is not None:
            with suppress(OSError):  # lost meanwhile; `lost` tells
                self._tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _send(self) -> None:
        """What is sent over a connection that has ended would count as under way for good."""
        if self._stands:
            self._write(self._outbox.due(clocks.monotonic()))

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None:
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        """Send what this turn of the loop wrote, as one."""
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _tick(self) -> None:
        if self._transport is None:
            return
        if self._loop.time() - self._heard > KEEP_ALIVE:
            self._fault = BrokerLost(f"not a word for {KEEP_ALIVE} s")
            self._transport.abort()
            return
        self._write(PingReqPacket().write())
        self._ticking = self._loop.call_later(KEEP_ALIVE / 3, self._tick)


async def stay_connected(
    broker: Broker,
    identifier: str,
    topics: Sequence[str],
    received: Callable[[Connection, PublishPacket], None],
    converse: Callable[[Connection], Awaitable[None]],
) -> NoReturn:
    """Hold one connection to the broker, subscribed to the topics, and get another when it is lost, until cancelled.

    `received` is called with each message; `converse` runs while the connection stands. A fault in either (a bug of
    ours) ends that connection alone: it is logged, counted, and we connect again.
    """
    clock, wait, outbox = asyncio.get_running_loop().time, BACKOFF_SECONDS[0], Outbox()
    while True:
        start = clock()
        try:
            await _converse(broker, identifier, topics, outbox, received, converse)
        except (BrokerLost, OSError, TimeoutError) as error:
            _lost.labels("broker").inc()
            _log.warning("broker is away", client=identifier, error=str(error) or repr(error))
        except Exception:
            _lost.labels("fault").inc()
            _log.exception("fault in a conversation over MQTT", client=identifier)
        if clock() - start > BACKOFF_SECONDS[1]:  # it stood for a while: no reason yet to wait long
            wait = BACKOFF_SECONDS[0]
        await asyncio.sleep(wait)
        wait = min(2 * wait, BACKOFF_SECONDS[1])


async def _converse(
    broker: Broker,
    identifier: str,
    topics: Sequence[str],
    outbox: Outbox,
    received: Callable[[Connection, PublishPacket], None],
    converse: Callable[[Connection], Awaitable[None]],
) -> None:
    connection = Connection(outbox, lambda message: received(connection, message))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(HANDSHAKE_SECONDS):
        trust = await asyncio.to_thread(broker.tls) if broker.tls else None
        await loop.create_connection(lambda: connection, broker.host, broker.port, ssl=trust)
    try:
        await connection.open(broker, identifier, topics)
        _log.info("connected to the broker", client=identifier, host=broker.host, port=broker.port, topics=topics)
        talking = asyncio.ensure_future(converse(connection))
        ending = asyncio.ensure_future(connection.ended())
        try:
            done, _ = await asyncio.wait((talking, ending), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            talking.cancel()
            ending.cancel()
            await asyncio.gather(talking, ending, return_exceptions=True)
    finally:
        connection.close()


def response_topic(producer: str) -> str:
    """Where a producer listens; without a name, where all do."""
    return f"oc2/rsp/{producer}" if producer else "oc2/rsp"


def kind(message: PublishPacket) -> str | None:
    """ "req", "rsp" or "ntf" of what says that it is OpenC2 in JSON, sent now and not kept by the broker for later."""
    said = dict(message.user_properties)
    is_json = message.content_type == CONTENT_TYPE and said.get("encoding", "json") == "json"
    return said.get("msgType", "") if is_json and not message.retain else None


def _connect(broker: Broker, identifier: str, clean_start: bool) -> ConnectPacket:
    return ConnectPacket(
        identifier,
        username=broker.username,
        password=broker.password.encode() if broker.password is not None else None,
        clean_start=clean_start,
        keep_alive=KEEP_ALIVE,
        session_expiry_interval=SESSION_SECONDS,
        receive_max=RECEIVE,
        max_packet_size=MAX_PACKET,
    )
