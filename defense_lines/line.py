"""A defense line carries out block policies on one actuator, and answers for each batch of orders that it is given."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, Self

import msgspec

from policy import BlockPolicy, TargetKind

Outcome = Literal["enforced", "lifted", "refused", "failed", "expired"]
_WRAP = 1 << 64
_LATEST = 1e11  # Unix seconds, or milliseconds; beyond it is no time
Answered = Callable[["CallingLine", "Receipts | Exception"], None]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a line can do, as it declares it when it connects."""

    targets: frozenset[TargetKind]  # kinds that it can enforce
    ends: bool = True  # ends a block at its time by itself; for one that cannot, the supervisor does
    lists: bool = True  # can say what it enforces at this moment
    room: int | None = None  # blocks that it can hold; None: as many as there will be


class Order(msgspec.Struct, frozen=True, gc=False):
    """Enforce a block from now on, or stop enforcing it."""

    seq: int  # the ledger's entry that ordered it
    id: str  # of the block
    block: BlockPolicy | None  # None: stop enforcing


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a line is told at once: in order, at most one order a block, each about something that the line can do."""

    after: int | None  # the line was told everything up to this entry; None: out of turn, a repair
    upto: int  # with this batch it is told everything up to this one
    orders: tuple[Order, ...]
    head: str  # the ledger's signed head, echoed in the receipts
    time: float  # Unix seconds by the gateway's clock: what lives is `expires - time` seconds from now on


class Note(msgspec.Struct, frozen=True):
    """What there is to say of one order beyond that it was carried out."""

    block: str  # block id
    outcome: Outcome
    detail: str = ""  # in words
    time: float = 0.0  # Unix seconds by the line's clock where it was done before the rest of the batch


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """One line's own answer to one batch. Every order was carried out, where no note says otherwise."""

    time: float  # Unix seconds by the line's clock
    ms: float  # what the batch took the line, milliseconds
    head: str  # that the orders carried, echoed
    notes: tuple[Note, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether its times are times: no line that works says NaN, or a time before 1970."""
        answered = 0 <= self.time < _LATEST and 0 <= self.ms < _LATEST
        return answered and all(0 <= note.time < _LATEST for note in self.notes)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One line's answer to one order, as people read it."""

    block: str  # block id
    line: str  # line name
    outcome: Outcome
    time: float  # Unix seconds by the line's clock
    ms: float  # what the batch that it was in took the line, milliseconds
    detail: str = ""
    head: str = ""  # ledger head that the order carried, echoed


class Digest(msgspec.Struct, frozen=True):
    """A set of block ids in sixteen bytes: their number, and their numbers' sum modulo 2**64.

    Tells mistakes, not lies: ids are random, but whoever can choose a set can choose one of this digest.
    """

    count: int = 0
    sum: int = 0

    def plus(self, block_id: str) -> Digest:
        """With one more id. Raises ValueError for what is no block id."""
        return Digest(self.count + 1, (self.sum + _number(block_id)) % _WRAP)

    def minus(self, block_id: str) -> Digest:
        """With one id less. Raises ValueError for what is no block id."""
        return Digest(self.count - 1, (self.sum - _number(block_id)) % _WRAP)

    @classmethod
    def of(cls, block_ids: Iterable[str]) -> Self:
        """Of a set of ids. Raises ValueError for what is no block id."""
        numbers = [_number(block_id) for block_id in block_ids]
        return cls(len(numbers), sum(numbers) % _WRAP)


class LineUnavailable(Exception):
    """The line cannot be reached now; the supervisor backs off and tries again."""


class OutOfSequence(Exception):
    """The line was not told what comes before a batch, and has carried out nothing of it."""

    def __init__(self, cursor: int) -> None:
        super().__init__(f"told everything up to {cursor} alone")
        self.cursor = cursor  # up to which entry it was told everything


class LineBroken(Exception):
    """The line answered what no line that works would answer; in words, what."""


class DefenseLine(Protocol):
    """Carries out block policies on one actuator. Idempotent by block id.

    A driver never retries, sleeps or expires: it raises, and the supervisor decides. It is given one batch at a time.
    """

    name: str
    capabilities: Capabilities
    cursor: int | None  # up to which entry the line knows that it was told, as it connected; None: it keeps no record

    async def carry_out(self, orders: Orders) -> Receipts:
        """Enforce and stop enforcing, in order. A block that stands already is put again; an unknown id is lifted too.

        Raises LineUnavailable, OutOfSequence, LineBroken.
        """
        ...

    async def active(self, unless: Digest, time: float) -> Sequence[str] | None:
        """Ids enforced at this moment: the truth after a restart. None where the line can tell that those which live
        longer than `time` (Unix seconds by the gateway's clock) have the digest `unless`. Not asked of a line that does
        not list. Raises LineUnavailable, LineBroken.
        """
        ...


class CallingLine(DefenseLine, ABC):
    """A defense line that calls back when it has answered a batch: with a thousand of them, tasks that only wait would
    cost more than what they wait for.
    """

    # once it is gone: what it did that no working line does, where `answered` was not given LineBroken for it
    fault = ""

    async def carry_out(self, orders: Orders) -> Receipts:
        """See DefenseLine."""
        done: asyncio.Future[Receipts | Exception] = asyncio.get_running_loop().create_future()

        def answered(_: CallingLine, answer: Receipts | Exception) -> None:
            if not done.done():  # else cancelled
                done.set_result(answer)

        self.tell(orders, answered)
        try:
            answer = await done
        except asyncio.CancelledError:
            self.give_up()
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    @abstractmethod
    def tell(self, orders: Orders, answered: Answered) -> None:
        """Have a batch carried out. `answered` is called once, later, with what `carry_out` would return or raise.

        Raises LineUnavailable, and is not heard of again then.
        """

    @abstractmethod
    def give_up(self) -> None:
        """The batch that it was told is not waited for any longer; `answered` is not called."""


class EdgePort(Protocol):
    """What the edge line needs of the gateway: cut live streams and refuse new requests. Never waits."""

    def enforce(self, blocks: Sequence[BlockPolicy]) -> int:
        """Refuse what the blocks target from now on and cut what lives; the number of streams cut."""
        ...

    def lift(self, block_ids: Sequence[str]) -> None:
        """Stop refusing."""
        ...

    def active(self) -> Sequence[str]:
        """Ids refused at this moment."""
        ...

    def digest(self, time: float) -> Digest:
        """Of the ids refused that live longer than `time` (Unix seconds). Costs the same however many there are."""
        ...


def _number(block_id: str) -> int:
    return int(block_id.removeprefix("b-"), 16)
