import threading
from pathlib import Path

import msgspec
import pytest

from telemetry import Reject, Rejects, rejects


def test_the_latest_are_kept_and_all_are_counted() -> None:
    kept = Rejects(keep=2, clock=lambda: 5.0)
    for n in range(3):
        kept.add("eve", "not_json", f"line {n}")
    kept.count("zeek", "bad_time", 4)
    assert list(kept.latest) == [Reject(5.0, "eve", "not_json", "line 1"), Reject(5.0, "eve", "not_json", "line 2")]
    assert kept.counts == {("eve", "not_json"): 3, ("zeek", "bad_time"): 4}
    assert kept.total() == 7


def test_bytes_that_are_no_text_are_shown_and_long_ones_cut() -> None:
    kept = Rejects()
    kept.add("eve", "not_text", b"\xff" + b"a" * 5000)
    assert kept.latest[0].text.startswith("\\xffaaa")
    assert len(kept.latest[0].text) <= 1024


def test_names_of_sources_do_not_grow_without_end() -> None:
    kept = Rejects(keep=1)
    for n in range(300):
        kept.add(f"s{n}", "not_json", "")
    assert len(kept.counts) == 257
    assert kept.counts["(others)", "not_json"] == 300 - 256


def test_rejects_go_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with Rejects(path=path, clock=lambda: 1.0) as kept:
        kept.add("eve", "not_json", "{")
        kept.add("eve", "not_json", "[")
    written = [msgspec.json.decode(line, type=Reject) for line in path.read_bytes().splitlines()]
    assert written == [Reject(1.0, "eve", "not_json", "{"), Reject(1.0, "eve", "not_json", "[")]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_file_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rejects.jsonl"
    monkeypatch.setattr(rejects, "_MAX_FILE", 10)
    with Rejects(path=path) as kept:
        for n in range(3):
            kept.add("eve", "not_json", f"{n}")
    assert not path.exists()
    assert b'"2"' in path.with_name("rejects.jsonl.1").read_bytes()


def test_a_disk_that_fails_stops_nobody(tmp_path: Path) -> None:
    with Rejects(path=tmp_path / "missing" / "file") as kept:
        kept.add("eve", "not_json", "{")
        kept.add("eve", "not_json", "{")
    assert kept.total() == 2


def test_threads_may_add_at_once() -> None:
    kept = Rejects()

    def add_many() -> None:
        for _ in range(500):
            kept.add("s", "not_json", "")

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.total() == 2000
