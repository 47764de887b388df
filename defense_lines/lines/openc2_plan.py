"""A batch of orders as OpenC2 commands. One deny alone is SLPF's own; SLPF has one target a command, so more go in our
extension, `update` of `x-portcullis:orders`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from defense_lines.agent.openc2_message import Response, deny, update
from defense_lines.line import LineBroken, Note, Order, Orders, Outcome
from policy import BlockPolicy, TargetKind

TARGETS: frozenset[TargetKind] = frozenset(("address", "range"))
MOST = 2_000  # orders in one command: 180 kB at most

_REFUSED = frozenset((400, 401, 403, 404, 501))


class Step(msgspec.Struct, frozen=True):
    """One command, and the ids of the blocks that it is about."""

    command: dict[str, Any]
    blocks: tuple[str, ...]
    request_id: str = ""  # that it is to have; else one is made up


class Plan(msgspec.Struct, frozen=True):
    """What is to be sent, and what there is to say of orders that are not."""

    steps: tuple[Step, ...]
    notes: tuple[Note, ...]


def plan(orders: Orders, now: float) -> Plan:
    """The commands of a batch at a moment, Unix seconds by the gateway's clock."""
    notes = tuple(_undone(orders.orders, now))
    spared = {note.block for note in notes}
    left = [order for order in orders.orders if order.id not in spared]
    return Plan(tuple(_steps(left, now)), notes)


def notes(step: Step, answer: Response) -> list[Note]:
    """What an answer says of a command's orders. Raises LineBroken if it is none to this command."""
    if answer.status != 200:
        return [Note(block, not_done(answer), words(answer)) for block in step.blocks]
    found = answer.notes
    if found is None or not {note.block for note in found} <= set(step.blocks):
        raise LineBroken(f"notes of other orders than it was told: {answer.results}"[:500])
    return found


def not_done(answer: Response) -> Outcome:
    """What a status other than 200 means."""
    return "refused" if answer.status in _REFUSED else "failed"


def words(answer: Response) -> str:
    """Status and text."""
    return f"{answer.status} {answer.text}".strip()


def unable(block: BlockPolicy, now: float) -> Note | None:
    """Why a block cannot be denied; None if it can."""
    if block.target.kind not in TARGETS:
        return Note(block.id, "refused", f"SLPF knows no {block.target.kind}")
    return Note(block.id, "expired") if block.remaining(now) <= 0 else None


def _undone(orders: Sequence[Order], now: float) -> Iterator[Note]:
    return (note for order in orders if order.block and (note := unable(order.block, now)))


def _steps(orders: Sequence[Order], now: float) -> Iterator[Step]:
    remaining = iter(orders)
    while batch := tuple(islice(remaining, MOST)):
        denials = [
            (order.id, order.block.target.value, order.block.remaining(now))
            for order in batch
            if order.block is not None
        ]
        if len(batch) == len(denials) == 1:
            ((name, network, seconds),) = denials
            yield Step(deny(network, seconds, name), (name,))
        else:
            lifts = [order.id for order in batch if order.block is None]
            yield Step(update(denials, lifts), tuple(order.id for order in batch))
