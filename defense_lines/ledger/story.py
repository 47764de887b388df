"""A story is everything that happened to one block, line by line, with times."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from defense_lines.ledger.entry import Entry
from defense_lines.ledger.record import Answer, Blocked
from policy import BlockPolicy


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One block's history. Stage times are seconds since it was accepted: "accepted", "guarded", "durable", and by
    line name the first receipt that said enforced.
    """

    block: BlockPolicy
    entries: tuple[Entry, ...]  # in order; lifts and answers among them
    stages: dict[str, float]
    lines: dict[str, tuple[Answer, ...]]  # each line's answers, in order


def tell(entries: Sequence[Entry]) -> Story | None:
    """The story in a block's entries; None if it was never permitted."""
    blocked = next((entry.record for entry in entries if isinstance(entry.record, Blocked)), None)
    if blocked is None:
        return None
    answers = [entry.record for entry in entries if isinstance(entry.record, Answer)]
    lines = {answer.receipt.line: tuple(_of(answers, answer.receipt.line)) for answer in answers}
    return Story(block=blocked.policy, entries=tuple(entries), stages=_stages(blocked, answers), lines=lines)


def _of(answers: Sequence[Answer], line: str) -> list[Answer]:
    return [answer for answer in answers if answer.receipt.line == line]


def _stages(blocked: Blocked, answers: Sequence[Answer]) -> dict[str, float]:
    stages = {"accepted": 0.0, "guarded": blocked.guarded}
    for answer in answers:
        if answer.durable is not None:
            stages.setdefault("durable", answer.durable)
        if answer.after is not None and answer.receipt.outcome == "enforced":
            stages.setdefault(answer.receipt.line, answer.after)
    return stages
