"""What a judge cannot answer by itself it passes on to the gateway: proofs that count once, tokens that only their
issuer reads, keys that must be fetched. On the same socket it tells what it decided, and what it counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter

from gateway.enforcement.attempt import Answer, Attempt
from gateway.enforcement.judge import Judge, refusal_id
from gateway.records import Decided
from gateway.workers.counted import Count, Together
from policy import Actor, Principal
from policy.principal import PrincipalKind
from telemetry import FrameError, frame, read_frame

QUESTIONS_SOCKET: Final = "questions.sock"  # judges -> gateway
_LARGEST: Final = 4 << 20  # bytes of a message: an attempt with the longest body, a second's decisions
_MOST: Final = 1_000  # questions of a judge under way; more are refused
_PATIENCE: Final = 5.0  # seconds that a judge waits for an answer; the edge gives up before
_UNSENT: Final = 4 << 20  # bytes that wait for the gateway to read; beyond it decisions are not told
_LOST = Counter("portcullis_gateway_decisions_untold_total", "Decisions of judges that are not on record")
_UNANSWERED = Counter("portcullis_gateway_questions_unanswered_total", "Questions of judges that got no answer")
_log = structlog.get_logger()


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One message."""


class Question(_Message, frozen=True):
    """An attempt to be judged by the gateway."""

    number: int
    attempt: Attempt


class Answered(_Message, frozen=True):
    """What became of it. Of who asked only the names are told: what policy was asked stays with who asked it."""

    number: int
    status: int
    id: str
    effect: str
    reasons: tuple[str, ...]
    challenge: str
    nonce: str
    transaction: str
    who: tuple[str, PrincipalKind, str, tuple[Actor, ...]] | None  # as in `Principal`: id, kind, issuer, actors
    cut: str
    route: str

    @classmethod
    def of(cls, number: int, answer: Answer) -> Answered:
        """An answer on its way."""
        whose = answer.principal
        who = (whose.id, whose.kind, whose.issuer, whose.actors) if whose else None
        told = (answer.status, answer.id, answer.effect, answer.reasons, answer.challenge, answer.nonce)
        return cls(number, *told, answer.transaction, who, answer.cut, answer.route)

    def answer(self) -> Answer:
        """The answer again."""
        who = None
        if self.who is not None:
            name, kind, issuer, actors = self.who
            who = Principal(id=name, kind=kind, issuer=issuer, actors=actors)
        told = (self.status, self.id, self.effect, self.reasons, self.challenge, self.nonce, self.transaction)
        return Answer(*told, principal=who, cut=self.cut, route=self.route)


class Decisions(_Message, frozen=True):
    """Decisions, each encoded."""

    decided: tuple[msgspec.Raw, ...]


class Counts(_Message, frozen=True):
    """All that a judge has counted since it began."""

    counts: tuple[Count, ...]


_FROM_JUDGE: Final = msgspec.msgpack.Decoder(Question | Decisions | Counts)
_FROM_GATEWAY: Final = msgspec.msgpack.Decoder(Answered)
_DECIDED: Final = msgspec.msgpack.Decoder(Decided)
_ENCODER: Final = msgspec.msgpack.Encoder()


class Questions:
    """A judge's end. `run` keeps it; without the gateway every question is refused."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0

    async def run(self) -> None:
        """Take answers, until the gateway is gone. Raises OSError, EOFError, FrameError."""
        while True:
            told = await read_frame(self._reader, _FROM_GATEWAY, _LARGEST)
            waiting = self._asked.pop(told.number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(told.answer())

    async def ask(self, attempt: Attempt) -> Answer:
        """The gateway's answer; a refusal where there is none."""
        if len(self._asked) >= _MOST:
            return _unanswered()
        self._number += 1
        number = self._number
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = waiting
        try:
            self._writer.write(frame(Question(number, attempt)))
            async with asyncio.timeout(_PATIENCE):
                return await waiting
        except (OSError, FrameError):
            return _unanswered()
        finally:
            self._asked.pop(number, None)

    def decided(self, decisions: Iterable[Decided]) -> None:
        """Tell decisions; those that cannot be told are counted."""
        encoded = [one for each in decisions if (one := _encoded(each)) is not None]
        if self._writer.transport.get_write_buffer_size() > _UNSENT:
            _LOST.inc(len(encoded))
        elif encoded:
            self._writer.write(frame(Decisions(tuple(encoded))))

    def counted(self, counts: Sequence[Count]) -> None:
        """Tell all counts."""
        if self._writer.transport.get_write_buffer_size() <= _UNSENT:
            self._writer.write(frame(Counts(tuple(counts))))


class Desk:
    """The gateway's end: answers judges, and takes what they tell."""

    def __init__(self, judge: Judge, keep: Callable[[Decided], None], together: Together) -> None:
        """`keep` is given each decision, `together` all counts."""
        self._judge = judge
        self._keep = keep
        self._together = together

    async def serve(self, socket: Path) -> None:
        """Answer on a Unix socket, in a folder of this user's alone, until cancelled. Raises OSError."""
        async with asyncio.TaskGroup() as self._tasks:
            server = await asyncio.start_unix_server(self._taken, str(socket), backlog=128)
            async with server:
                await server.serve_forever()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turns = asyncio.Semaphore(_MOST)
        try:
            while True:
                await self._take(await read_frame(reader, _FROM_JUDGE, _LARGEST), writer, turns)
        except EOFError:
            pass
        except (OSError, FrameError, msgspec.DecodeError) as error:
            _log.warning("a judge's questions ended", error=str(error))
        finally:
            self._together.ended(writer)
            writer.close()

    async def _take(
        self, told: Question | Decisions | Counts, writer: asyncio.StreamWriter, turns: asyncio.Semaphore
    ) -> None:
        if isinstance(told, Decisions):
            for one in told.decided:
                self._keep(_DECIDED.decode(one))
        elif isinstance(told, Counts):
            self._together.counted(writer, told.counts)
        elif (answer := self._judge.at_once(told.attempt)) is not None:
            writer.write(frame(Answered.of(told.number, answer)))
            await writer.drain()
        else:
            await turns.acquire()
            asking = self._tasks.create_task(self._ask(told, writer))
            asking.add_done_callback(lambda _: turns.release())

    async def _ask(self, question: Question, writer: asyncio.StreamWriter) -> None:
        answer = await self._judge.ask(question.attempt)
        if not writer.is_closing():
            writer.write(frame(Answered.of(question.number, answer)))


def _encoded(decided: Decided) -> msgspec.Raw | None:
    try:
        return msgspec.Raw(_ENCODER.encode(decided))
    except (TypeError, OverflowError, ValueError):  # an obligation may be a number that msgpack does not know
        _LOST.inc()
        return None


def _unanswered() -> Answer:
    _UNANSWERED.inc()
    return Answer(503, refusal_id(), "deny", ("unavailable",))
