"""Numbers: arithmetic, aggregates and conversions, held against the real OPA to the last digit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.rego.builtins import BUILTINS
from policy.rego.json_text import decode, encode
from policy.rego.numerals import MAX_DIGITS, Numeral, number, small
from policy.rego.values import UNDEFINED, RegoSet, equal
from tests.policy.exact_answers import differences, ours

CALLS = 200  # of each builtin; one start of OPA checks them all
TWO = (
    "plus",
    "minus",
    "mul",
    "div",
    "rem",
    "lt",
    "lte",
    "gt",
    "gte",
    "equal",
    "neq",
    "bits.and",
    "bits.or",
    "bits.xor",
)
ONE = ("abs", "round", "ceil", "floor", "bits.negate", "to_number", "json.marshal", "is_number", "type_name")
OF_ARRAYS = ("sum", "product", "max", "min", "count")
SHIFTS = ("0", "1", "64", "-1", "2.0", "18446744073709551616")
ODD = ("-0", "-0.0", "0e5", "1.0", "1.50e100", "1e400", "1e-400", "-0.5", "2.5", "1e22", "1e23", "1E+5", "0.1")
OTHERS = ("true", "null", '"1"', "[1]", "{}")


def number_text() -> str:
    """A number as somebody might write it."""
    shapes = (
        lambda: str(random.randint(-20, 20)),
        lambda: str(random.randint(-(10**40), 10 ** random.randint(1, 40))),
        lambda: str(2 ** random.randint(0, 130) + random.randint(-1, 1)),
        lambda: repr(random.uniform(-10, 10)),
        lambda: f"{random.uniform(-1000, 1000):.{random.randint(1, 25)}f}",
        lambda: f"{random.randint(0, 10**25)}.{random.randint(0, 10**25)}",
        lambda: f"{random.randint(-(10**6), 10**6)}e{random.randint(-40, 40)}",
        lambda: random.choice(ODD),
    )
    return random.choice(shapes)()


def any_text() -> str:
    return random.choice(OTHERS) if random.random() < 0.1 else number_text()


def array_text() -> str:
    return f"[{','.join(any_text() if random.random() < 0.1 else number_text() for _ in range(random.randint(0, 5)))}]"


def test_as_opa_computes(tmp_path: Path) -> None:
    calls = {name: [f"[{any_text()},{any_text()}]" for _ in range(CALLS)] for name in TWO}
    calls |= {name: [f"[{any_text()}]" for _ in range(CALLS)] for name in ONE}
    calls |= {name: [f"[{array_text()}]" for _ in range(CALLS)] for name in OF_ARRAYS}
    calls |= {
        name: [f"[{any_text()},{random.choice(SHIFTS)}]" for _ in range(CALLS)] for name in ("bits.lsh", "bits.rsh")
    }
    calls["format_int"] = [f"[{any_text()},{random.choice((2, 8, 10, 16, 16.0, 3))}]" for _ in range(CALLS)]
    calls["numbers.range"] = [f"[{random.randint(-9, 9)},{random.choice((-7, 3, 3.0, 2.5))}]" for _ in range(CALLS)]
    assert differences(calls, tmp_path) == []


GOLDEN = {  # OPA 1.22.2's own answers, odd as some are
    ("plus", "[0.1,0.2]"): "0.3",
    ("plus", "[1234567.5,0]"): "1.2345675e+06",
    ("plus", "[1.0,1]"): "2",
    ("mul", "[-0.5,0]"): "-0",
    ("mul", "[1e2,1]"): "100",
    ("div", "[0,-5]"): "-0",
    ("div", "[10,4]"): "2.5",
    ("div", "[1,3]"): "0.33333333333333333334",
    ("div", "[100000000000000000000000,7]"): "14285714285714285714000",
    ("div", "[1,0.0]"): "undefined",
    ("rem", "[-7,3]"): "-1",
    ("rem", "[7.5,2]"): "undefined",
    ("rem", "[10,18446744073709551616]"): "10",
    ("abs", "[100000000000000000001]"): "100000000000000000000",
    ("ceil", "[-0.5]"): "1",
    ("floor", "[-0.5]"): "0",
    ("round", "[18446744073709551615]"): "18446744073709551616",
    ("product", "[[0.1,3]]"): "0.30000000000000004",
    ("sum", "[[0.1,0.2]]"): "0.3",
    ("sum", "[[1e2,2.0]]"): "102",
    ("format_int", "[1e30,10]"): '"1000000000000000000024696061952"',
    ("format_int", "[-15.9,16]"): '"-f"',
    ("to_number", '["2.50"]'): "2.50",
    ("to_number", '["1e400"]'): "undefined",
    ("to_number", '["inf"]'): "undefined",
    ("json.marshal", "[[1.0,1e2,2.50,-0,1E5]]"): '"[1.0,1e2,2.50,-0,1E5]"',
    ("units.parse", '["1m"]'): "0.0010000000",
    ("units.parse", '["1.5Ki"]'): "1536",
    ("units.parse_bytes", '["1.5GiB"]'): "1610612736",
}


@pytest.mark.parametrize(("call", "answer"), GOLDEN.items())
def test_odd_answers(call: tuple[str, str], answer: str) -> None:
    assert ours(*call) == answer


def test_opa_gives_the_odd_answers(tmp_path: Path) -> None:
    golden: dict[str, list[str]] = {}
    for name, arguments in GOLDEN:
        golden.setdefault(name, []).append(arguments)
    assert differences(golden, tmp_path) == []


AMOUNTS = ("1", "10", "1.5", "", ".5", "5.", "-3", "+3", "1e3", "1E-3", "1e", "0010", "1.2.3", "1-2", "-", "9" * 25)
UNITS = (*"kKmMgtpeEbB", "", "Ki", "ki", "KB", "kib", "Mi", "mb", "GiB", "ti", "Pi", "EB", "ei", " k", '"')


def test_quantities_as_opa_reads_them(tmp_path: Path) -> None:
    texts = [encode([amount + unit]) for amount in AMOUNTS for unit in UNITS]
    assert differences({"units.parse": texts, "units.parse_bytes": texts}, tmp_path) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("+5", 5), ("007", 7), ("1_000", 1000), (".5", 0.5), ("5.", 5), ("0x1p4", 16), ("-.5e1", -5), ("0X1.8P-1", 0.75)],
)
def test_text_that_go_reads_as_a_number(text: str, value: float) -> None:
    assert equal(BUILTINS["to_number"](text), value)


@pytest.mark.parametrize("text", ["", "-", "e5", "1e", "1__0", "_1", "0x1", "0b1", " 1", "1,5", "NaN", "١", "1e308000"])
def test_text_that_is_no_number(text: str) -> None:
    assert BUILTINS["to_number"](text) is UNDEFINED


@given(st.decimals(allow_nan=False, allow_infinity=False).filter(lambda held: abs(held.adjusted()) < 30_000).map(str))
def test_a_number_keeps_its_text(text: str) -> None:
    assert encode(number(text)) == text
    assert encode(decode(f"[{text}]")) == f"[{text}]"


@pytest.mark.parametrize(
    ("text", "found"), [("2", 2), ("2.00", 2), ("-0", 0), ("2e0", None), ("2.5", None), ("1e3", None)]
)
def test_the_integers_that_opa_sees(text: str, found: int | None) -> None:
    assert small(number(text)) == found


HUGE = 10 ** (MAX_DIGITS - 1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mul", [HUGE, HUGE]),
        ("plus", [Numeral("1e30000"), 1]),
        ("plus", [Numeral("1e-30000"), 0.5]),
        ("bits.lsh", [1, 10**9]),
        ("product", [[HUGE] * 1000]),
        ("product", [[0.5, *([HUGE] * 2)]]),
        ("numbers.range", [0, 10**9]),
        ("numbers.range", [HUGE, -HUGE]),
        ("format_int", [Numeral("1e30000"), 10]),
        ("units.parse", ["1e999999"]),
        ("units.parse_bytes", ["1e999999E"]),
        ("units.parse", ["1" * 100_000]),
        ("to_number", ["1" * 100_000]),
    ],
)
def test_growth_is_bounded(name: str, arguments: list[object]) -> None:
    assert BUILTINS[name](*arguments) is UNDEFINED


@given(st.sampled_from(sorted({*TWO, *ONE, *OF_ARRAYS, "format_int", "numbers.range_step", "sort"})), st.data())
def test_any_argument_has_an_answer(name: str, data: st.DataObject) -> None:
    plain = st.sampled_from([*ODD, *OTHERS, "1", "-7"]).map(decode)
    one = st.one_of(plain, st.just(RegoSet([1, 0.5])), st.lists(plain, max_size=3))
    arity = 3 if name == "numbers.range_step" else 2 if name in TWO or name == "format_int" else 1
    BUILTINS[name](*(data.draw(one) for _ in range(arity)))
