"""Many EVE records at once: what `eve` says of each line, as columns.

All record types are decoded as one lean struct, and each type's columns are gathered in runs. Where a line says
something that only one of the two ways of reading would take, the block is left to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from telemetry.event import EventBatch, Kind
from telemetry.malformed import Count, Port, decode_block
from telemetry.sources.columns import Gathered, Made, Rows, Texts, coded
from telemetry.sources.eve_record import Alert, Dns, Flow, Http, Tls, path, service, severity
from telemetry.sources.times import iso_times


class _Record(msgspec.Struct, gc=False):
    event_type: str
    timestamp: str | UnsetType = UNSET
    src_ip: str | UnsetType = UNSET
    dest_ip: str | UnsetType = UNSET
    dest_port: Port = 0
    proto: str = ""
    app_proto: str = ""
    flow_id: Count = 0
    alert: Alert | None = None
    flow: Flow | None = None
    dns: Dns | None = None
    http: Http | None = None
    tls: Tls | None = None


class _Columns(NamedTuple):
    texts: dict[str, Texts | str]
    numbers: dict[str, Any]


_DECODER = msgspec.json.Decoder(_Record)
_NO_FLOW = Flow()


def eve_block(block: bytes, source: str) -> tuple[EventBatch, int] | None:
    """See ParseMany."""
    records = decode_block(_DECODER, block)
    if records is None or block.count(b'"event_type"') != len(records):  # told twice: which one counts is the line's
        return None
    codes, types = coded(map(attrgetter("event_type"), records))
    moments = iso_times([record.timestamp or "" for record in records])
    gathered, ignored = Gathered(source), 0
    for event_type, code in types.items():
        rows = np.flatnonzero(codes == code)
        if event_type not in _TYPES:
            ignored += len(rows)
        elif not _gather(gathered, rows, event_type, [records[row] for row in rows.tolist()], moments[rows]):
            return None
    return gathered.batch(), ignored


def _gather(
    gathered: Gathered, rows: Rows, event_type: str, group: list[_Record], moments: NDArray[np.float64]
) -> bool:
    """Add the records of one type; false where one lacks what its type must have, or has a time that is none."""
    addresses, peers, parts = (list(map(attrgetter(name), group)) for name in ("src_ip", "dest_ip", event_type))
    if event_type == "alert":  # one on a frame below IP has no addresses
        addresses, peers = ([text or "" for text in column] for column in (addresses, peers))
    if None in parts or UNSET in addresses or UNSET in peers or np.isnan(moments).any():
        return False
    kind, columns = _TYPES[event_type]
    own = columns(group, parts)
    sessions = [str(number) if number else "" for number in map(attrgetter("flow_id"), group)]
    texts: dict[str, Texts | str] = {"session": sessions, "address": addresses, "peer": peers}
    numbers = {"time": moments, "port": _numbers(group, "dest_port")}
    gathered.add(kind, rows, texts | own.texts, numbers | own.numbers)
    return True


def _alert(group: Sequence[_Record], alerts: Sequence[Alert]) -> _Columns:
    flows = [record.flow or _NO_FLOW for record in group]
    return _Columns(
        {
            "name": map(attrgetter("signature"), alerts),
            "action": map(attrgetter("category"), alerts),
            "outcome": map(attrgetter("action"), alerts),
            "resource": Made((record.http.url if record.http else "" for record in group), path),
            "service": Made(map(attrgetter("app_proto"), group), service),
        },
        {
            "severity": np.fromiter(map(severity, alerts), np.uint8, len(alerts)),
            "bytes_in": _numbers(flows, "bytes_toserver"),
            "bytes_out": _numbers(flows, "bytes_toclient"),
        },
    )


def _flow(group: Sequence[_Record], flows: Sequence[Flow]) -> _Columns:
    ends = iso_times([*map(attrgetter("end"), flows), *map(attrgetter("start"), flows)]).reshape(2, -1)
    return _Columns(
        {
            "service": Made(map(attrgetter("app_proto"), group), service),
            "action": Made(map(attrgetter("proto"), group), str.lower),
            "outcome": Made(map(attrgetter("state", "reason"), flows), _ended),
        },
        {
            "bytes_in": _numbers(flows, "bytes_toserver"),
            "bytes_out": _numbers(flows, "bytes_toclient"),
            "duration": np.nan_to_num(ends[0] - ends[1], nan=0.0),
        },
    )


def _dns(group: Sequence[_Record], messages: Sequence[Dns]) -> _Columns:
    asked = [message.queries[0] if message.queries else message for message in messages]
    return _Columns(
        {
            "service": "dns",
            "resource": map(attrgetter("rrname"), asked),
            "action": map(attrgetter("rrtype"), asked),
            "outcome": Made(map(attrgetter("type", "rcode"), messages), _answer),
        },
        {},
    )


def _http(group: Sequence[_Record], exchanges: Sequence[Http]) -> _Columns:
    return _Columns(
        {
            "peer": _named(map(attrgetter("hostname"), exchanges), group),
            "service": "http",
            "resource": Made(map(attrgetter("url"), exchanges), path),
            "action": map(attrgetter("http_method"), exchanges),
        },
        {"status": _numbers(exchanges, "status"), "bytes_out": _numbers(exchanges, "length")},
    )


def _tls(group: Sequence[_Record], handshakes: Sequence[Tls]) -> _Columns:
    return _Columns({"peer": _named(map(attrgetter("sni"), handshakes), group), "service": "tls", "action": "TLS"}, {})


_TYPES: Mapping[str, tuple[Kind, Callable[[Sequence[_Record], Sequence[Any]], _Columns]]] = {
    "alert": (Kind.ALERT, _alert),
    "flow": (Kind.FLOW, _flow),
    "dns": (Kind.DNS, _dns),
    "http": (Kind.REQUEST, _http),
    "tls": (Kind.REQUEST, _tls),
}


def _numbers(parts: Sequence[Any], name: str) -> NDArray[np.int64]:
    return np.fromiter(map(attrgetter(name), parts), np.int64, len(parts))


def _named(names: Iterable[str], group: Iterable[_Record]) -> list[str]:
    """The name that was asked for, or the address where none was."""
    return [name or address for name, address in zip(names, map(attrgetter("dest_ip"), group), strict=True)]


def _ended(how: tuple[str, str]) -> str:
    return " ".join(how).strip()


def _answer(told: tuple[str, str]) -> str:
    kind, code = told
    return (code or "answer") if kind in ("answer", "response") else "query"
