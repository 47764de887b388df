"""How much a line has still to be told: exact while it is little, and never counted one by one when it is much."""

from __future__ import annotations

from pathlib import Path

from defense_lines import Ledger, Lift
from defense_lines.ledger import Whom, everything
from policy import BlockPolicy
from tests.defense_lines.line_rig import block, permit


class Patient(Whom):
    """A line that counts how many blocks are held against it."""

    looked: list[str] = []  # noqa: RUF012 a NamedTuple's class has no fields of its own

    def concerns(self, block: BlockPolicy) -> bool:
        self.looked.append(block.id)
        return super().concerns(block)


async def test_what_a_line_has_still_to_be_told_is_counted_while_it_is_little(tmp_path: Path) -> None:
    line = Patient("nft", frozenset({"address"}))
    async with await Ledger.open(tmp_path) as ledger:
        mine, lifted, others, over = block(), block(), block("principal", "person:alice"), block(ttl=60)
        foreign = block(lines=("edge",))
        await ledger.append_all([permit(each) for each in (mine, lifted, others, over, foreign)])
        await ledger.append(Lift(block=lifted.id, by="analyst:jo", reason="fine"))
        now = mine.created + 120
        assert [ledger.behind(after, line, now) for after in (0, 1, 5, 6)] == [2, 1, 1, 0]
        await ledger.append_all([permit(block("principal", f"person:{number}")) for number in range(994)])
        assert (ledger.behind(0, line, now), ledger.behind(0, everything("nft"), now)) == (2, 997)
        await ledger.append_all([permit(block()) for _ in range(500)])
        line.looked.clear()
        assert 502 < 1490 < ledger.behind(0, line, now) <= 1500
        assert line.looked == []
        assert ledger.behind(1000, line, now) == 500
