"""A worker that dies and comes back: each event counts once, no verdict is told twice, none is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import Batch, Pipeline, Recorded, device_after, kept_key
from detectors import recorded as module
from detectors.alerts import AlertDetector
from detectors.arrays import FALLBACKS
from detectors.checkpoint import NAME, Checkpoint
from detectors.journal import TORN
from detectors.recorded import AGAIN, LEFT_OUT, REFUSED, UNWRITTEN
from telemetry import EventBatch, Kind

Make = Callable[[], Recorded]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def make(folder: Path) -> Make:
    return lambda: Recorded(Pipeline([AlertDetector()]), folder, lambda: 1000.0)


def alerts(rows: Any, number: int, address: str = "10.0.0.1", severity: int = 2) -> Batch:
    batch: EventBatch = rows([900.0], kind=Kind.ALERT, address=address, severity=severity, name=f"alert {number}")
    return Batch(batch.to_bytes(), number)


def known(recorded: Recorded) -> dict[str, list[float]]:
    """What the detector knows, in an order of its own."""
    state = recorded._pipeline.states()["alert"]
    order = np.argsort(state["hashes"])
    return {name: column[order].tolist() for name, column in state.items()}


def checkpointed(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a checkpoint and wait until it is in place."""
    monkeypatch.setattr(module, "EVERY", 0.0)
    recorded._keep()
    assert recorded._checkpoint._child
    os.waitid(os.P_PID, recorded._checkpoint._child[0], os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(module, "EVERY", 1e9)
    recorded._keep()
    assert not recorded._checkpoint.writing


@pytest.mark.parametrize("kept_after", [None, 0, 3, 7])
def test_it_comes_back_knowing_the_same(
    make: Make, rows: Any, monkeypatch: pytest.MonkeyPatch, kept_after: int | None
) -> None:
    first = make()
    for number in range(1, 9):
        first.judge("a", [alerts(rows, number, f"10.0.0.{number % 3}")])
        if number - 1 == kept_after:
            checkpointed(first, monkeypatch)
    second = make()  # the first is not closed, as after kill -9
    assert known(second) == known(first)
    assert second.judge("a", [alerts(rows, 9, "10.0.0.7", 4)])[0].subject == "10.0.0.7"


def test_what_is_sent_again_is_answered_again_and_counts_once(make: Make, rows: Any) -> None:
    first = make()
    told = first.judge("a", [alerts(rows, 1, severity=4), alerts(rows, 2, "10.0.0.2", 4)])
    assert len(told) == 2
    second, before = make(), AGAIN._value.get()
    assert second.judge("a", [alerts(rows, 1, severity=4), alerts(rows, 2, "10.0.0.2", 4)]) == told
    assert AGAIN._value.get() == before + 2
    assert known(second) == known(first)


def test_verdicts_from_before_a_checkpoint_can_be_answered_again(
    make: Make, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make()
    told = first.judge("a", [alerts(rows, 1, severity=4)])
    checkpointed(first, monkeypatch)
    assert make().judge("a", [alerts(rows, 1, severity=4)]) == told != []


def test_what_was_said_before_the_death_is_not_repeated(make: Make, rows: Any) -> None:
    assert make().judge("a", [alerts(rows, 1, severity=4)])
    assert make().judge("a", [alerts(rows, 2, severity=4)]) == []


def test_another_gateway_counts_from_one(make: Make, rows: Any) -> None:
    first = make()
    first.judge("a", [alerts(rows, number) for number in range(1, 6)])
    first.judge("b", [alerts(rows, 1)])
    assert known(make()) == known(first)
    assert known(first)["events"] == [6.0]


@pytest.mark.parametrize("cut", [17, 23, 25, 56])  # the last 16 bytes say that it is the end
def test_a_torn_end_was_never_answered_and_is_taken_in_anew(make: Make, rows: Any, folder: Path, cut: int) -> None:
    first = make()
    for number in (1, 2):
        first.judge("a", [alerts(rows, number)])
    journal = max(folder.glob("journal-*"), key=lambda path: path.stat().st_size)
    os.truncate(journal, journal.stat().st_size - cut)
    second = make()
    assert known(second)["events"] == [1.0]
    second.judge("a", [alerts(rows, 2)])
    assert known(second) == known(first)
    assert known(make()) == known(first)


def test_old_journals_go_once_a_checkpoint_stands(
    make: Make, rows: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = make()
    recorded.judge("a", [alerts(rows, 1)])
    checkpointed(recorded, monkeypatch)
    assert sorted(path.name for path in folder.glob("journal-*")) == ["journal-00000002", "journal-spare"]


def test_what_a_segment_is_written_over_is_never_read_again(
    make: Make, rows: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one holds more than the new one: its later entries lie behind the new one's end."""
    recorded, torn = make(), TORN._value.get()
    for number in range(1, 6):
        recorded.judge("a", [alerts(rows, number)])
    checkpointed(recorded, monkeypatch)  # its segment is spare now,
    checkpointed(recorded, monkeypatch)  # and the present one
    monkeypatch.setattr(module, "EVERY", 1e9)
    recorded.judge("a", [alerts(rows, 6)])
    written = (folder / "journal-00000003").read_bytes()
    assert written.index(bytes(16)) < written.rindex(bytes(16))  # an end, and the one that it had
    assert known(make()) == known(recorded)
    assert known(recorded)["events"] == [6.0]
    assert TORN._value.get() == torn


@pytest.mark.parametrize("spoil", [b"", b"junk", b"\0" * 100])
def test_a_bad_checkpoint_is_refused_visibly(
    make: Make, rows: Any, folder: Path, spoil: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, before = make(), REFUSED._value.get()
    recorded.judge("a", [alerts(rows, 1)])
    checkpointed(recorded, monkeypatch)
    (folder / NAME).write_bytes(spoil)
    assert known(make())["hashes"] == []
    assert REFUSED._value.get() == before + 1


def test_a_checkpoint_that_cannot_be_written_loses_nothing(
    make: Make, rows: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = make()
    recorded.judge("a", [alerts(rows, 1)])
    monkeypatch.setattr(recorded._pipeline, "states", lambda: {"alert": None})  # the child fails at it
    checkpointed(recorded, monkeypatch)
    monkeypatch.undo()
    assert not (folder / NAME).exists()
    assert known(make()) == known(recorded)


def test_a_full_disk_is_counted_and_judging_goes_on(make: Make, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, before = make(), UNWRITTEN._value.get()

    def full(file: int, data: bytes, place: int, write: Any = os.pwrite) -> int:
        if len(data) > 16:  # what it is at work at has its place
            raise OSError(28, "No space left on device")
        return int(write(file, data, place))

    monkeypatch.setattr(os, "pwrite", full)
    assert recorded.judge("a", [alerts(rows, 1, severity=4)])
    assert UNWRITTEN._value.get() == before + 1


class _Deadly(AlertDetector):
    """Dies of one address."""

    def learn(self, batch: EventBatch) -> None:
        if "10.6.6.6" in batch.address.values:
            raise ZeroDivisionError
        super().learn(batch)


def test_an_entry_that_kills_is_left_out_after_three_deaths(folder: Path, rows: Any) -> None:
    def make() -> Recorded:
        return Recorded(Pipeline([_Deadly()]), folder, lambda: 1000.0)

    before = LEFT_OUT._value.get()
    first = make()
    first.judge("a", [alerts(rows, 1)])
    with pytest.raises(ZeroDivisionError):
        first.judge("a", [alerts(rows, 2, "10.6.6.6")])
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            make()
    last = make()
    assert LEFT_OUT._value.get() == before + 1
    assert known(last)["events"] == [1.0]
    assert last.judge("a", [alerts(rows, 2, "10.6.6.6"), alerts(rows, 3, severity=4)])


def test_the_key_of_the_hashes_is_drawn_once(folder: Path) -> None:
    key = kept_key(folder)
    assert kept_key(folder) == key
    assert (folder / "hash.key").stat().st_mode & 0o777 == 0o600
    (folder / "hash.key").write_bytes(b"")
    with pytest.raises(ValueError, match="0 bytes"):
        kept_key(folder)


def test_a_stray_copy_of_a_dead_worker_changes_nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{NAME}.7").write_bytes(b"half")
    assert Checkpoint(folder).read() is None
    assert list(folder.iterdir()) == []


def test_after_a_death_on_a_gpu_the_cpu_takes_over_where_it_was(make: Make, rows: Any, folder: Path) -> None:
    """Whatever it died of: a death at work, at any entry."""
    before = FALLBACKS._value.get()
    deadly = Recorded(Pipeline([_Deadly()]), folder)
    deadly.judge("a", [alerts(rows, 1)])
    assert device_after(folder, "gpu") == "gpu"
    with pytest.raises(ZeroDivisionError):
        deadly.judge("a", [alerts(rows, 2, address="10.6.6.6")])
    deadly.close()
    assert device_after(folder, "cpu") == "cpu"
    assert FALLBACKS._value.get() == before
    assert device_after(folder, "gpu") == "cpu"
    assert FALLBACKS._value.get() == before + 1
    assert known(make())["events"] == [1.0, 1.0]  # the CPU has judged what the GPU died of
    assert device_after(folder, "gpu") == "gpu"
