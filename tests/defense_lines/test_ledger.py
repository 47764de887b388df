"""The ledger: durable on return, one fsync for many, rebuilt after a restart, and honest about a full disk."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defense_lines import (
    Answer,
    Blocked,
    Cut,
    DataChange,
    Guard,
    GuardLimits,
    InvalidRecord,
    Ledger,
    LedgerAltered,
    LedgerInUse,
    LedgerUnwritable,
    Lift,
    Places,
    Receipt,
    Refusal,
    Refused,
    Revocation,
    Risk,
    public_key,
    verify,
)
from defense_lines.ledger import Whom
from defense_lines.ledger import record as records
from defense_lines.line import Digest
from policy import BlockPolicy, Target
from tests.defense_lines.line_rig import EVERY_KIND, block, permit

ROOT = Path(__file__).parents[2]
EVERYTHING = Whom("line", EVERY_KIND)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with await Ledger.open(tmp_path / "ledger") as opened:
        yield opened


def findings(places: Places) -> list[str]:
    return [str(finding) for finding in verify(places.database, places.head, public_key(places.public_key))]


def content(folder: Path, pattern: str) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(pattern))


def remove(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


def receipt(block_id: str, line: str = "edge") -> Receipt:
    return Receipt(block=block_id, line=line, outcome="enforced", time=time.time(), ms=0.2)


def revoked(kind: str, value: str, until: float, before: float = 1.0) -> Revocation:
    return Revocation(
        kind=kind,
        value=value,
        before=before,
        until=until,
        reason=f"{value} out",
        by="policy:x",
        signal="https://idp j-1",
    )


async def test_every_sort_of_record_is_read_back_as_it_was_written(ledger: Ledger) -> None:
    wanted = block("actor", "agent:invoice-bot")
    await ledger.append(permit(wanted))
    lift = Lift(block=wanted.id, by="analyst:jo", reason="agent:invoice-bot is clean again, says person:alice.")
    answer = Answer(block=wanted.id, receipt=receipt(wanted.id), after=0.004, durable=0.002)
    risk = Risk(principal="person:tina", level="high", expires=time.time() + 60, reason="dumped", by="policy:response")
    refusal = Guard(GuardLimits()).judge(block("address", "127.0.0.1"), time.time())
    assert isinstance(refusal, Refusal)
    detail = '{"op":"put","path":["risk","person:tina"],"value":"low"}'
    change = DataChange(detail=detail, by="analyst:jo", reason="person:tina called")
    cut = Cut(kind="subject", value="https://idp tina", sessions=2, by="analyst:jo", reason="https://idp tina called")
    revocation = revoked("login", "https://idp tina-1", time.time() + 60)
    await ledger.append_all([lift, answer, risk, refusal, change, cut, revocation])
    first, *others = [entry.record for entry in await ledger.since(0)]
    assert isinstance(first, Blocked)
    assert first.policy == wanted
    assert others[:3] == [lift, answer, risk]
    assert isinstance(others[3], Refused)
    assert (others[3].policy, others[3].rule) == (refusal.block, "never_block")
    assert others[4:] == [change, cut, revocation]
    assert b"tina" not in ledger.places.database.read_bytes()
    assert [entry.seq for entry in await ledger.recent(2)] == [8, 7]
    assert [entry.seq for entry in await ledger.since(0, kinds=["lift", "risk"])] == [2, 4]
    assert [entry.seq for entry in await ledger.since(0, kinds=["cut", "revocation"])] == [7, 8]
    assert await ledger.block(wanted.id) == wanted
    assert await ledger.block("b-unknown") is None
    assert await ledger.story("b-unknown") is None
    assert await ledger.known([wanted.id, refusal.block.id, "b-unknown"]) == {wanted.id}


async def test_appending_is_durable_chained_and_in_order(ledger: Ledger) -> None:
    entries = [await ledger.append(permit(block())) for _ in range(5)]
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert (ledger.head.seq, ledger.head.hash) == (5, entries[-1].hash)
    assert findings(ledger.places) == []


async def test_the_same_block_is_on_record_once(ledger: Ledger) -> None:
    leave = permit(block())
    first, second = await asyncio.gather(ledger.append(leave), ledger.append(leave))
    assert first.seq == second.seq
    assert ledger.head.seq == 1


async def test_a_thousand_appends_share_few_commits(ledger: Ledger) -> None:
    leaves = [permit(block()) for _ in range(1000)]
    groups: list[int] = []
    ledger.watch(lambda entries: groups.append(len(entries)))
    entries = await asyncio.gather(*(ledger.append(leave) for leave in leaves))
    assert sorted(entry.seq for entry in entries) == list(range(1, 1001))
    assert sum(groups) == 1000
    assert len(groups) < 50
    assert findings(ledger.places) == []


async def test_the_loop_goes_on_while_the_disk_is_slow(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync waits for the loop: were it on the loop's own thread, neither would ever go on."""
    syncing, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(file: int) -> None:
        loop.call_soon_threadsafe(syncing.set)
        assert release.wait(30)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", slow)
        appending = asyncio.create_task(ledger.append(permit(block())))
        async with asyncio.timeout(30):
            await syncing.wait()
            assert not appending.done()
            assert ledger.live(time.time()) == []
            release.set()
            await appending
    assert ledger.head.seq == 1


async def test_without_a_permit_no_block(ledger: Ledger) -> None:
    record = Blocked(block="b-1", policy=block(), guarded=0.0)
    for unfit in (block(), record):
        with pytest.raises(TypeError):
            await ledger.append(unfit)  # type: ignore[arg-type]
    assert ledger.head.seq == 0


@pytest.mark.parametrize(
    "wrong",
    [
        Lift(block="b-1", by="analyst:jo", reason="x" * 70_000),
        Lift(block="b-1", by="analyst:jo", reason="\ud800"),
        Lift(block="b-1", by="analyst:\ud800", reason=""),
        Risk(principal="person:a", level="high", expires=float("nan"), reason="", by="policy:x"),
        revoked("login", "x", float("nan")),
        revoked("login", "\ud800", 0.0),
    ],
)
async def test_what_could_not_be_read_back_is_refused_and_others_pass(
    ledger: Ledger, wrong: Lift | Risk | Revocation
) -> None:
    with pytest.raises(InvalidRecord):
        await ledger.append(wrong)
    good = Lift(block="b-2", by="analyst:jo", reason="fine")
    results = await ledger.append_all([good, wrong, good])
    assert isinstance(results[1], InvalidRecord)
    assert ledger.head.seq == 2
    assert findings(ledger.places) == []


class OldCut(msgspec.Struct, frozen=True, kw_only=True):
    """As the first ledgers have it."""

    target: Target
    sessions: int
    by: str
    reason: str


async def test_a_cut_of_the_first_ledgers_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = OldCut(target=Target("actor", "agent:bot"), sessions=3, by="analyst:jo", reason="agent:bot again")
    with monkeypatch.context() as patched:
        patched.setattr(records, "_KINDS", {"cut": OldCut})
        patched.setattr(records, "_NAMES", {OldCut: "cut"})
        patched.setattr("defense_lines.ledger.ledger.to_record", lambda written, began: written)
        async with await Ledger.open(tmp_path) as ledger:
            await ledger.append(old)  # type: ignore[arg-type]
    async with await Ledger.open(tmp_path) as ledger:
        (entry,) = await ledger.recent()
        assert entry.record == Cut(kind="actor", value="agent:bot", sessions=3, by=old.by, reason=old.reason)
        assert findings(ledger.places) == []


async def test_what_stands_is_rebuilt_after_a_restart(tmp_path: Path) -> None:
    now = time.time()
    async with await Ledger.open(tmp_path) as ledger:
        blocks = [block("session", f"s-{number}") for number in range(4)]
        await asyncio.gather(*(ledger.append(permit(each)) for each in blocks))
        await ledger.append(Lift(block=blocks[1].id, by="analyst:jo", reason="false alarm"))
        for level in ("medium", "high"):
            await ledger.append(Risk(principal="person:tina", level=level, expires=now + 60, reason="", by="policy:x"))
        await ledger.append(Risk(principal="person:bob", level="high", expires=now - 1, reason="", by="policy:x"))
        stands = revoked("subject", "https://idp tina", now + 60, before=2.0)
        later = revoked("subject", "https://idp tina", now + 50, before=3.0)
        await ledger.append_all([stands, msgspec.structs.replace(stands, before=1.0), later])
        await ledger.append(revoked("subject", "https://idp bob", now - 1))
        await ledger.advance("edge", 3)
        head, live, risks = ledger.head, ledger.live(now), ledger.risks(now)
        assert ledger.revocations(now) == [stands, later]
    async with await Ledger.open(tmp_path) as ledger:
        assert ledger.live(now) == live == [blocks[0], blocks[2], blocks[3]]
        assert ledger.risks(now) == risks
        assert [risk.level for risk in risks] == ["high"]
        assert ledger.revocations(now) == [stands, later]
        assert ledger.revocations(now + 55) == [stands]
        assert (ledger.cursor("edge"), ledger.cursor("nftables")) == (3, 0)
        assert ledger.head == head
        assert ledger.live(now + 10_000) == []


def refused(revocations: list[Revocation], now: float) -> set[tuple[str, int, int]]:
    """By value: the issue times and the seconds from now at which a proof counts no more."""
    return {
        (each.value, issued, left)
        for each in revocations
        for issued in range(8)
        for left in range(101)
        if issued <= each.before and now + left < each.until
    }


steps = st.lists(
    st.one_of(
        st.tuples(st.just("block"), st.integers(0, 7), st.integers(-50, 100)),
        st.tuples(st.just("lift"), st.integers(0, 7), st.just(0)),
        st.tuples(st.just("risk"), st.integers(0, 2), st.integers(-50, 100)),
        st.tuples(st.just("revoke"), st.integers(0, 7), st.integers(-50, 100)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
        st.tuples(st.just("snapshot"), st.just(0), st.just(0)),
        st.tuples(st.just("compact"), st.integers(0, 14), st.just(0)),
        st.tuples(st.just("erase"), st.integers(0, 7), st.just(0)),
    ),
    max_size=20,
)


@settings(max_examples=1000 if os.environ.get("PORTCULLIS_PROVE") == "1" else 30)
@pytest.mark.prove
@given(steps)
def test_the_ledger_equals_a_model(plan: list[tuple[str, int, int]]) -> None:
    """Whatever is appended in whatever order: what lives and is in force is the model's, and the history verifies."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(follow(plan, Path(folder)))


async def follow(plan: list[tuple[str, int, int]], folder: Path) -> None:
    now = time.time()
    blocks: dict[str, BlockPolicy] = {}
    risks: dict[str, float] = {}
    revocations: list[Revocation] = []
    readings = itertools.count()

    def clock() -> float:
        return now + next(readings) * 1e-5

    ledger = await Ledger.open(folder, clock)
    for verb, number, left in plan:
        wanted = block("principal", f"person:{number}")
        if verb == "block":
            leave = permit(wanted)
            object.__setattr__(leave, "block", msgspec.structs.replace(wanted, expires=now + left))
            await ledger.append(leave)
            blocks[wanted.id] = leave.block
        elif verb == "lift" and blocks:
            lifted = sorted(blocks)[number % len(blocks)]
            await ledger.append(Lift(block=lifted, by="analyst:jo", reason=""))
            del blocks[lifted]
        elif verb == "risk":
            name = f"person:{number}"
            await ledger.append(Risk(principal=name, level="high", expires=now + left, reason=name, by="policy:x"))
            risks[name] = now + left
        elif verb == "revoke":
            revocations.append(revoked("subject", f"person:{number % 2}", now + left, before=float(number)))
            await ledger.append(revocations[-1])
        elif verb == "restart":
            await ledger.close()
            ledger = await Ledger.open(folder, clock)
        elif verb == "snapshot":
            await ledger.snapshot()
        elif verb == "compact":
            await ledger.compact(now + number * 3e-5, folder / "archive", "operator:jo")
        elif verb == "erase":
            name = f"person:{number}"
            lives = any(each.target.value == name and each.expires > now for each in blocks.values())
            used = lives or risks.get(name, 0) > now or any(e.value == name and e.until > now for e in revocations)
            assert (await ledger.erase(name) == "in_use") == used
        assert ledger.live(now) == [each for each in blocks.values() if each.expires > now]
        assert {risk.principal for risk in ledger.risks(now)} == {name for name, end in risks.items() if end > now}
        assert refused(ledger.revocations(now), now) == refused(revocations, now)
        lived = {each.id for each in blocks.values() if each.expires > now}
        told = ledger.orders(0, EVERYTHING, now, 1000)
        assert {order.id for order in told.orders if order.block} == lived
        assert ledger.held(ledger.last_order, EVERYTHING, now) == lived
        assert ledger.digest(ledger.last_order, EVERYTHING, now) == Digest.of(lived)
        assert ledger.last_order == told.upto
    await ledger.close()
    places = Places(folder)
    assert findings(places) == []
    assert verify(places.database, places.head, public_key(places.public_key), folder / "archive") == ()


async def test_a_second_opener_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerInUse):
        await Ledger.open(ledger.places.folder)
    program = "import asyncio, sys; from pathlib import Path; from defense_lines import Ledger; "
    program += "asyncio.run(Ledger.open(Path(sys.argv[1])))"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(ledger.places.folder), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, said = await other.communicate()
    assert b"LedgerInUse" in said


async def test_a_closed_ledger_can_be_opened_and_not_written(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        await ledger.append(permit(block()))
    with pytest.raises(LedgerUnwritable):
        await ledger.append(permit(block()))
    async with await Ledger.open(tmp_path) as again:
        assert again.head.seq == 1


async def test_private_files_are_private(ledger: Ledger) -> None:
    await ledger.append(permit(block("principal", "person:alice")))
    for path in ledger.places.folder.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o644 if path == ledger.places.public_key else 0o600), path.name


@pytest.mark.parametrize("part", ["database", "head", "key"])
async def test_a_ledger_with_a_part_missing_stays_closed(tmp_path: Path, part: str) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        await ledger.append(permit(block()))
        lost: Path = getattr(ledger.places, part)
    remove(tmp_path, lost.name)
    with pytest.raises(LedgerAltered):
        await Ledger.open(tmp_path)


async def test_a_ledger_whose_needed_names_are_lost_stays_closed(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        await ledger.append(permit(block("principal", "person:alice")))
    remove(tmp_path, "ledger.names*")
    with pytest.raises(LedgerAltered, match="name"):
        await Ledger.open(tmp_path)


async def test_an_interrupted_founding_is_finished(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        pass
    ledger.places.key.unlink()  # the key is written last
    async with await Ledger.open(tmp_path) as ledger:
        await ledger.append(permit(block()))
    assert findings(ledger.places) == []


async def test_a_head_left_behind_by_a_crash_is_repaired(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        await ledger.append(permit(block()))
        behind = ledger.places.head.read_bytes()
        await ledger.append(permit(block()))
    ledger.places.head.write_bytes(behind)
    assert findings(ledger.places) == []
    async with await Ledger.open(tmp_path) as ledger:
        assert ledger.head.seq == 2
    assert ledger.places.head.read_bytes() != behind


async def test_names_are_nowhere_in_the_history(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        wanted = block("principal", "person:alice-liddell")
        await ledger.append(permit(wanted))
        odd = block("session", "s (odd) [x]+")
        await ledger.append(permit(odd))
        reason = "called by person:alice-liddell, see s (odd) [x]+"
        await ledger.append(Lift(block=wanted.id, by="analyst:jo-ann", reason=reason))
        story = await ledger.story(wanted.id)
        assert story
        assert story.block == wanted
        assert isinstance(story.entries[1].record, Lift)
        assert story.entries[1].record.reason == reason
        assert await ledger.block(odd.id) == odd
    stored = content(tmp_path, "ledger.db*")
    assert b"alice-liddell" not in stored
    assert b"jo-ann" not in stored
    assert b"detector:access" in stored


async def test_an_erased_name_is_gone_and_the_history_verifies(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        wanted = block("principal", "person:alice")
        await ledger.append(permit(wanted))
        key = sqlite3.connect(ledger.places.names).execute("SELECT key FROM keys").fetchall()
        assert await ledger.erase("person:alice") == "in_use"
        await ledger.append(Lift(block=wanted.id, by="policy:x", reason="person:alice is fine"))
        assert await ledger.erase("person:alice") == "erased"
        assert await ledger.erase("person:alice") == "unknown"
        story = await ledger.story(wanted.id)
        assert story
        assert "alice" not in str(story)
        assert story.block.target.value.startswith("~")
        assert findings(ledger.places) == []
        again = block("principal", "person:alice")
        await ledger.append(permit(again))
        assert await ledger.block(again.id) == again
        stored = content(tmp_path, "ledger.names*")
        assert len(key) == 1
        assert key[0][0] not in stored
    async with await Ledger.open(tmp_path) as ledger:
        assert ledger.live(time.time()) == [again]


FULL_DISK = """
import asyncio, resource, sys, time
from pathlib import Path
from defense_lines import *
from policy import *

def permit(number):
    now = time.time()
    cause = Cause(reason="x" * 2000, by="detector:access")
    block = BlockPolicy(id=f"b-{number}", target=Target.of("principal", f"person:{number}"), created=now,
                        expires=now + 60, cause=cause)
    return Guard(GuardLimits(blocks_per_minute=10**6)).judge(block, now)

async def main():
    async with await Ledger.open(Path(sys.argv[1])) as ledger:
        await ledger.append(permit(0))
        size = ledger.places.database.with_name("ledger.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, resource.RLIM_INFINITY))
        acknowledged = [0]
        refused = 0
        for number in range(1, 400):
            try:
                await ledger.append(permit(number))
                acknowledged.append(number)
            except LedgerUnwritable:
                refused += 1
        assert refused, "the limit did not bite"
        live = [block.id for block in ledger.live(time.time())]
        assert live == [f"b-{number}" for number in acknowledged], (live, acknowledged)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await ledger.append(permit(1000))
        print(refused, len(acknowledged) + 1, ledger.head.seq)

asyncio.run(main())
"""


def test_a_full_disk_acknowledges_nothing_and_writing_resumes(tmp_path: Path) -> None:
    """The kernel itself refuses to let the files grow."""
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    refused, acknowledged, head = map(int, ran.stdout.split()[-3:])
    assert refused > 0
    assert head == acknowledged
    assert "ledger unwritable" in ran.stdout
    assert findings(Places(tmp_path)) == []


APPENDING = """
import asyncio, sys, time
from pathlib import Path
from defense_lines import *
from policy import *

async def main():
    guard = Guard(GuardLimits(blocks_per_minute=10**9))
    async with await Ledger.open(Path(sys.argv[1])) as ledger:
        async def forever(start):
            for number in range(start, 10**9, 8):
                now = time.time()
                kind, value = [("address", "198.51.100.7"), ("principal", f"person:{number}")][number % 2]
                block = BlockPolicy(id=f"b-{number}", target=Target.of(kind, value), created=now, expires=now + 600,
                                    cause=Cause(reason="x", by="detector:access"))
                entry = await ledger.append(guard.judge(block, now))
                print(entry.seq, block.id, flush=True)
        await asyncio.gather(*(forever(start) for start in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledgements", [1, 60, 400])
async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path, acknowledgements: int) -> None:
    """SIGKILL at an arbitrary instant; whatever it had said is durable is there, and the history verifies."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(APPENDING), str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout
    said = [await child.stdout.readline() for _ in range(acknowledgements)]
    child.kill()
    said += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    told = dict(line.decode().split() for line in said if line.endswith(b"\n"))
    assert findings(Places(tmp_path)) == []
    async with await Ledger.open(tmp_path) as ledger:
        records = [(entry.seq, entry.record) for entry in await ledger.since(0, 10**6, ["block"])]
        entries = {str(seq): record.block for seq, record in records if isinstance(record, Blocked)}
        assert told.items() <= entries.items()
        assert {each.id for each in ledger.live(time.time())} == set(entries.values())
