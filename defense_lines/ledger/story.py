"""A story is everything that happened to one block, line by line, with times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from defense_lines.ledger.entry import Entry
from defense_lines.ledger.record import Answer, Answered, Answers, Batch, Blocked, Declared, Lift, Noted
from defense_lines.line import Capabilities, Outcome
from policy import BlockPolicy

_OUR_CLOCK = "edge"  # the line that lives in this process: its own time is ours, and earlier than the receipt's


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a line about the block."""

    outcome: Outcome
    after: float | None  # seconds since the block was accepted (of a lift: since it was written); None: unknown
    time: float  # Unix seconds by the line's clock
    ms: float  # what the batch that it was in took the line, milliseconds
    received: float | None  # Unix seconds by our clock; None in ledgers of version 1
    detail: str = ""  # in words
    head: str = ""  # ledger head that the order carried, echoed


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One line's part in a story. A line that can do it and has no deeds has not answered."""

    cannot: str  # why it cannot carry it out, in words; empty if it can
    enforced: float | None  # seconds since the block was accepted; None: not enforced, or unknown
    lifted: float | None  # seconds since the lift was written; None: not lifted there, or unknown
    deeds: tuple[Deed, ...]  # in order


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One block's history. Stage times are seconds since it was accepted: "accepted", "guarded", "durable", and by
    line name when it was first enforced there; a time that is unknown is left out.
    """

    block: BlockPolicy
    entries: tuple[Entry, ...]  # in order: the block, its lift, and receipts as ledgers of version 1 have them
    stages: dict[str, float]
    lines: dict[str, Part]  # of all that are meant: those that answered, and those that declared what they can do


def tell(entries: Sequence[Entry]) -> Story | None:
    """The story in all entries that speak of a block or of ranges with it, and in what lines declared up to its end.

    In order. None if it was never permitted.
    """
    found = next((entry for entry in entries if isinstance(entry.record, Blocked)), None)
    if found is None or not isinstance(found.record, Blocked):
        return None
    lift = next((entry for entry in entries if isinstance(entry.record, Lift)), None)
    telling = _Telling(found, found.record, lift)
    for entry in entries:
        telling.take(entry)
    return telling.story(entries)


class _Telling:
    """Takes entries in order."""

    def __init__(self, entry: Entry, blocked: Blocked, lift: Entry | None) -> None:
        self._seq, self._blocked, self._block, self._lift = entry.seq, blocked, blocked.policy, lift
        self._can: dict[str, Capabilities] = {}  # as last declared
        self._deeds: dict[str, list[Deed]] = {}
        self._noted: set[tuple[str, float]] = set()  # line, and when: the batch that came with it says nothing of it
        self._stages = {"accepted": 0.0, "guarded": blocked.guarded}

    def take(self, entry: Entry) -> None:
        record = entry.record
        if isinstance(record, Declared) and self._meant(record.line):
            self._can[record.line] = record.capabilities
        elif isinstance(record, Answer):
            self._answered_once(record)
        elif isinstance(record, Answers):
            self._answered(record)

    def story(self, entries: Sequence[Entry]) -> Story:
        told = tuple(entry for entry in entries if not isinstance(entry.record, Answers | Declared))
        lines = {name: self._part(name) for name in sorted({*self._can, *self._deeds})}
        enforced = {name: part.enforced for name, part in lines.items() if part.enforced is not None}
        return Story(block=self._block, entries=told, stages=self._stages | enforced, lines=lines)

    def _part(self, name: str) -> Part:
        deeds = tuple(self._deeds.get(name, ()))
        cannot = "" if self._able(name) else _cannot(self._block, self._can[name])
        return Part(cannot=cannot, enforced=_first(deeds, "enforced"), lifted=_first(deeds, "lifted"), deeds=deeds)

    def _answered_once(self, answer: Answer) -> None:
        receipt = answer.receipt
        deed = Deed(
            outcome=receipt.outcome,
            after=answer.after,
            time=receipt.time,
            ms=receipt.ms,
            received=None,
            detail=receipt.detail,
            head=receipt.head,
        )
        self._deeds.setdefault(receipt.line, []).append(deed)
        if answer.durable is not None:
            self._stages.setdefault("durable", answer.durable)

    def _answered(self, answers: Answers) -> None:
        for after, upto, time in ((synced.after, synced.upto, synced.time) for synced in answers.durable):
            if after < self._seq <= upto and self._blocked.accepted:
                self._stages.setdefault("durable", time - self._blocked.accepted)
        notes = [note for note in answers.notes if note.block == self._block.id]
        self._noted |= {(note.line, note.received) for note in notes}
        for batch in answers.batches:
            if outcome := self._done_by(batch):
                for row in batch.by:
                    if (row.line, row.received) not in self._noted and self._told(row):
                        self._add(row, outcome, "", batch.head)
        for note in notes:
            self._add(note, note.outcome, note.detail, "")

    def _done_by(self, batch: Batch) -> Outcome | None:
        """What carrying out a batch did to the block: of one that was lifted when the batch was made, only the lift was
        told.
        """
        if self._lift and batch.after < self._lift.seq <= batch.upto:
            return "lifted"
        if not batch.after < self._seq <= batch.upto:
            return None
        made = _seq_of(batch.head)
        return None if self._lift and (made is None or made >= self._lift.seq) else "enforced"

    def _told(self, row: Answered) -> bool:
        """Whether a line that carried out a batch was told of the block in it; what had ended it was not told."""
        return self._meant(row.line) and self._able(row.line) and row.received < self._block.expires

    def _add(self, said: Answered | Noted, outcome: Outcome, detail: str, head: str) -> None:
        time = said.time if said.line == _OUR_CLOCK else said.received
        since = self._lift.time if self._lift and outcome == "lifted" else self._blocked.accepted
        deed = Deed(
            outcome=outcome,
            after=time - since if since else None,
            time=said.time,
            ms=said.ms,
            received=said.received,
            detail=detail,
            head=head,
        )
        self._deeds.setdefault(said.line, []).append(deed)

    def _meant(self, line: str) -> bool:
        return not self._block.lines or line in self._block.lines

    def _able(self, line: str) -> bool:
        known = self._can.get(line)
        return known is None or self._block.target.kind in known.targets


def _first(deeds: Sequence[Deed], outcome: Outcome) -> float | None:
    found: Iterator[float | None] = (deed.after for deed in deeds if deed.outcome == outcome)
    return next(found, None)


def _seq_of(head: str) -> int | None:
    """The place of a head, as lines echo it; None of an answer that was lost."""
    seq = head.partition(":")[0]
    return int(seq) if seq.isascii() and seq.isdigit() else None


def _cannot(block: BlockPolicy, capabilities: Capabilities) -> str:
    return f"cannot enforce a {block.target.kind}, only: {', '.join(sorted(capabilities.targets)) or 'nothing'}"
