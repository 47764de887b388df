"""Many EVE records at once: what `eve` says of each line, as columns.

The lines of each type are a group; a line that is odd in the normal form is read by itself among them.
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
from telemetry.sources.cells import Cells, Rows
from telemetry.sources.columns import Gathered, Made, Texts
from telemetry.sources.eve_normal import BEFORE, BETWEEN, NormalForm, Part
from telemetry.sources.eve_record import Alert, Query, service, severity
from telemetry.sources.times import cell_times
from telemetry.words import Words


class _Columns(NamedTuple):
    texts: dict[str, Texts | str]
    numbers: dict[str, Any]


class _Alerted(msgspec.Struct):
    alert: Alert


_ALERTED = msgspec.json.Decoder(_Alerted)


def eve_block(block: bytes, source: str, parse: Parse) -> tuple[EventBatch, int] | None:
    """See ParseMany; `parse` reads one line."""
    form = NormalForm.of(block)
    if form is None:
        return None
    gathered, moments = Gathered(source), cell_times(form.text("timestamp"))
    form.odd |= form.are("dhcp")  # few, and not all are read
    left = ~form.odd
    for event_type in _TYPES:
        rows = np.flatnonzero(left & form.are(event_type))
        left[rows] = False
        if len(rows) and not _gather(gathered, rows, event_type, form, moments[rows]):
            return None
    alone = _parsed(block, np.flatnonzero(form.odd), source, parse)
    return None if alone is None else (_merged(gathered, alone), int(left.sum()) + alone.ignored)


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


def _gather(gathered: Gathered, rows: Rows, event_type: str, form: NormalForm, moments: NDArray[np.float64]) -> bool:
    """Add the records of one type; false where one lacks what its type must have, or has a time that is none."""
    common, part = form.part("", rows), form.part(event_type, rows)
    addresses, peers = common.text("src_ip"), common.text("dest_ip")
    named = event_type == "alert" or bool(((addresses.lengths > 0) & (peers.lengths > 0)).all())
    if not named or not part.told.all() or np.isnan(moments).any():
        return False
    kind, columns = _TYPES[event_type]
    own = columns(common, part, form.part("http", rows), form.part("flow", rows))
    texts: dict[str, Texts | str] = {
        "session": common.number("flow_id").without(("0",)),
        "address": addresses,
        "peer": peers,
    }
    numbers = {"time": moments, "port": common.number("dest_port")}
    gathered.add(kind, rows, texts | own.texts, numbers | own.numbers)
    return True


def _alert(common: Part, alerts: Part, http: Part, flows: Part) -> _Columns:
    told = alerts.rest("signature").words()  # what a rule says of itself is the same in each of its alerts
    rules = {rest: _ALERTED.decode(BEFORE.format("alert", "signature") + rest).alert for rest in told.values}
    return _Columns(
        {
            "name": Made(told, lambda rest: rules[rest].signature),
            "action": Made(told, lambda rest: rules[rest].category),
            "outcome": Made(told, lambda rest: rules[rest].action),
            "resource": http.text("url").before("?"),
            "service": Made(_protocols(common), _recognized),
        },
        {
            "severity": np.array([severity(rules[rest]) for rest in told.values], np.uint8)[told.codes],
            "bytes_in": flows.number("bytes_toserver"),
            "bytes_out": flows.number("bytes_toclient"),
        },
    )


def _flow(common: Part, flows: Part, *_: Part) -> _Columns:
    protocols = _protocols(common)
    ends = cell_times(Cells.join([flows.text("end"), flows.text("start")])).reshape(2, -1)
    return _Columns(
        {
            "service": Made(protocols, _recognized),
            "action": Made(protocols, _transport),
            "outcome": Made(flows.text("state", "reason").words(), _ended),
        },
        {
            "bytes_in": flows.number("bytes_toserver"),
            "bytes_out": flows.number("bytes_toclient"),
            "duration": np.nan_to_num(ends[0] - ends[1], nan=0.0),
        },
    )


def _dns(_common: Part, messages: Part, *_: Part) -> _Columns:
    asked = messages.inner("queries", Query)
    return _Columns(
        {
            "service": "dns",
            "resource": Cells.where(asked.told, asked.text("rrname"), messages.text("rrname")),
            "action": Cells.where(asked.told, asked.text("rrtype"), messages.text("rrtype")),
            "outcome": Made(messages.text("rcode", "type").words(), _answer),
        },
        {},
    )


def _http(common: Part, exchanges: Part, *_: Part) -> _Columns:
    return _Columns(
        {
            "peer": exchanges.text("hostname").or_else(common.text("dest_ip")),
            "service": "http",
            "resource": exchanges.text("url").before("?"),
            "action": exchanges.text("http_method"),
        },
        {"status": exchanges.number("status"), "bytes_out": exchanges.number("length")},
    )


def _tls(common: Part, handshakes: Part, *_: Part) -> _Columns:
    return _Columns(
        {"peer": handshakes.text("sni").or_else(common.text("dest_ip")), "service": "tls", "action": "TLS"}, {}
    )


_TYPES: Mapping[str, tuple[Kind, Callable[[Part, Part, Part, Part], _Columns]]] = {
    "alert": (Kind.ALERT, _alert),
    "flow": (Kind.FLOW, _flow),
    "dns": (Kind.DNS, _dns),
    "http": (Kind.REQUEST, _http),
    "tls": (Kind.REQUEST, _tls),
}


def _protocols(common: Part) -> Words:
    return common.text("proto", "app_proto").words()


def _recognized(told: str) -> str:
    return service(told.partition(BETWEEN.format("app_proto"))[2])


def _transport(told: str) -> str:
    return told.partition(BETWEEN.format("app_proto"))[0].lower()


def _ended(told: str) -> str:
    state, _, reason = told.partition(BETWEEN.format("reason"))
    return f"{state} {reason}".strip()


def _answer(told: str) -> str:
    code, _, kind = told.partition(BETWEEN.format("type"))
    return (code or "answer") if kind in ("answer", "response") else "query"
