"""Large data documents are read in slices, and come out as small ones do."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.data import documents
from policy.data.documents import decoded
from policy.rego import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "SLICED", 0)


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_slices_make_the_same_value(value: Any, indent: Any) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if not any("\ud800" <= one <= "\udfff" for one in text):
        assert repr(decoded(f" {text}\n")) == repr(json_text.decode(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{,}",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        '{"a":1 "b":2}',
        "{1:2}",
        '{"a":{"b":1}',
        "{} {}",
        '{"a":NaN}',
        "]",
    ],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decoded(text)


def test_numbers_keep_what_they_are() -> None:
    read = decoded('{"a": {"b": 1e400, "c": 12345678901234567890, "d": 0.10}, "a2": 2.50}')
    assert read["a"]["b"] == Decimal("1e400")
    assert read["a"]["c"] == 12345678901234567890
    assert json_text.encode(read) == '{"a":{"b":1e400,"c":12345678901234567890,"d":0.10},"a2":2.50}'


def test_of_equal_names_the_last_counts() -> None:
    assert decoded('{"a": 1, "a": {"b": 2, "b": 3}}') == {"a": {"b": 3}}
