"""Names in the record: what looks like a pseudonym, what one disk sync keeps, and what lines say."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from defense_lines import Ledger, LedgerAltered, LedgerUnwritable, Lift, Revocation, Risk
from defense_lines.ledger import Answers, Noted, Posture, store
from tests.defense_lines.line_rig import block, permit


def risk(principal: str, reason: str = "") -> Risk:
    return Risk(principal=principal, level="high", expires=time.time() + 600, reason=reason, by="policy:x")


def remove(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


def content(folder: Path, pattern: str) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(pattern))


def pseudonyms(ledger: Ledger) -> list[str]:
    with closing(sqlite3.connect(ledger.places.names)) as names:
        return [row[0] for row in names.execute("SELECT pseudonym FROM keys")]


@pytest.mark.parametrize("copied", [False, True])
async def test_a_name_that_looks_like_a_pseudonym_is_a_name(tmp_path: Path, copied: bool) -> None:
    """A device calls itself that, or an operator copied it from a story."""
    odd = "~0123456789abcdef"
    async with await Ledger.open(tmp_path) as ledger:
        if copied:
            await ledger.append(permit(block("principal", "person:alice")))
            (odd,) = pseudonyms(ledger)
        high = risk(odd, f"see {odd}")
        device = Revocation(kind="device", value=odd, before=0, until=high.expires, reason="", by="policy:x")
        for record in (high, device):
            await ledger.append(record)
        await ledger.append(permit(block("session", odd)))
    async with await Ledger.open(tmp_path) as ledger:
        now = time.time()
        assert (ledger.risks(now), ledger.revocations(now)) == ([high], [device])
        assert ledger.live(now)[-1].target.value == odd
        assert await ledger.erase(odd) == "in_use"
    remove(tmp_path, "ledger.names*")
    with pytest.raises(LedgerAltered, match="name"):
        await Ledger.open(tmp_path)


async def test_names_that_are_lost_are_said_to_be_lost(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        wanted = block("principal", "person:alice")
        await ledger.append(permit(wanted))
        await ledger.append(Lift(block=wanted.id, by="policy:x", reason=""))
    remove(tmp_path, "ledger.names*")
    with capture_logs() as logs:
        async with await Ledger.open(tmp_path) as ledger:  # nothing that lives needs one
            assert (await ledger.since(0, 1))[0].record.policy.target.value.startswith("~")  # type: ignore[union-attr]
    assert [log["event"] for log in logs if "keys of all names are lost" in log["event"]]
    with capture_logs() as logs:
        async with await Ledger.open(tmp_path):
            pass
    assert logs == []


class Watched(sqlite3.Connection):
    """Says which file takes a sync, and when: at each COMMIT, and at what is written outside of a transaction."""

    syncs: ClassVar[list[str]] = []
    file = ""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        alone = statement.startswith(("INSERT", "DELETE", "UPDATE")) and not self.in_transaction
        if alone or statement == "COMMIT":
            self.syncs.append(self.file)
        return super().execute(statement, *values)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    connect = sqlite3.connect

    def watched(database: Any, **options: Any) -> sqlite3.Connection:
        opened = connect(database, factory=Watched, **options)
        opened.file = Path(database).name
        return opened

    monkeypatch.setattr(sqlite3, "connect", watched)
    monkeypatch.setattr(Watched, "syncs", [])
    return Watched.syncs


async def test_new_names_of_one_commit_share_one_sync(tmp_path: Path, syncs: list[str]) -> None:
    """And it comes before what speaks of them is durable."""
    async with await Ledger.open(tmp_path) as ledger:
        syncs.clear()
        high = [risk(f"person:{number}", f"told by analyst:{number} and agent:{number}") for number in range(50)]
        await ledger.append_all(high)
        assert syncs == ["ledger.names", "ledger.db"]
        await ledger.append_all(high)
        assert syncs == ["ledger.names", "ledger.db", "ledger.db"]
        assert [entry.record for entry in await ledger.since(0)] == [*high, *high]
        assert syncs == ["ledger.names", "ledger.db", "ledger.db"]  # who reads waits for nobody


async def test_names_of_what_could_not_be_written_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise OSError("no space left on device")

    async with await Ledger.open(tmp_path) as ledger:
        with monkeypatch.context() as patched:
            patched.setattr(store, "stage_head", full)
            with pytest.raises(LedgerUnwritable):
                await ledger.append(risk("person:alice"))
        assert pseudonyms(ledger) == []
        high = risk("person:alice")
        await ledger.append(high)
    async with await Ledger.open(tmp_path) as ledger:
        assert ledger.risks(time.time()) == [high]


async def test_what_a_line_says_makes_no_names_and_those_that_are_known_are_concealed(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        wanted = block("principal", "person:alice")
        await ledger.append(permit(wanted))
        before = pseudonyms(ledger)
        said = "no room for person:alice beside " + " ".join(f"person:{number}" for number in range(50))
        note = Noted(line="nft", block=wanted.id, outcome="failed", detail=said, time=0, ms=0, received=time.time())
        await ledger.append(Answers(notes=(note,)))
        await ledger.append(Posture(line="nft", state="quarantined", by="guard:lines", reason=said))
        assert pseudonyms(ledger) == before
        story = await ledger.story(wanted.id)
        assert story
        assert story.lines["nft"].deeds[0].detail == said
        stored = content(tmp_path, "ledger.db*")
        assert (b"person:alice" in stored, b"person:49" in stored) == (False, True)
        await ledger.append(Lift(block=wanted.id, by="policy:x", reason=""))
        assert await ledger.erase("person:alice") == "erased"
        assert all("alice" not in str(entry.record) for entry in await ledger.since(0))


async def test_the_hub_that_earlier_versions_took_for_a_person_is_read(tmp_path: Path) -> None:
    old = Posture(line="nft", state="quarantined", by="hub", reason="")
    async with await Ledger.open(tmp_path) as ledger:
        await ledger.append(old)
        assert len(pseudonyms(ledger)) == 1
    async with await Ledger.open(tmp_path) as ledger:
        assert ledger.posture("nft") == old
