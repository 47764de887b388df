"""The edge line: at once, through its port, and answered for when it is ordered."""

from __future__ import annotations

import time

from defense_lines import DefenseLine, Digest, EdgeLine, Order, Orders
from policy import BlockPolicy
from tests.defense_lines.line_rig import MemoryPort, block


def orders(*wanted: BlockPolicy | str) -> Orders:
    told = tuple(
        Order(seq, each, None) if isinstance(each, str) else Order(seq, each.id, each)
        for seq, each in enumerate(wanted, 1)
    )
    return Orders(after=0, upto=len(told), orders=told, head="1:ab:cd", time=time.time())


async def test_enforces_and_lifts_through_its_port() -> None:
    port, one, two = MemoryPort(), block(), block("principal", "person:mallory")
    line = EdgeLine(port, clock=lambda: 5.0)
    driver: DefenseLine = line
    assert driver.capabilities.targets == {"address", "range", "principal", "actor", "session"}
    receipts = await line.carry_out(orders(one, two))
    assert (receipts.time, receipts.head) == (5.0, "1:ab:cd")
    assert [(note.block, note.outcome) for note in receipts.notes] == [(one.id, "enforced"), (two.id, "enforced")]
    assert receipts.notes[0].detail.startswith("2 streams cut in ")
    assert set(await line.active(Digest(), 0.0) or ()) == {one.id, two.id}
    assert await line.active(Digest.of([one.id, two.id]), 0.0) is None
    assert (await line.carry_out(orders(one.id, "b-0000000000000bad"))).notes == ()
    assert set(port.blocks) == {two.id}


async def test_what_was_enforced_early_is_not_enforced_again_and_its_receipt_says_when() -> None:
    port, wanted, now = MemoryPort(), block(), 5.0
    line = EdgeLine(port, clock=lambda: now)
    line.enforce(wanted)
    assert set(port.blocks) == {wanted.id}
    port.blocks.clear()  # to see whether it is asked again
    now = 9.0
    receipts = await line.carry_out(orders(wanted))
    assert [(note.block, note.time) for note in receipts.notes] == [(wanted.id, 5.0)]
    assert (receipts.time, port.blocks) == (9.0, {})


async def test_what_was_lifted_before_it_was_ordered_is_enforced_when_it_is_ordered_after_all() -> None:
    port, wanted = MemoryPort(), block()
    line = EdgeLine(port)
    line.enforce(wanted)
    await line.carry_out(orders(wanted.id))
    assert not port.blocks
    await line.carry_out(orders(wanted))
    assert set(port.blocks) == {wanted.id}


async def test_what_is_not_ordered_yet_makes_no_difference_to_what_should_stand() -> None:
    port, ordered, early, ended = MemoryPort(), block(), block(), block(ttl=-1)
    line = EdgeLine(port)
    await line.carry_out(orders(ordered))
    line.enforce(early)
    line.enforce(ended)
    assert await line.active(Digest.of([ordered.id]), time.time()) is None
    await line.carry_out(orders(early))
    assert await line.active(Digest.of([ordered.id, early.id]), time.time()) is None
    assert set(await line.active(Digest.of([ordered.id]), time.time()) or ()) == {ordered.id, early.id}
