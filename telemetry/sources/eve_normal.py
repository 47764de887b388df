"""EVE records in one form: each field in its place, whatever the order, the spaces and the other fields that a sensor
writes. msgspec decodes and encodes; where each cell lies is then known from the quotes of a line alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from telemetry.malformed import Count, Port, decode_block
from telemetry.sources.cells import Cells, Mask, Page, Rows, begin
from telemetry.sources.eve_record import Alert, Dns, Flow, Http, Tls

_PIECE: Final = 128 * 1024  # bytes decoded at a time: their records fit a core's own cache
_VALUE: Final = 2  # bytes from a key's closing quote to its value
_TEXT: Final = 2  # quotes from a key's first to its text's
BEFORE: Final = '{{"{}":{{"{}":"'  # the first text of a part
BETWEEN: Final = '","{}":"'  # from one text's end to the begin of the next, whose field this is
_BEYOND: Final = b'"' * 256  # for what an odd last line may lack


class Record(msgspec.Struct, gc=False):
    """The fields of all types that are read. First what each has, then the parts: those whose quotes can be counted
    before the two whose cannot.
    """

    event_type: str
    timestamp: str = ""
    src_ip: str = ""
    dest_ip: str = ""
    proto: str = ""
    app_proto: str = ""
    dest_port: Port = 0
    flow_id: Count = 0
    flow: Flow | None = None
    http: Http | None = None
    tls: Tls | None = None
    alert: Alert | None = None
    dns: Dns | None = None


def _places(record: type[msgspec.Struct]) -> dict[str, int]:
    """Of each field, how many quotes come before its key: a text and its key have four, other fields two."""
    places, at = {}, 0
    for field in msgspec.structs.fields(record):
        places[field.name] = at
        at += 4 if field.type is str else 2
    return places | {"": at}


_TYPE: Final = b'"event_type"'
_ESCAPED: Final = b"\\u00"  # how an ASCII letter may be written
_DECODER: Final = msgspec.json.Decoder(Record)
_ENCODER: Final = msgspec.json.Encoder()
_COMMON: Final = _places(Record)
_PARTS: Final[dict[str, type[msgspec.Struct]]] = {"flow": Flow, "http": Http, "tls": Tls, "alert": Alert, "dns": Dns}
_WITHIN: Final = {name: _places(part) for name, part in _PARTS.items()}


class NormalForm:
    """The lines of a block in that form. A line in which a text holds a quote or a backslash is odd: what is said here
    of its cells does not hold.
    """

    def __init__(self, lines: bytes) -> None:
        self.page = Page(lines + _BEYOND)
        self.ends = self.page.places("\n")
        self.quotes = self.page.places('"')
        self.odd = np.zeros(len(self.ends), np.bool_)
        if b"\\" in lines:
            self.odd[np.searchsorted(self.ends, self.page.places("\\"))] = True
        first = np.searchsorted(self.quotes, np.append(0, self.ends[:-1] + 1))
        self._part = {"": Part(self, first, np.ones(len(self.ends), np.bool_), _COMMON)}
        self._types = self.page.windows[self.text("event_type").starts]
        at = first + _COMMON["flow"]
        for name, places in _WITHIN.items():  # in their order: where one begins depends on those before it
            told = self.page.letters[self.quotes[at + 1] + _VALUE] == ord("{")
            self._part[name] = Part(self, at + 2, told, places)
            at = at + 2 + np.where(told, places[""], 0)
        self.odd |= self._part["alert"].told & self.are("dns")  # how long an alert is, is not known

    @classmethod
    def of(cls, block: bytes) -> NormalForm | None:
        """None where a line has to be looked at by itself: one that is malformed, or tells its type twice."""
        lines: list[bytes] = []
        for piece in _pieces(block):
            records = decode_block(_DECODER, piece)
            if records is None or not _type_told_once(piece, len(records)):
                return None
            lines.append(_ENCODER.encode_lines(records))
        return cls(b"".join(lines)) if lines else None

    def __len__(self) -> int:
        return len(self.ends)

    def part(self, name: str, rows: Rows) -> Part:
        """Of these lines one part; the one without a name is what all types have."""
        return self._part[name].take(rows)

    def are(self, event_type: str) -> Mask:
        """Which lines are of this type, whose name has less than eight letters."""
        return begin(self._types, f'{event_type}"'.encode())

    def text(self, field: str) -> Cells:
        """Each line's text of what all types have."""
        return self._part[""].text(field)


class Part:
    """The same object of many lines: where its first quote is in each, and which have it at all."""

    def __init__(self, form: NormalForm, first: Rows, told: Mask, places: dict[str, int]) -> None:
        self.told = told
        self._form = form
        self._first = first
        self._places = places

    def __len__(self) -> int:
        return len(self._first)

    def take(self, rows: Rows) -> Part:
        """Of these lines."""
        return Part(self._form, self._first[rows], self.told[rows], self._places)

    def text(self, field: str, last: str = "") -> Cells:
        """A field's text; or all from it to the end of another's text, with what stands between."""
        return self._cells(self._places[field] + _TEXT, self._places[last or field] + _TEXT + 1)

    def number(self, field: str) -> Cells:
        """A field's number as it is written; another field must follow."""
        quotes, at = self._form.quotes, self._first + self._places[field]
        starts = quotes[at + 1] + _VALUE
        return Cells(self._form.page, starts, np.where(self.told, quotes[at + 2] - 1 - starts, 0))

    def inner(self, field: str, record: type[msgspec.Struct]) -> Part:
        """The first object in a list of them, which comes last."""
        at = self._first + self._places[field]
        told = self._form.page.letters[self._form.quotes[at + 1] + _VALUE + 1] == ord("{")
        return Part(self._form, at + 2, told, _places(record))

    def rest(self, field: str) -> Cells:
        """All from a field's text to the end of its line."""
        starts = self.text(field).starts
        ends = self._form.ends
        return Cells(self._form.page, starts, ends[np.searchsorted(ends, starts)] - starts)

    def _cells(self, opening: int, closing: int) -> Cells:
        starts = self._form.quotes[self._first + opening] + 1
        ends = self._form.quotes[self._first + closing]
        return Cells(self._form.page, starts, np.where(self.told, ends - starts, 0))


def _type_told_once(piece: bytes, count: int) -> bool:
    """In each line. Each tells it, so that all together are as many; but one may write the key with escapes."""
    if b"\\" not in piece or _ESCAPED not in piece:  # one byte is found many times faster than four
        return piece.count(_TYPE) == count
    return all(line.count(_TYPE) == 1 for line in piece.split(b"\n")[:-1])


def _pieces(block: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(block):
        end = block.find(b"\n", start + _PIECE) + 1 or len(block)
        yield block[start:end]
        start = end
