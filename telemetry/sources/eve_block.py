"""Many EVE records at once: what `eve` says of each line, as columns.

The lines of each type are a group. A line of which the quick reader is not sure is read by itself among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from telemetry.event import Event, EventBatch, Kind, concatenate
from telemetry.malformed import Parse
from telemetry.native import EVE_CELLS, EVE_KINDS, EVE_NUMBERS, EVE_ODD, EveCells, eve_cells
from telemetry.sources.cells import Cells, Page, Rows
from telemetry.sources.columns import Gathered, Made, Texts
from telemetry.sources.eve_record import Alert, service, severity
from telemetry.sources.times import cell_times

_CELL = {name: place for place, name in enumerate(EVE_CELLS)}
_NUMBER = {name: place for place, name in enumerate(EVE_NUMBERS)}
_ALERT = msgspec.json.Decoder(Alert)
_RULES = msgspec.DecodeError  # of a rule that is none; a ValidationError is one too


class _Lines:
    """Some lines of a block, by field."""

    def __init__(self, found: EveCells, page: Page, rows: Rows) -> None:
        self._found, self._page, self.rows = found, page, rows

    def text(self, field: str) -> Cells:
        """Empty in lines that do not tell it."""
        place = _CELL[field]
        return Cells(self._page, self._found.starts[place][self.rows], self._found.lengths[place][self.rows])

    def number(self, field: str) -> NDArray[np.int64]:
        """0 in lines that do not tell it."""
        numbers: NDArray[np.int64] = self._found.numbers[_NUMBER[field]][self.rows]
        return numbers


class _Columns(NamedTuple):
    texts: dict[str, Texts | str]
    numbers: dict[str, Any]


def eve_block(block: bytes, source: str, parse: Parse) -> tuple[EventBatch, int] | None:
    """See ParseMany; `parse` reads one line."""
    found = eve_cells(block)
    gathered, page = Gathered(source), Page(found.page)
    for code, event_type in enumerate(EVE_KINDS):
        lines = _Lines(found, page, np.flatnonzero(found.kinds == code))
        if event_type in _TYPES and len(lines.rows) and not _gather(gathered, lines, event_type):
            return None
    alone = _parsed(block, np.flatnonzero(found.kinds == EVE_ODD), source, parse)
    ignored = int((found.kinds == EVE_KINDS.index("ignored")).sum())
    return None if alone is None else (_merged(gathered, alone), ignored + alone.ignored)


class _Odd(NamedTuple):
    rows: list[int]
    events: list[Event]
    ignored: int


def _parsed(block: bytes, rows: Rows, source: str, parse: Parse) -> _Odd | None:
    """Of these lines the events, and how many are ignored; None where one is malformed."""
    lines = block.split(b"\n") if len(rows) else []
    parsed = [(row, parse(lines[row], source)) for row in rows.tolist()]
    told = [(row, one) for row, one in parsed if isinstance(one, Event)]
    ignored = sum(one is None for _, one in parsed)
    if len(told) + ignored < len(parsed):
        return None
    return _Odd(list(map(itemgetter(0), told)), list(map(itemgetter(1), told)), ignored)


def _merged(gathered: Gathered, odd: _Odd) -> EventBatch:
    """All in the order of their lines."""
    if not odd.events:
        return gathered.batch()
    both = concatenate([gathered.batch(), EventBatch.of(odd.events)])
    return both.take(np.argsort(np.append(gathered.places(), odd.rows)))


def _gather(gathered: Gathered, lines: _Lines, event_type: str) -> bool:
    """Add the records of one type; false where one has a time that is none, or is of a rule that is none."""
    moments = cell_times(lines.text("timestamp"))
    kind, columns = _TYPES[event_type]
    try:
        own = columns(lines)
    except _RULES:
        return False
    texts: dict[str, Texts | str] = {
        "session": lines.text("flow_id"),
        "address": lines.text("src_ip"),
        "peer": lines.text("dest_ip"),
    }
    numbers = {"time": moments, "port": lines.number("dest_port")}
    gathered.add(kind, lines.rows, texts | own.texts, numbers | own.numbers)
    return not np.isnan(moments).any()


def _alert(alerts: _Lines) -> _Columns:
    told = alerts.text("alert").words()  # what a rule says of itself is the same in each of its alerts
    rules = {rule: _ALERT.decode(rule) for rule in told.values}
    return _Columns(
        {
            "name": Made.of(told, lambda rule: rules[rule].signature),
            "action": Made.of(told, lambda rule: rules[rule].category),
            "outcome": Made.of(told, lambda rule: rules[rule].action),
            "resource": alerts.text("url"),
            "service": Made.of(alerts.text("app_proto").words(), service),
        },
        {
            "severity": np.array([severity(rules[rule]) for rule in told.values], np.uint8)[told.codes],
            "bytes_in": alerts.number("bytes_toserver"),
            "bytes_out": alerts.number("bytes_toclient"),
        },
    )


def _flow(flows: _Lines) -> _Columns:
    ends = cell_times(Cells.join([flows.text("end"), flows.text("start")])).reshape(2, -1)
    return _Columns(
        {
            "service": Made.of(flows.text("app_proto").words(), service),
            "action": Made.of(flows.text("proto").words(), str.lower),
            "outcome": Made.of_two(flows.text("state").words(), flows.text("reason").words(), _ended),
        },
        {
            "bytes_in": flows.number("bytes_toserver"),
            "bytes_out": flows.number("bytes_toclient"),
            "duration": np.nan_to_num(ends[0] - ends[1], nan=0.0),
        },
    )


def _dns(messages: _Lines) -> _Columns:
    asked = messages.number("questions") > 0
    return _Columns(
        {
            "service": "dns",
            "resource": Cells.where(asked, messages.text("asked_name"), messages.text("rrname")),
            "action": Cells.where(asked, messages.text("asked_type"), messages.text("rrtype")),
            "outcome": Made.of_two(messages.text("rcode").words(), messages.text("message").words(), _answer),
        },
        {},
    )


def _http(exchanges: _Lines) -> _Columns:
    return _Columns(
        {
            "peer": exchanges.text("hostname").or_else(exchanges.text("dest_ip")),
            "service": "http",
            "resource": exchanges.text("url"),
            "action": exchanges.text("method"),
        },
        {"status": exchanges.number("status"), "bytes_out": exchanges.number("length")},
    )


def _tls(handshakes: _Lines) -> _Columns:
    named = handshakes.text("sni").or_else(handshakes.text("dest_ip"))
    return _Columns({"peer": named, "service": "tls", "action": "TLS"}, {})


_TYPES: Mapping[str, tuple[Kind, Callable[[_Lines], _Columns]]] = {
    "alert": (Kind.ALERT, _alert),
    "flow": (Kind.FLOW, _flow),
    "dns": (Kind.DNS, _dns),
    "http": (Kind.REQUEST, _http),
    "tls": (Kind.REQUEST, _tls),
}


def _ended(state: str, reason: str) -> str:
    return f"{state} {reason}".strip()


def _answer(code: str, message: str) -> str:
    return (code or "answer") if message in ("answer", "response") else "query"
