"""Lines on other hosts, or in another process of this one: an agent connects, and is a line while it is connected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog
from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from prometheus_client import Counter, Gauge

from defense_lines.agent.protocol import (
    ANSWER,
    ENCODER,
    MAX_ANSWER,
    MAX_HELLO,
    MAX_ORDERS,
    SUBPROTOCOL,
    Answer,
    Audit,
    Enforced,
    Hello,
    InStep,
    Unlisted,
    Welcome,
    WireOrder,
)
from defense_lines.agent.protocol import Orders as WireOrders
from defense_lines.agent.protocol import OutOfSequence as WireOutOfSequence
from defense_lines.agent.protocol import Receipts as WireReceipts
from defense_lines.agent.websocket import Connection, Messages
from defense_lines.line import (
    Answered,
    CallingLine,
    Capabilities,
    Digest,
    LineBroken,
    LineUnavailable,
    Orders,
    OutOfSequence,
    Receipts,
)

HELLO_SECONDS: Final = 5.0  # from the handshake; who has not said by then what it can do is closed
_WORDS = 500  # characters of an agent's own that are kept
SILENT_SECONDS: Final = 5.0  # after which an agent is asked whether it is there; after as long again it is lost

_log = structlog.get_logger()
_refused = Counter("portcullis_defense_lines_connections_refused_total", "Agents' connections refused", ["why"])
_malformed = Counter("portcullis_defense_lines_malformed_answers_total", "Messages that closed an agent's connection")
_replaced = Counter("portcullis_defense_lines_agents_replaced_total", "Connections that a newer one of the name closed")
_connected = Gauge("portcullis_defense_lines_agents_connected", "Agents that are connected")
_repaired = Counter(
    "portcullis_defense_lines_agent_repairs_total", "Networks that agents put right by themselves", ["line"]
)
_foreign = Gauge("portcullis_defense_lines_agent_foreign", "Elements in our tables that are not ours", ["line"])
_skew = Gauge("portcullis_defense_lines_agent_clock_skew_seconds", "Line's clock less ours, as it connected", ["line"])

# A peer's name, by its connection and the path that it asked for; empty for one that may not come.
Identify = Callable[[asyncio.BaseTransport, str], str]


class Followed(msgspec.Struct, frozen=True):
    """Whose orders lines are given."""

    name: str  # fingerprint of its public key
    last: Callable[[], int]  # its newest entry that ordered anything


class Encoded:
    """Orders as they travel. Lines in step share one value, so that it is encoded once."""

    def __init__(self) -> None:
        self._last: Orders | None = None
        self._after: int | None = None
        self._message = b""

    def __call__(self, orders: Orders, after: int | None) -> bytes:
        """One message, with `after` in place of its own. Raises ValueError if it is larger than an agent takes."""
        if orders is not self._last or after != self._after:
            self._message, self._last, self._after = _encoded(orders, after), orders, after
        return self._message


class RemoteLine(CallingLine):
    """A defense line whose agent is connected. Once the connection is lost every call raises LineUnavailable."""

    def __init__(self, name: str, hello: Hello, connection: Messages, encoded: Encoded) -> None:
        self.name = name
        self.capabilities = Capabilities(targets=frozenset(hello.targets), room=hello.room)
        self.cursor: int | None = hello.cursor
        self._connection = connection
        self._told = hello.cursor
        self._encoded = encoded
        self._orders: Orders | None = None  # while they are not answered
        self._answered: Answered = lambda line, answer: None
        self._audit: asyncio.Future[Answer] | None = None
        self._lost: LineUnavailable | LineBroken | None = None
        self._is_broken = False  # and who waited for receipts was told so

    def tell(self, orders: Orders, answered: Answered) -> None:
        """See CallingLine."""
        if self._orders is not None:
            raise RuntimeError(f"{self.name}: told again before it answered")
        self._send(self._encoded(orders, self._after(orders)))
        self._orders, self._answered = orders, answered

    def give_up(self) -> None:
        """See CallingLine. The agent is cut: its answer could be taken for another."""
        self._orders = None
        self._connection.close("no answer in time")

    async def active(self, unless: Digest, time: float) -> Sequence[str] | None:
        """See DefenseLine."""
        if self._audit is not None:
            raise RuntimeError(f"{self.name}: asked again before it answered")
        self._send(ENCODER.encode(Audit(unless.count, unless.sum, time)))
        self._audit = asyncio.get_running_loop().create_future()
        try:
            answer = await self._audit
        except asyncio.CancelledError:
            self._connection.close("no answer in time")
            raise
        finally:
            self._audit = None
        if not isinstance(answer, InStep | Enforced):
            raise self._unable(answer)
        _repaired.labels(self.name).inc(answer.repaired)
        _foreign.labels(self.name).set(answer.foreign)
        return None if isinstance(answer, InStep) else answer.blocks

    def hear(self, answer: Answer) -> bool:
        """Give an answer to who waits for it; whether anybody did."""
        if isinstance(answer, InStep | Enforced | Unlisted):
            return self._audited(answer)
        if isinstance(answer, Hello) or self._orders is None:
            return False
        orders, self._orders = self._orders, None
        self._answered(self, self._meaning(answer, orders))
        return True

    def lose(self, fault: str) -> None:
        """The connection is lost; a fault is what the agent did wrong. Whoever waits hears it."""
        kind = LineBroken if fault else LineUnavailable
        words = f"{self.name}: {fault or 'connection closed'}"
        self._lost = LineUnavailable(words)
        if fault and self._orders is None and not self._is_broken:
            self.fault = fault
        if self._audit is not None and not self._audit.done():
            self._audit.set_exception(kind(words))
        if self._orders is not None:
            self._orders = None
            self._answered(self, kind(words))

    def _send(self, message: bytes) -> None:
        if self._lost is not None:
            raise self._lost
        self._connection.send(message)

    def _audited(self, answer: InStep | Enforced | Unlisted) -> bool:
        if self._audit is None or self._audit.done():
            return False
        self._audit.set_result(answer)
        return True

    def _meaning(self, answer: Answer, orders: Orders) -> Receipts | Exception:
        if isinstance(answer, WireReceipts):
            return self._receipts(answer, orders)
        if isinstance(answer, WireOutOfSequence):
            return OutOfSequence(answer.cursor)
        return self._unable(answer)

    def _after(self, orders: Orders) -> int | None:
        """Nothing between what the agent was told last and these concerned it, so nothing of it was sent: to the agent
        they follow on that.
        """
        return orders.after if orders.after is None else min(orders.after, self._told)

    def _receipts(self, answer: WireReceipts, orders: Orders) -> Receipts | LineBroken:
        asked = {order.id for order in orders.orders} if answer.notes else frozenset[str]()
        receipts = Receipts(time=answer.time, ms=answer.ms, head=answer.head, notes=answer.notes)
        if answer.head == orders.head and all(note.block in asked for note in answer.notes) and receipts.is_sound:
            self._told = self._told if orders.after is None else orders.upto
            return receipts
        words = "receipts for what was not asked" if receipts.is_sound else "receipts with a time that is none"
        self._connection.close(words, fault=True)
        self._is_broken = True
        return LineBroken(f"{self.name}: {words}")

    def _unable(self, answer: Answer) -> LineUnavailable:
        return LineUnavailable(f"{self.name}: {getattr(answer, 'reason', 'no answer')[:_WORDS]}")


class RemoteLines:
    """Every agent that is connected, and the way in for others. One connection a name: the newer takes its place."""

    def __init__(
        self,
        ledger: Followed,
        on_attach: Callable[[RemoteLine], None],
        on_detach: Callable[[RemoteLine], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self.encoded = Encoded()
        self._on_attach = on_attach
        self._on_detach = on_detach
        self.living: set[_Accepted] = set()  # connections, those that have not said who they are among them
        self._attached: dict[str, _Agent] = {}

    def connection(self, identify: Identify, ended: Callable[[], None] = lambda: None) -> Connection:
        """The protocol of one accepted connection; `ended` is called once it is lost."""
        return _Accepted(self, identify, ended)

    def attach(self, agent: _Agent, line: RemoteLine) -> None:
        """An agent has said what it can do."""
        older = self._attached.pop(line.name, None)
        if older is not None and older.line is not None:
            _replaced.inc()
            older.close("another agent of this name connected")
            older.line.lose(older.fault)
            self._on_detach(older.line)
        self._attached[line.name] = agent
        _connected.set(len(self._attached))
        self._on_attach(line)

    def detach(self, agent: _Agent, line: RemoteLine) -> None:
        """Its connection is lost."""
        if self._attached.get(line.name) is agent:
            del self._attached[line.name]
            _connected.set(len(self._attached))
            self._on_detach(line)

    def close(self) -> None:
        """End every connection."""
        for connection in tuple(self.living):
            connection.cut()


class _Agent(Messages):
    """One connection: welcome, hello, and then answers."""

    def __init__(self, name: str, lines: RemoteLines) -> None:
        super().__init__(MAX_ANSWER)
        self.line: RemoteLine | None = None
        self._name = name
        self._lines = lines
        self._deadline = asyncio.get_running_loop().call_later(HELLO_SECONDS, self._late)

    def opened(self) -> None:
        ledger = self._lines.ledger
        self.send(ENCODER.encode(Welcome(self._name, ledger.name, ledger.last(), self._lines.clock())))

    def received(self, message: bytes) -> None:
        try:
            answer = ANSWER.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._wrong(f"no answer: {error}")
            return
        if self.line is not None:
            if not self.line.hear(answer):
                self._wrong("an answer that nobody waits for")
        elif isinstance(answer, Hello) and len(message) <= MAX_HELLO:
            self._greeted(answer)
        else:
            self._wrong("no hello")

    def closed(self) -> None:
        self._deadline.cancel()
        if self.line is None:
            _refused.labels("hello").inc()
            return
        self.line.lose(self.fault)
        self._lines.detach(self, self.line)

    def _greeted(self, hello: Hello) -> None:
        self._deadline.cancel()
        self.line = RemoteLine(self._name, hello, self, self._lines.encoded)
        _skew.labels(self._name).set(hello.time - self._lines.clock())
        self._lines.attach(self, self.line)

    def _late(self) -> None:
        self.close("no hello in time")

    def _wrong(self, words: str) -> None:
        _malformed.inc()
        _log.warning("agent's connection closed", line=self._name, reason=words)
        self.close(words, fault=True)


class _Accepted(Connection):
    """The way in: who may not come, is told so as HTTP tells it."""

    def __init__(self, lines: RemoteLines, identify: Identify, ended: Callable[[], None]) -> None:
        super().__init__(self._upgrade, MAX_ANSWER, SILENT_SECONDS, None)
        self._lines = lines
        self._identify = identify
        self._ended = ended
        self._end: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._end = transport
        self._lines.living.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._lines.living.discard(self)
        self._ended()

    def cut(self) -> None:
        """End the connection now."""
        self.transport.disconnect(False)

    def _upgrade(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        offered = request.headers.get("sec-websocket-protocol", "").split(",")
        if SUBPROTOCOL not in (each.strip() for each in offered):
            return _refusal("protocol", 400)
        path = request.path.decode("ascii", "replace")
        name = self._identify(self._end, path) if self._end else ""
        if not name:
            return _refusal("name", 403)
        answer = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": SUBPROTOCOL})
        return WSUpgradeResponseWithListener(answer, _Agent(name, self._lines))


def _refusal(why: str, status: int) -> WSUpgradeResponseWithListener:
    _refused.labels(why).inc()
    _log.warning("agent's connection refused", why=why)
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status, why.encode()), None)


def _encoded(orders: Orders, after: int | None) -> bytes:
    told = tuple(
        WireOrder(order.seq, order.id, order.block.target.value, order.block.expires)
        if order.block
        else WireOrder(order.seq, order.id)
        for order in orders.orders
    )
    message = ENCODER.encode(WireOrders(after, orders.upto, orders.head, orders.time, told))
    if len(message) > MAX_ORDERS:
        raise ValueError(f"a batch of {len(message)} bytes, the limit is {MAX_ORDERS}")
    return message
