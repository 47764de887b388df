"""EVE lines as a sensor writes them, with faults and oddities: read at once they say what each says by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import parse_eve
from tests.telemetry.test_blocks_of_lines import EVE, TYPES, block_of, check, eve

PARTS = ("flow", "http", "dns", "tls")
SPACES = ((",", ":"), (", ", ": "), (" , ", " : "))
odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 5.0, 65536, 2**63 - 1, 2**63, "", "x" * 3000, "é", "\U0001f600", "TCP", "failed", "{", "[{"]
) | st.sampled_from(
    [[], {}, ["Critical"], [{"rrname": "b"}], [{}, {"rrtype": "A"}], '"', "\\", '","reason":"', "a\0b", "\n", "\x7f"]
)
written = st.sampled_from(
    [(b"443", b"4.43e2"), (b"443", b"443.0"), (b"443", b"-0"), (b"bank", b"b\\u0061nk"), (b"bank", b"\\ud800")]
) | st.sampled_from([(b"/a", b"\\/a"), (b"GET", b"G\xffT"), (b"GET", b"G\x01T"), (b"event_type", b"event\\u005ftype")])


@st.composite
def sensor_lines(draw: st.DrawFn) -> bytes:
    """A record with its type's own part, fields in any order; some have other parts, other values, or a field twice."""
    kind = draw(st.sampled_from(TYPES))
    own: dict[str, Any] = {**EVE.get(kind, {})}  # type: ignore[dict-item]
    record: dict[str, Any] = {name: told for name, told in EVE.items() if name not in TYPES} | {"event_type": kind}
    record |= {name: EVE[name] for name in draw(st.sets(st.sampled_from(PARTS), max_size=1 + 3 * (kind == "alert")))}
    record[kind] = own
    if draw(st.integers(0, 3)) == 0:
        fields = [*own, "state", "reason", "queries", "rcode", "length", "category", "metadata"]
        own[draw(st.sampled_from(fields))] = draw(odd)
    if draw(st.integers(0, 9)) == 0:
        record[draw(st.sampled_from([*record, "app_proto", "alert"]))] = draw(odd)
    record = dict(draw(st.permutations(list(record.items()))))
    line = json.dumps(record, separators=draw(st.sampled_from(SPACES)), ensure_ascii=draw(st.booleans())).encode()
    if draw(st.integers(0, 19)) == 0:
        line = json.dumps({draw(st.sampled_from([*record])): draw(odd)}).encode()[:-1] + b"," + line[1:]
    return line.replace(*draw(written)) if draw(st.integers(0, 9)) == 0 else line


@given(st.lists(sensor_lines(), min_size=10, max_size=40))
def test_lines_of_a_sensor(lines: list[bytes]) -> None:
    check(block_of(lines), lambda: parse_eve)


@pytest.mark.parametrize("text", ['"', "\\", '","dns":null', "a\0b", "\u2028", "é" * 1200, "\U0001f600" * 2100])
@pytest.mark.parametrize(
    ("kind", "field"), [("alert", "signature"), ("flow", "state"), ("dns", "rrname"), ("tls", "sni")]
)
def test_texts_that_need_care_do_not_hold_up_others(kind: str, field: str, text: str) -> None:
    plain = [eve(one, alert=None) for one in TYPES if one != "alert"]
    block = block_of([*plain, eve(kind, **{"alert": None} | {kind: {"signature": "", field: text}})] * 20)
    check(block, lambda: parse_eve)
    assert parse_eve.many(block, "s") is not None


def test_a_type_told_twice_is_not_made_up_for_by_one_that_is_written_otherwise() -> None:
    lines = [
        eve("tls"),
        b'{"event_type":"dns",' + eve("tls")[1:],
        eve("tls").replace(b"event_type", b"event\\u005ftype"),
    ]
    check(block_of(lines * 20), lambda: parse_eve)
