"""What is found in a page of bytes is what Python says of each text by itself."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.malformed import iso_time
from telemetry.sources.cells import Cells, Page
from telemetry.sources.digits import decimals, digits, integers
from telemetry.sources.times import cell_times

texts = st.lists(st.text(max_size=20) | st.text("ab?", max_size=40) | st.sampled_from(["", "-", "(empty)", "x" * 600]))
numbers = st.lists(
    st.integers(0, 10**20).map(str)
    | st.text("0123456789.-+ e", max_size=22)
    | st.floats(0, 2e9).map("{:.6f}".format)
    | st.sampled_from(["", "0", "00", "9" * 18, "9" * 19, ".000000", "1.00000", "1.0000000", "9007199254.740993"])
)
times = st.lists(
    st.builds(
        "2021-06-{:02d}T15:59:4{}.{:06d}{}".format,
        st.integers(0, 31),
        st.integers(0, 9),
        st.integers(0, 10**6),
        st.sampled_from(["+0200", "-0000", "+2400", "Z", "+02:0"]),
    )
    | st.text("0123456789-:+.T", min_size=31, max_size=31)
    | st.sampled_from(["", "2021-06-06"])
)


def cells(wanted: list[str]) -> Cells:
    """With other bytes before, between and after."""
    parts = [text.encode() for text in wanted]
    lengths = np.array(list(map(len, parts)), np.int64)
    starts = np.cumsum(lengths + 1) - lengths
    return Cells(Page.of(b"7" + b"7".join(parts) + b"7"), starts, lengths)


@given(texts)
def test_a_column_has_each_text_once(wanted: list[str]) -> None:
    words = cells(wanted).words()
    assert list(words) == wanted
    assert len(words.values) == len(set(wanted))
    assert list(cells(wanted).texts()) == wanted


@given(texts, st.text(max_size=12))
def test_what_cells_say(wanted: list[str], text: str) -> None:
    some = cells([*wanted, text])
    assert some.say(text).tolist() == [one == text for one in [*wanted, text]]
    assert list(some.without((text, "-")).words()) == ["" if one in (text, "-") else one for one in [*wanted, text]]


@given(numbers)
def test_digits_are_whole_numbers(wanted: list[str]) -> None:
    found, plain = digits(cells(wanted))
    for text, number, is_plain in zip(wanted, found.tolist(), plain.tolist(), strict=True):
        assert is_plain == (len(text) <= 19 and (text.isdecimal() or not text))
        if is_plain and int(text or "0") < 2**63:
            assert number == int(text or "0")


@given(numbers)
@example(["0.000001", "1777000000.000005", "00.500000"])
def test_numbers_that_are_plain_are_pythons(wanted: list[str]) -> None:
    whole, plain = integers(cells(wanted))
    told = [(text, number) for text, number, is_plain in zip(wanted, whole.tolist(), plain, strict=True) if is_plain]
    assert all(str(number) == (text or "0") for text, number in told)
    floats, plain = decimals(cells(wanted))
    real = [(text, number) for text, number, is_plain in zip(wanted, floats.tolist(), plain, strict=True) if is_plain]
    assert all(number == float(text or "0") and (not text or text[-7] == ".") for text, number in real)
    assert plain[[text in ("0.000001", "1777000000.000005") for text in wanted]].all()


@given(times)
def test_times_are_those_of_the_standard_library(wanted: list[str]) -> None:
    assert [repr(one) for one in cell_times(cells(wanted)).tolist()] == [repr(iso_time(text)) for text in wanted]
    assert not wanted or not math.isinf(cell_times(cells(wanted)).max())
