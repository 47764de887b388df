"""The edge line: enforces through its port at once, and answers for each block."""

from __future__ import annotations

from defense_lines import DefenseLine, EdgeLine
from tests.defense_lines.line_rig import MemoryPort, block


def line_over(port: MemoryPort) -> EdgeLine:
    moments = iter(range(100))
    return EdgeLine(port, clock=lambda: 1_800_000_000.0, stopwatch=lambda: next(moments) / 1000)


def test_it_is_a_defense_line() -> None:
    line: DefenseLine = EdgeLine(MemoryPort())
    assert line.targets == {"address", "range", "principal", "actor", "session"}


async def test_it_enforces_and_says_what_was_cut() -> None:
    port = MemoryPort()
    one, two = block(), block("session", "s-1")
    (receipt,) = line_over(port).enforce([one], "7:ab:cd")
    assert (receipt.block, receipt.line, receipt.outcome) == (one.id, "edge", "enforced")
    assert (receipt.head, receipt.time, receipt.detail) == ("7:ab:cd", 1_800_000_000.0, "2 streams cut")
    assert receipt.ms == 1.0
    receipts = await line_over(port).apply([one, two], "")
    assert [receipt.detail for receipt in receipts] == ["4 streams cut by 2 blocks"] * 2
    assert set(await line_over(port).active()) == {one.id, two.id}


async def test_it_lifts_what_it_knows_and_what_it_does_not() -> None:
    port = MemoryPort()
    line, wanted = line_over(port), block()
    line.enforce([wanted], "")
    receipts = await line.revoke([wanted.id, "b-unknown"], "9:ab:cd")
    assert [(receipt.block, receipt.outcome, receipt.head) for receipt in receipts] == [
        (wanted.id, "lifted", "9:ab:cd"),
        ("b-unknown", "lifted", "9:ab:cd"),
    ]
    assert await line.active() == []
