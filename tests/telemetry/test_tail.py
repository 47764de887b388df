import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from telemetry import Event, EventBatch, Kind, Rejects, ZeekParser, follow, json_line, parse_json_line
from telemetry.malformed import Parse


def line(n: int) -> bytes:
    return json_line(Event(time=n + 1.0, kind=Kind.DNS, source="x")) + b"\n"


class Seen:
    """What was published, and a way to wait for it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rejects = Rejects()
        self._more = asyncio.Event()
        self._looked = asyncio.Event()

    def publish(self, batch: EventBatch) -> None:
        self.events += batch.events()
        self._more.set()

    def look(self) -> None:
        self._looked.set()

    async def next_look(self) -> None:
        """Until the file was looked at once more, from the beginning of a look to its end."""
        async with asyncio.timeout(5):
            for _ in range(2):
                self._looked.clear()
                await self._looked.wait()

    @property
    def numbers(self) -> list[int]:
        return [int(event.time) - 1 for event in self.events]

    async def until(self, numbers: list[int]) -> None:
        async with asyncio.timeout(5):
            while self.numbers != numbers:
                assert self.numbers == numbers[: len(self.numbers)]
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def following(path: Path, parse: Parse = parse_json_line, **options: Any) -> AsyncIterator[Seen]:
    seen, stop = Seen(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        options |= {"source": "tail", "rejects": seen.rejects, "on_look": seen.look}
        group.create_task(follow(path, parse, seen.publish, stop, **options))
        await seen.next_look()
        yield seen
        stop.set()


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def test_lines_come_as_they_are_written_and_a_partial_one_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with following(path) as seen:
        append(path, line(0) + line(1) + line(2)[:10])
        await seen.until([0, 1])
        append(path, line(2)[10:])
        await seen.until([0, 1, 2])
    assert {event.source for event in seen.events} == {"tail"}
    assert seen.rejects.total() == 0


async def test_what_was_there_before_is_skipped_or_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, line(0))
    async with following(path, from_start=True) as whole, following(path) as rest:
        await whole.until([0])
        append(path, line(1))
        await whole.until([0, 1])
        await rest.until([1])


async def test_the_header_of_a_skipped_zeek_log_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "conn.log"
    append(path, b"#separator \\x09\n#path\tconn\n#fields\tts\tconn_state\n9.0\tS0\n")
    async with following(path, ZeekParser()) as seen:
        append(path, b"1.0\tSF\n")
        await seen.until([0])
    assert seen.rejects.total() == 0


async def test_a_replaced_file_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, b"")
    async with following(path) as seen:
        append(path, line(0))
        await seen.until([0])
        append(path, line(1) + line(2)[:-1])
        path.rename(tmp_path / "log.1")
        append(path, line(3))
        await seen.until([0, 1, 2, 3])


async def test_a_file_that_goes_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, b"")
    async with following(path) as seen:
        append(path, line(0))
        await seen.until([0])
        path.unlink()
        await seen.next_look()
        append(path, line(1))
        await seen.until([0, 1])


async def test_a_file_cut_off_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with following(path) as seen:
        append(path, line(0) + line(1))
        await seen.until([0, 1])
        path.write_bytes(line(2))
        await seen.until([0, 1, 2])


async def test_malformed_lines_are_counted_and_harm_nobody(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with following(path) as seen:
        append(path, b"{\n" + b"x" * 1_500_000 + b"\n" + line(0))
        await seen.until([0])
    assert seen.rejects.counts == {("tail", "not_json"): 1, ("tail", "too_long"): 1}


async def test_a_path_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.mkdir()
    async with following(path) as seen:
        await seen.next_look()
        path.rmdir()
        await seen.next_look()
        append(path, line(0))
        await seen.until([0])


async def test_a_burst_larger_than_a_piece_comes_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with following(path) as seen:
        append(path, b"".join(line(n) for n in range(5000)))
        await seen.until(list(range(5000)))


async def test_what_was_written_while_we_were_away_is_read(tmp_path: Path) -> None:
    path, position = tmp_path / "log", tmp_path / "positions" / "log"
    append(path, line(0))
    async with following(path, position=position) as first:
        append(path, line(1) + line(2)[:9])
        await first.until([1])
    append(path, line(2)[9:] + line(3))
    async with following(path, position=position) as second:
        await second.until([2, 3])
        append(path, line(4))
        await second.until([2, 3, 4])
    async with following(path, position=position) as third:
        append(path, line(5))
        await third.until([5])


async def test_a_file_renamed_while_we_were_away_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    path, position = tmp_path / "conn.log", tmp_path / "position"
    header = b"#separator \\x09\n#path\tconn\n#fields\tts\tconn_state\n"
    append(path, header)
    async with following(path, ZeekParser(), position=position) as first:
        append(path, b"1.0\tSF\n")
        await first.until([0])
    append(path, b"2.0\tSF\n")
    path.rename(tmp_path / "conn.1.log")
    append(path, header + b"3.0\tSF\n")
    async with following(path, ZeekParser(), position=position) as second:
        await second.until([1, 2])
    assert second.rejects.total() == 0


async def test_a_file_replaced_by_another_while_we_were_away_is_read_from_its_start(tmp_path: Path) -> None:
    path, position = tmp_path / "log", tmp_path / "position"
    append(path, b"")
    async with following(path, position=position) as first:
        append(path, line(0))
        await first.until([0])
    append(tmp_path / "other", line(1))
    (tmp_path / "other").replace(path)
    async with following(path, position=position) as second:
        await second.until([1])


@pytest.mark.parametrize("junk", [b"", b"{}", b"\xff"])
async def test_a_position_that_cannot_be_read_or_written_stops_nothing(tmp_path: Path, junk: bytes) -> None:
    path, position = tmp_path / "log", tmp_path / "position"
    append(path, line(0))
    position.write_bytes(junk)
    (tmp_path / "position.new").mkdir()
    async with following(path, position=position) as seen:
        append(path, line(1))
        await seen.until([1])


async def test_what_breaks_the_parser_is_not_read_again(tmp_path: Path) -> None:
    path, position, seen, stop = tmp_path / "log", tmp_path / "position", Seen(), asyncio.Event()
    path.write_bytes(line(0))

    def parse(_: bytes, __: str) -> Event:
        raise RuntimeError("a bug in a parser")

    with pytest.raises(RuntimeError):
        await follow(
            path, parse, seen.publish, stop, source="t", rejects=seen.rejects, from_start=True, position=position
        )
    async with following(path, position=position) as later:
        append(path, line(1))
        await later.until([1])
