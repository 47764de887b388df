from hypothesis import given
from hypothesis import strategies as st

from telemetry import Event, Kind, Malformed, Rejects
from telemetry.sources.jsonlines import json_line, parse_json_line
from telemetry.sources.lines import LineSplitter, lines_of, parse_lines

EVENT = Event(time=1.5, kind=Kind.DNS, source="edge", subject="person:alice", resource="é\n", bytes_in=5, duration=0.5)


@given(st.lists(st.binary(max_size=20)), st.integers(1, 5))
def test_pieces_of_any_size_give_the_same_lines(lines: list[bytes], size: int) -> None:
    """However the bytes are cut into pieces, the lines are those of the whole, without empty ones."""
    data = b"\n".join(lines)
    splitter = LineSplitter()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    got = lines_of(b"".join([*map(splitter.feed, pieces), splitter.end()]))
    assert got == [line.removesuffix(b"\r") for line in data.split(b"\n") if line.removesuffix(b"\r")]


def test_a_line_beyond_the_limit_is_cut_and_the_next_one_whole() -> None:
    splitter = LineSplitter(limit=4)
    got = [line for piece in (b"123", b"456", b"789\nab", b"c\n") for line in lines_of(splitter.feed(piece))]
    assert got == [b"123456", b"abc"]


def test_lines_are_parsed_and_what_was_wrong_is_counted() -> None:
    def parse(line: bytes, source: str) -> Event | Malformed | None:
        return {b"e": EVENT, b"i": None}.get(line, Malformed("not_json"))

    harvest = parse_lines([b"e", b"i", b"x", b"e"], parse, "s")
    assert list(harvest.batch.events()) == [EVENT, EVENT]
    assert harvest.ignored == 1
    rejects = Rejects()
    harvest.count("s", rejects)
    assert rejects.counts == {("s", "not_json"): 1}
    assert rejects.latest[0].text == "x"


def test_an_event_as_a_line_and_back() -> None:
    assert parse_json_line(json_line(EVENT), "") == EVENT


def test_who_brings_a_line_says_where_it_is_from() -> None:
    event = parse_json_line(json_line(EVENT), "import:x")
    assert isinstance(event, Event)
    assert event.source == "import:x"


def test_an_event_that_does_not_fit_its_columns_is_malformed() -> None:
    for field in (
        b'"port": 65536',
        b'"status": -1',
        b'"bytes_in": 9223372036854775808',
        b'"severity": 5',
        b'"kind": 9',
    ):
        line = b'{"time": 1, "kind": 1, "source": "s", ' + field + b"}"
        assert isinstance(parse_json_line(line, ""), Malformed)
