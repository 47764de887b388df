"""Our HTTP/2, without a socket: what an Envoy sends, what it is answered, and what ends the connection."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.enforcement.http2 import (
    LARGEST,
    OK,
    PERMISSION_DENIED,
    Begun,
    Ended,
    Event,
    Finished,
    Http2,
    Http2Bounds,
    Message,
)
from gateway.enforcement.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    NUMBER,
    PADDED,
    PAYLOAD,
    PREFACE,
    PRIORITY,
    REFUSED_STREAM,
    SETTING,
    Frames,
    Kind,
    Violation,
    field,
    frame,
)

SETTINGS = frame(Kind.SETTINGS, 0, 0)
STATUS_7 = field("grpc-status", "7")


def headers(stream: int, flags: int = END_HEADERS) -> bytes:
    return frame(Kind.HEADERS, flags, stream, b"\xff never read")


def data(stream: int, content: bytes, flags: int = 0) -> bytes:
    return frame(Kind.DATA, flags, stream, b"\0" + NUMBER.pack(len(content)) + content)


def heard(connection: Http2, *sent: bytes) -> list[Event]:
    return list(connection.receive(b"".join(sent)))


def written(connection: Http2) -> list[tuple[int, int, int, bytes]]:
    return [tuple(each) for each in Frames().read(PREFACE + connection.taken())]  # type: ignore[misc]


@pytest.fixture
def connection() -> Http2:
    started = Http2()
    heard(started, PREFACE, SETTINGS)
    started.taken()
    return started


def kinds(connection: Http2) -> list[tuple[int, int]]:
    return [(kind, stream) for kind, _, stream, _ in written(connection)]


def test_settings_come_first_and_are_acknowledged() -> None:
    connection = Http2()
    assert heard(connection, PREFACE, SETTINGS) == []
    settings, window, acknowledged = written(connection)
    assert (settings[0], window[0], acknowledged[:2]) == (Kind.SETTINGS, Kind.WINDOW_UPDATE, (Kind.SETTINGS, ACK))
    assert heard(connection, frame(Kind.SETTINGS, ACK, 0)) == []
    assert connection.taken() == b""


def test_a_message_is_answered_and_the_stream_lives(connection: Http2) -> None:
    assert heard(connection, headers(1), data(1, b"asked")) == [Message(1, b"asked")]
    connection.send(1, b"answer")
    assert kinds(connection) == [(Kind.HEADERS, 1), (Kind.DATA, 1)]
    assert heard(connection, data(1, b"trailers")) == [Message(1, b"trailers")]
    connection.send(1, b"seen")
    assert kinds(connection) == [(Kind.DATA, 1)]


def test_an_abort_says_why_and_ends_the_stream(connection: Http2) -> None:
    heard(connection, headers(1), headers(3), data(1, b""), data(3, b""))
    connection.send(1, b"answer")
    connection.taken()
    connection.abort(1, PERMISSION_DENIED, "100 % blöcked\r\n")
    trailers, reset = written(connection)
    assert trailers[:3] == (Kind.HEADERS, END_HEADERS | END_STREAM, 1)
    assert trailers[3] == STATUS_7 + field("grpc-message", "100 %25 bl%C3%B6cked%0D%0A")
    assert reset == (Kind.RST_STREAM, 0, 1, NUMBER.pack(0))
    for _ in range(2):  # whatever is still said, on or of a stream that is over, changes nothing
        connection.abort(1, PERMISSION_DENIED, "again")
        connection.send(1, b"late")
        assert heard(connection, data(1, b"late"), frame(Kind.RST_STREAM, 0, 1, NUMBER.pack(8))) == []
    assert connection.taken() == b""
    assert heard(connection, data(3, b"lives")) == [Message(3, b"lives")]


def test_a_refusal_is_the_last_message(connection: Http2) -> None:
    heard(connection, headers(1), data(1, b"asked"))
    connection.send(1, b"refused", last=True)
    assert kinds(connection) == [(Kind.HEADERS, 1), (Kind.DATA, 1), (Kind.HEADERS, 1), (Kind.RST_STREAM, 1)]
    assert heard(connection, frame(Kind.RST_STREAM, 0, 1, NUMBER.pack(8))) == []


@pytest.mark.parametrize(
    "end",
    [
        frame(Kind.DATA, END_STREAM, 1),
        headers(1, END_HEADERS | END_STREAM),
    ],
)
def test_what_the_edge_finishes_waits_for_its_end(connection: Http2, end: bytes) -> None:
    heard(connection, headers(1), data(1, b"asked"))
    assert heard(connection, end) == [Finished(1)]
    connection.abort(1, OK, "")
    assert kinds(connection) == [(Kind.HEADERS, 1)]


def test_what_the_edge_ends_is_over(connection: Http2) -> None:
    heard(connection, headers(1), data(1, b"asked"))
    assert heard(connection, frame(Kind.RST_STREAM, 0, 1, NUMBER.pack(8))) == [Ended(1)]
    assert heard(connection, frame(Kind.RST_STREAM, 0, 1, NUMBER.pack(8))) == []


def test_an_answer_waits_for_the_window_and_a_cut_does_not(connection: Http2) -> None:
    heard(connection, headers(1), headers(3), headers(5))
    connection.send(1, b"a" * 60_000)
    connection.send(3, b"b" * 10_000)
    connection.send(5, b"c")
    assert {stream for _, stream in kinds(connection)} == {1}
    connection.abort(3, PERMISSION_DENIED, "cut")
    assert kinds(connection) == [(Kind.HEADERS, 3), (Kind.RST_STREAM, 3)]
    heard(connection, frame(Kind.WINDOW_UPDATE, 0, 5, NUMBER.pack(100_000)))
    assert connection.taken() == b""
    heard(connection, frame(Kind.WINDOW_UPDATE, 0, 0, NUMBER.pack(100_000)))
    assert kinds(connection) == [(Kind.HEADERS, 5), (Kind.DATA, 5)]


def test_long_messages_go_in_frames_either_way(connection: Http2) -> None:
    heard(connection, headers(1))
    content = bytes(range(256)) * 200
    parts = data(1, content)[9:]
    sent = [frame(Kind.DATA, 0, 1, parts[at : at + PAYLOAD]) for at in range(0, len(parts), PAYLOAD)]
    assert heard(connection, *sent) == [Message(1, content)]
    connection.send(1, content)
    assert b"".join(payload for kind, _, _, payload in written(connection) if kind == Kind.DATA) == parts


def test_padding_is_taken_off(connection: Http2) -> None:
    heard(connection, headers(1))
    assert heard(connection, frame(Kind.DATA, PADDED, 1, b"\x03" + b"\0\0\0\0\x02ok" + b"\0\0\0")) == [
        Message(1, b"ok")
    ]


@pytest.mark.parametrize("start", [b"\x01\0\0\0\x01a", b"\0" + NUMBER.pack(LARGEST + 1)])
def test_what_is_compressed_or_too_large_ends_that_stream_alone(connection: Http2, start: bytes) -> None:
    heard(connection, headers(1), headers(3))
    assert heard(connection, frame(Kind.DATA, 0, 1, start)) == [Ended(1)]
    assert kinds(connection) == [(Kind.HEADERS, 1), (Kind.RST_STREAM, 1)]
    assert heard(connection, data(3, b"lives")) == [Message(3, b"lives")]


def test_the_window_of_the_connection_is_widened_by_what_was_heard(connection: Http2) -> None:
    heard(connection, headers(1))
    connection.abort(1, PERMISSION_DENIED, "cut")
    connection.taken()
    widened = 0
    for _ in range(2_000):
        heard(connection, frame(Kind.DATA, 0, 1, bytes(PAYLOAD)))
        widened += sum(NUMBER.unpack(payload)[0] for _, _, _, payload in written(connection))
    assert 0 <= 2_000 * PAYLOAD - widened < 8 * 1024 * 1024


def test_a_header_block_may_go_on(connection: Http2) -> None:
    more = frame(Kind.CONTINUATION, END_HEADERS, 1, b"more")
    assert heard(connection, headers(1, 0), more, data(1, b"asked")) == [Message(1, b"asked")]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        data(1, b"to nobody"),
        headers(0),
        headers(2),
        headers(1, 0) + data(1, b"in between"),
        frame(Kind.CONTINUATION, END_HEADERS, 1),
        frame(Kind.RST_STREAM, 0, 1, NUMBER.pack(8)),
        headers(1) + frame(Kind.DATA, PADDED, 1, b"\x05abc"),
        headers(1) + frame(Kind.DATA, PADDED, 1),
        frame(Kind.PUSH_PROMISE, END_HEADERS, 1, bytes(4)),
        frame(Kind.SETTINGS, 0, 0, b"odd"),
        frame(Kind.SETTINGS, 0, 0, SETTING.pack(4, 1000)),
        frame(Kind.PING, 0, 0, b"short"),
        frame(Kind.WINDOW_UPDATE, 0, 0, b"odd"),
        frame(Kind.WINDOW_UPDATE, 0, 0, NUMBER.pack(2**31 - 1)),
        b"\x7f\xff\xff" + bytes(6),
    ],
)
def test_who_breaks_the_rules_is_told_and_left(sent: bytes) -> None:
    connection = Http2()
    with pytest.raises(Violation):
        heard(connection, *((PREFACE, SETTINGS, sent) if sent else (b"GET / HTTP/1.1\r\n\r\n",)))
    assert connection.goodbye()[3] == Kind.GOAWAY


BOUNDS = Http2Bounds(largest=100_000, streams=3, unfinished=100_000)
BLOCK = b"\x44\x02/a"  # ":path: /a"


@pytest.fixture
def several() -> Http2:
    """A connection of a server with several methods."""
    started = Http2(BOUNDS, methods=True)
    heard(started, PREFACE, SETTINGS)
    started.taken()
    return started


def called(stream: int, flags: int = END_HEADERS, block: bytes = BLOCK) -> bytes:
    return frame(Kind.HEADERS, flags, stream, block)


def test_a_call_says_its_method_asks_and_waits(several: Http2) -> None:
    events = heard(several, called(1), data(1, b"asked", END_STREAM))
    assert events == [Begun(1, "/a"), Message(1, b"asked"), Finished(1)]
    several.send(1, b"answer", last=True)
    assert kinds(several) == [(Kind.HEADERS, 1), (Kind.DATA, 1), (Kind.HEADERS, 1)]  # no reset: all is said
    assert several.living == 0


def test_a_header_block_is_read_padded_with_a_priority_and_in_parts(several: Http2) -> None:
    padded = bytes([3]) + bytes(5) + BLOCK[:2] + bytes(3)
    first = frame(Kind.HEADERS, PADDED | PRIORITY, 1, padded)
    assert heard(several, first, frame(Kind.CONTINUATION, END_HEADERS, 1, BLOCK[2:])) == [Begun(1, "/a")]


def test_so_many_streams_live_and_the_next_is_refused(several: Http2) -> None:
    kept = b"\x40\x05:path\x02/b"  # the refused one's block counts for the table that the next is read by
    assert len(heard(several, called(1), called(3), called(5), called(7, block=kept))) == 3
    assert written(several) == [(Kind.RST_STREAM, 0, 7, NUMBER.pack(REFUSED_STREAM))]
    assert heard(several, data(7, b"late")) == []
    several.abort(1, OK, "")
    assert heard(several, called(9, block=b"\xbe")) == [Begun(9, "/b")]


def test_a_long_stream_may_go_on_and_a_message_that_never_ends_may_not(several: Http2) -> None:
    heard(several, called(1), called(3))
    widened = 0
    for _ in range(50):
        assert heard(several, data(1, bytes(10_000))) == [Message(1, bytes(10_000))]
        widened += sum(NUMBER.unpack(payload)[0] for kind, _, stream, payload in written(several) if stream == 1)
    assert widened == 50 * 10_005
    part = [frame(Kind.DATA, 0, 3, (b"\0" + NUMBER.pack(90_000) if first else b"") + bytes(10_000)) for first in (1, 0)]
    assert heard(several, *part) == []
    beginning = frame(Kind.DATA, 0, 1, b"\0" + NUMBER.pack(95_000) + bytes(10_000))
    rest = [frame(Kind.DATA, 0, 1, bytes(10_000))] * 8
    assert heard(several, beginning, *rest) == [Ended(1)]  # beside what waits on the other, more than all may have
    assert heard(several, *[frame(Kind.DATA, 0, 3, bytes(10_000))] * 7) == [Message(3, bytes(90_000))]


def test_an_answer_that_fits_into_no_window_ends_its_stream_alone(several: Http2) -> None:
    heard(several, called(1), called(3))
    assert not several.send(1, bytes(65_531))
    assert kinds(several) == [(Kind.HEADERS, 1), (Kind.RST_STREAM, 1)]
    assert several.send(3, b"answer")
    assert kinds(several) == [(Kind.HEADERS, 3), (Kind.DATA, 3)]


@pytest.mark.parametrize(
    "sent",
    [
        called(1, block=b"\xff\xff\xff\xff\xff"),
        called(1, END_HEADERS | END_STREAM) + data(1, b"more"),
        called(1, END_HEADERS | END_STREAM) + called(1, END_HEADERS | END_STREAM),
        called(1, 0) + frame(Kind.CONTINUATION, END_HEADERS, 3, b""),
        called(1, 0) + frame(Kind.CONTINUATION, 0, 1, bytes(PAYLOAD)) * 5,
    ],
)
def test_who_breaks_the_rules_of_calls_is_left(several: Http2, sent: bytes) -> None:
    with pytest.raises(Violation):
        heard(several, sent)


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 6), st.binary(max_size=40))))
def test_any_frames_of_calls_are_understood_or_a_violation(frames: list[tuple[int, int, int, bytes]]) -> None:
    """Invariant: nothing but a Violation is raised; a stream begins once and ends once, and so many live."""
    connection, begun, over = Http2(BOUNDS, methods=True), set[int](), set[int]()
    try:
        for event in connection.receive(PREFACE + b"".join(frame(*each) for each in frames)):  # type: ignore[arg-type]
            assert (event.stream in begun) != isinstance(event, Begun)
            assert event.stream not in over
            begun.add(event.stream)
            if isinstance(event, Ended):
                over.add(event.stream)
            assert connection.living <= BOUNDS.streams
    except Violation:
        pass


CONVERSATION = b"".join(
    [
        *(PREFACE, SETTINGS, headers(1), data(1, b"one"), headers(3), frame(Kind.DATA, 0, 3, b"\0\0\0\0\x09tw")),
        *(headers(5), data(5, b"three"), frame(Kind.RST_STREAM, 0, 5, NUMBER.pack(8)), frame(99, 0, 1, b"unknown")),  # type: ignore[arg-type]
    ]
)


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=20))
def test_how_the_bytes_are_cut_changes_nothing(cuts: list[int]) -> None:
    """Invariant: events and answers depend on the bytes alone, not on the reads that brought them."""
    whole, parted = Http2(), Http2()
    places = [0, *sorted(cuts), len(CONVERSATION)]
    pieces = [CONVERSATION[start:end] for start, end in itertools.pairwise(places)]
    assert [event for piece in pieces for event in parted.receive(piece)] == heard(whole, CONVERSATION)
    assert parted.taken() == whole.taken()


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 6), st.binary(max_size=40))))
def test_any_frames_are_understood_or_a_violation(frames: list[tuple[int, int, int, bytes]]) -> None:
    """Invariant: nothing but a Violation is ever raised, and only streams that live have events."""
    connection, over = Http2(), set[int]()
    try:
        for event in connection.receive(PREFACE + b"".join(frame(*each) for each in frames)):  # type: ignore[arg-type]
            assert event.stream not in over
            if isinstance(event, Ended):
                over.add(event.stream)
    except Violation:
        pass
