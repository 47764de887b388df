"""What waits for a person, what is watched and what did harm is known again, whatever is moved into an archive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from defense_lines import (
    Approval,
    Concluded,
    Finding,
    Held,
    Ledger,
    LedgerUnwritable,
    Places,
    Radius,
    Staged,
    public_key,
    verify,
)
from defense_lines.ledger import Erasure, store
from defense_lines.ledger import snapshot as snapshot_module
from defense_lines.ledger.undecided import Undecided
from policy import BlockPolicy, Target
from tests.defense_lines.line_rig import block, permit

Keep = Callable[[Ledger, Path], Awaitable[object]]


def audit(places: Places) -> tuple[Finding, ...]:
    return verify(places.database, places.head, public_key(places.public_key))


def held(policy: BlockPolicy, seconds: float = 600) -> Held:
    until = policy.created + seconds
    return Held(block=policy.id, policy=policy, rule="radius", reason="many", radius=Radius(), until=until)


def approved(policy: BlockPolicy) -> Approval:
    return Approval(block=policy.id, verdict="approved", by="analyst:kim", reason="seen")


def staged(canary: BlockPolicy, whole: BlockPolicy) -> Staged:
    return Staged(block=canary.id, policy=whole, bearable=1, reason="many")


def concluded(canary: BlockPolicy, outcome: str) -> Concluded:
    return Concluded(block=canary.id, policy=canary, outcome=outcome, reason="")  # type: ignore[arg-type]


async def nothing(_: Ledger, __: Path) -> None:
    """It is opened again as it was."""


async def snapshot(ledger: Ledger, _: Path) -> None:
    await ledger.snapshot()


async def compact(ledger: Ledger, folder: Path) -> None:
    assert (await ledger.compact(time.time() + 1, folder, "operator:jo")).moved


@pytest.mark.parametrize("keep", [nothing, snapshot, compact])
async def test_what_is_undecided_is_known_again(tmp_path: Path, keep: Keep) -> None:
    waits, decided, renewed = block("principal", "person:alice", ttl=600), block(), block()
    watched, over, harmful = block(), block(), block()
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        for policy in (watched, over, harmful):
            await ledger.append(permit(policy))
            await ledger.append(staged(policy, block(value=policy.target.value)))
        await ledger.append(concluded(over, "promoted"))
        harm = await ledger.append(concluded(harmful, "harm"))
        for policy in (renewed, waits, decided):
            await ledger.append(held(policy))
        await ledger.append(approved(decided))
        await ledger.append(held(renewed, 900))  # for another reason
        await keep(ledger, tmp_path / "archive")
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        known = ledger.undecided
        assert known.held(time.time()) == [held(waits), held(renewed, 900)]
        assert known.held(renewed.created + 700) == [held(renewed, 900)]
        assert [each.block for each in known.staged()] == [watched.id]
        assert known.harmful() == {harmful.target: harm.time}
        assert await ledger.erase("person:alice") == "in_use"
        await ledger.append(approved(waits))
        assert await ledger.erase("person:alice") == "erased"


@pytest.mark.parametrize(("decided", "said"), [(False, "in_use"), (True, "erased")])
async def test_a_name_is_not_erased_while_a_block_on_it_begins_to_wait(
    tmp_path: Path, decided: bool, said: Erasure
) -> None:
    """Both are asked for at once; who erases asks the thread that writes."""
    waits = block("principal", "person:alice", ttl=600)
    async with await Ledger.open(tmp_path) as ledger:
        await ledger.append(permit(block("principal", "person:alice", ttl=0.01)))
        await asyncio.sleep(0.02)
        records: list[Held | Approval] = [held(waits), approved(waits)] if decided else [held(waits)]
        *_, erasure = await asyncio.gather(*map(ledger.append, records), ledger.erase("person:alice"))
        assert erasure == said
    async with await Ledger.open(tmp_path) as ledger:
        assert ledger.undecided.held(time.time()) == ([] if decided else [held(waits)])
        assert await ledger.erase("person:alice") == ("unknown" if decided else "in_use")


async def test_a_name_is_erased_when_nobody_decided_in_time(tmp_path: Path) -> None:
    now = time.time()
    async with await Ledger.open(tmp_path, clock=lambda: now) as ledger:
        await ledger.append(held(block("principal", "person:alice"), 60))
        now += 70
        assert await ledger.erase("person:alice") == "erased"


async def test_what_could_not_be_written_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise OSError("no space left on device")

    async with await Ledger.open(tmp_path) as ledger:
        await ledger.append(permit(block("principal", "person:alice", ttl=0.01)))
        await asyncio.sleep(0.02)
        with monkeypatch.context() as patched:
            patched.setattr(store, "stage_head", full)
            with pytest.raises(LedgerUnwritable):
                await ledger.append(held(block("principal", "person:alice")))
        assert await ledger.erase("person:alice") == "erased"


@pytest.mark.parametrize("keep", [nothing, snapshot, compact])
async def test_a_block_that_waits_and_has_lost_its_name_is_dropped(tmp_path: Path, keep: Keep) -> None:
    """It is not in force: it does not keep the ledger shut, which also an earlier version's erasure did."""
    lost, other, live = block("principal", "person:alice"), block(), block()
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append_all([held(lost), held(other), permit(live)])
        places = ledger.places
    for path in places.folder.glob(f"{places.names.name}*"):
        path.unlink()
    with capture_logs() as logs:
        async with await Ledger.open(tmp_path / "ledger") as ledger:
            assert ledger.undecided.held(time.time()) == [held(other)]
            assert ledger.live(time.time()) == [live]
            assert audit(ledger.places) == ()
            await keep(ledger, tmp_path / "archive")
    assert [log["block"] for log in logs if log["log_level"] == "error" and "block" in log] == [lost.id]
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        assert ledger.undecided.held(time.time()) == [held(other)]


async def test_a_target_that_does_harm_again_is_the_latest(tmp_path: Path) -> None:
    first, second, again = (block(value=value) for value in ("198.51.100.1", "198.51.100.2", "198.51.100.1"))
    async with await Ledger.open(tmp_path) as ledger:
        times = [(await ledger.append(concluded(each, "harm"))).time for each in (first, second, again)]
        assert list(ledger.undecided.harmful().items()) == [
            (Target("address", "198.51.100.2"), times[1]),
            (Target("address", "198.51.100.1"), times[2]),
        ]


@pytest.fixture
def of_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Snapshots as they were signed before they kept what is undecided."""
    with monkeypatch.context() as patched:
        patched.setattr(snapshot_module, "_CONTEXT", b"portcullis ledger snapshot\0")
        patched.setattr(Undecided, "seqs", lambda _: iter(()))
        yield patched


@pytest.mark.parametrize("then", [nothing, snapshot, compact])
async def test_what_a_snapshot_of_before_does_not_keep_is_known_again(
    tmp_path: Path, of_before: pytest.MonkeyPatch, then: Keep
) -> None:
    waits, harmful = block("principal", "person:alice"), block()
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append_all([held(waits), concluded(harmful, "harm"), permit(block())])
        await ledger.snapshot()
        await ledger.append(permit(block()))
    of_before.undo()
    for _ in range(2):
        async with await Ledger.open(tmp_path / "ledger") as ledger:
            known = ledger.undecided
            assert (known.held(time.time()), list(known.harmful())) == ([held(waits)], [harmful.target])
            assert len(ledger.live(time.time())) == 2
            assert audit(ledger.places) == ()
            await ledger.append(Approval(block="b-0", verdict="declined", by="analyst:kim", reason=""))
            await then(ledger, tmp_path / "archive")
    assert audit(ledger.places) == ()


async def test_an_archive_of_before_is_begun_from(tmp_path: Path, of_before: pytest.MonkeyPatch) -> None:
    """What it moved is not here any more: there is nothing else to begin from."""
    later = block()
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append_all([held(block()), permit(block())])
        await compact(ledger, tmp_path / "archive")
        await ledger.append(held(later))
        await ledger.snapshot()
    of_before.undo()
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        assert ledger.undecided.held(time.time()) == [held(later)]
        assert len(ledger.live(time.time())) == 1
        await ledger.snapshot()
    assert audit(ledger.places) == ()
