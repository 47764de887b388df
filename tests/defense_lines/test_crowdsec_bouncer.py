"""Debian's unmodified crowdsec-firewall-bouncer: orders come into the kernel's sets and go, whatever is cut."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from defense_lines import Ledger
from defense_lines.ledger import Lift
from defense_lines.lines.crowdsec import Bouncer
from tests.defense_lines.bouncer_rig import (
    KEY,
    NAME,
    PORT,
    Wire,
    bouncer,
    enforced,
    eventually,
    remove_tables,
    site,
)
from tests.defense_lines.line_rig import block, permit
from tests.defense_lines.nftables_rig import namespaces

PATIENCE = 55.0  # seconds
PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"


def in_namespace(work: Callable[[], Awaitable[None]], patience: float = PATIENCE) -> None:
    async def story() -> None:
        async with asyncio.timeout(patience):
            await work()

    with namespaces(1) as (host,):
        host.loop(story(), patience + 5)


async def until_enforced(*wanted: str) -> None:
    async def so() -> bool:
        return await enforced() == set(wanted)

    await eventually(so)


class Ordered(NamedTuple):
    id: str  # of the block
    seq: int  # of its entry
    time: float  # Unix seconds when it was ordered


async def order(ledger: Ledger, address: str, ttl: float = 600) -> Ordered:
    wanted = block("address", address, ttl)
    return Ordered(wanted.id, (await ledger.append(permit(wanted))).seq, wanted.created)


async def lift(ledger: Ledger, block_id: str) -> int:
    return (await ledger.append(Lift(block=block_id, by="analyst:jo", reason="test"))).seq


def test_what_a_receipt_says_is_in_the_kernel(tmp_path: Path) -> None:
    async def story() -> None:
        async with await Ledger.open(tmp_path / "ledger") as ledger, site(ledger) as ours, bouncer(tmp_path):
            for number in range(20):
                address = f"2001:db8::{number:x}" if number % 2 else f"192.0.2.{number}"
                known, seq, _ = await order(ledger, address)
                await ours.follower.told(seq)
                assert await enforced() == {address}
                await ours.follower.told(await lift(ledger, known))
                assert await enforced() == set()
            assert ours.follower.attached == 1
            assert {receipts.notes for receipts in ours.follower.receipts} == {()}

    in_namespace(story)


def test_a_block_ends_at_its_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with await Ledger.open(tmp_path / "ledger") as ledger, site(ledger) as ours, bouncer(tmp_path):
            ends = time.time() + 2
            await ours.follower.told((await order(ledger, "192.0.2.1", 2)).seq)
            assert await enforced() == {"192.0.2.1"}
            await until_enforced()
            assert -0.1 < time.time() - ends < 1

    in_namespace(story)


def test_of_several_blocks_on_one_address_the_longest_holds_though_the_gateway_be_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack, await Ledger.open(tmp_path / "ledger") as ledger:
            async with site(ledger) as ours:
                await stack.enter_async_context(bouncer(tmp_path))
                first = await order(ledger, "192.0.2.1", 2)
                await ours.follower.told(first.seq)
                await ours.follower.told((await order(ledger, "192.0.2.1", 600)).seq)
                other = await order(ledger, "192.0.2.2", 600)
                await ours.follower.told((await order(ledger, "192.0.2.2", 2)).seq)
                await ours.follower.told(await lift(ledger, other.id))
                assert await enforced() == {"192.0.2.1", "192.0.2.2"}
            await until_enforced("192.0.2.1")
            assert time.time() < other.time + 3
            await asyncio.sleep(max(0, first.time + 2.2 - time.time()))  # past the end that the kernel had for it first
            assert await enforced() == {"192.0.2.1"}

    in_namespace(story)


def test_a_gateway_that_starts_again_finds_its_bouncer_and_brings_it_in_step(tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack, await Ledger.open(tmp_path / "ledger") as ledger:
            async with site(ledger) as ours:
                await stack.enter_async_context(bouncer(tmp_path))
                gone = await order(ledger, "192.0.2.1")
                await ours.follower.told((await order(ledger, "192.0.2.2")).seq)
            await lift(ledger, gone.id)
            await order(ledger, "192.0.2.3")
            assert await enforced() == {"192.0.2.1", "192.0.2.2"}
            async with site(ledger):
                await until_enforced("192.0.2.2", "192.0.2.3")

    in_namespace(story)


def test_a_bouncer_that_starts_again_is_told_everything(tmp_path: Path) -> None:
    async def story() -> None:
        async with await Ledger.open(tmp_path / "ledger") as ledger, site(ledger) as ours:
            addresses = [f"192.0.2.{number}" for number in range(1, 40)]
            for address in addresses:
                await order(ledger, address)
            for attached in (1, 2):
                async with bouncer(tmp_path):
                    await until_enforced(*addresses)
                    assert ours.follower.attached == attached
                await remove_tables()

    in_namespace(story)


def test_a_bouncer_that_polls_each_ten_seconds_has_all_that_stands_with_its_first(tmp_path: Path) -> None:
    async def story() -> None:
        blocks = [block("address", f"10.0.{n >> 8}.{n & 255}") for n in range(1200)]
        async with await Ledger.open(tmp_path / "ledger") as ledger, site(ledger):
            await ledger.append_all([permit(each) for each in blocks])
            async with asyncio.timeout(8), bouncer(tmp_path, every="10s"):
                await until_enforced(*(each.target.value for each in blocks))

    in_namespace(story)


def test_nothing_is_lost_when_connections_are_reset_in_the_middle_of_answers(tmp_path: Path) -> None:
    async def story() -> None:
        wire = Wire()
        async with (
            await Ledger.open(tmp_path / "ledger") as ledger,
            site(ledger) as ours,
            wire.between(PORT + 1, PORT),
            bouncer(tmp_path, port=PORT + 1),
        ):
            await ours.follower.told((await order(ledger, "192.0.2.1")).seq)
            blocks = []
            for number in range(2, 42):
                wire.cut_at = (None, 0, 1, 120, 250)[number % 5]  # bytes of an answer that come through
                blocks.append((await order(ledger, f"192.0.2.{number}")).id)
                seq = await lift(ledger, blocks[-2]) if number % 4 == 0 else ledger.head.seq
                await ours.follower.told(seq)
            assert wire.cuts >= 30
            lifted = {number - 1 for number in range(4, 42, 4)}
            assert await enforced() == {f"192.0.2.{number}" for number in range(1, 42) if number not in lifted}
            assert ours.follower.attached == 1

    in_namespace(story)


@pytest.mark.prove
def test_all_that_stands_is_told_at_the_start(tmp_path: Path) -> None:
    count = 50_000 if PROVE else 3_000

    async def story() -> None:
        async with await Ledger.open(tmp_path / "ledger") as ledger, site(ledger) as ours:
            blocks = [block("address", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(count)]
            for start in range(0, count, 1000):
                await ledger.append_all([permit(each) for each in blocks[start : start + 1000]])
            async with bouncer(tmp_path):
                await ours.follower.told(ledger.head.seq)
                assert await enforced() == {each.target.value for each in blocks}
                await ours.follower.told((await order(ledger, "192.0.2.1")).seq)
                assert "192.0.2.1" in await enforced()

    in_namespace(story, 600 if PROVE else PATIENCE)


def test_a_wrong_key_enforces_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        other = replace(Bouncer(NAME, KEY), key=KEY[::-1])
        async with await Ledger.open(tmp_path / "ledger") as ledger, site(ledger, [other]) as ours:
            await order(ledger, "192.0.2.1")
            async with bouncer(tmp_path) as child:
                assert await child.wait() != 0 or "access forbidden" in log(tmp_path)
                assert "access forbidden" in log(tmp_path)
            assert ours.follower.attached == 0

    in_namespace(story)


def log(folder: Path) -> str:
    return (folder / "crowdsec-firewall-bouncer.log").read_text()
