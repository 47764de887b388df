"""Hostile policies: any text, plan or document is a policy that can be asked, or an error that names what is wrong."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy import Bundle, PolicyError, Revision, compile_bundle, encode_json, read_bundle
from policy.rego.builtins import ARITIES
from policy.rego.builtins.outside import REFUSED
from policy.rego.check import checked
from policy.rego.decode import InvalidPlan, UnsupportedStatement, read_plan
from policy.rego.plan import Dialect, Plan
from policy.rego.regopy_build import regopy_plan

DIALECTS: tuple[Dialect, ...] = ("opa", "regopy")
RULES = """package portcullis.access

import rego.v1

default allowed := false

allowed if {
    some id in input.segments
    data.accounts[id].owner == input.principal.id
}

decision := {"effect": "allow", "reasons": []} if allowed
"""
WORDS = ["if", "some", "every", "in", "not", "with", "as", "default", "else", ":=", "==", "{", "}", "[", "]", "(", ")"]
WORDS += [
    "data",
    "input",
    "_",
    "|",
    "import rego.v1",
    '"',
    "`",
    "#",
    "\n",
    "%",
    "\\u0000",
    "\0",
    "é",
    "1e999",
    "a.b",
    ":",
]
few = settings(max_examples=12)  # each example is a child process

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def compiled(source: str) -> None:
    """Compile, and if it can go live, ask it: an answer or an evaluation error, nothing else."""
    try:
        revision = compile_bundle(Bundle({"a.rego": source}, {}))
    except PolicyError as error:
        problems = error.problems
    else:
        assert isinstance(revision, Revision)
        return
    assert problems
    assert all(problem.line >= 0 and problem.column >= 0 and problem.message for problem in problems)


@few
@given(st.text(max_size=60))
@example("package portcullis.access\n\nf(x) := 1\n\nf(x, y) := 2\n")
@example("\0")
@example("package portcullis.access\n\ndecision := " + "[" * 2000 + "]" * 2000)
def test_any_text(source: str) -> None:
    """Any text is a Revision or a PolicyError that says what is wrong with it."""
    compiled(source)


@few
@given(st.integers(0, len(RULES)), st.integers(0, 12), st.lists(st.sampled_from(WORDS), max_size=3))
def test_a_good_module_damaged(at: int, removed: int, put: list[str]) -> None:
    """The same near a module that is good."""
    compiled(RULES[:at] + " ".join(put) + RULES[at + removed :])


@cache
def good_plan() -> dict[str, Any]:
    return regopy_plan(checked({"m0.rego": RULES}, ARITIES, REFUSED), ["portcullis/access/decision"])


def planned(document: Any) -> None:
    for dialect in DIALECTS:
        with suppress(InvalidPlan, UnsupportedStatement):
            assert isinstance(read_plan(document, dialect), Plan)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to everything in a document."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, held in inner:
        yield from places(held, (*path, step))


@given(values)
@example({"static": {}, "funcs": {}, "plans": {"plans": [{"name": [], "blocks": []}]}})
def test_any_json_as_a_plan(document: Any) -> None:
    """Any JSON is a plan, or InvalidPlan or UnsupportedStatement."""
    planned(document)
    planned({"static": document, "funcs": document, "plans": document})


@given(st.data(), values)
def test_a_good_plan_with_one_part_replaced(data: st.DataObject, value: Any) -> None:
    """The same for a plan that was good but for one value somewhere."""
    plan = copy.deepcopy(good_plan())
    *around, last = data.draw(st.sampled_from(list(places(plan))))
    inside: Any = plan
    for step in around:
        inside = inside[step]
    inside[last] = value
    planned(plan)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@given(
    data=st.binary(max_size=100)
    | st.text(alphabet="ab:-[]{}&*!|>'\"%@`#? \n\t0.1<~", max_size=60).map(str.encode)
    | values.map(lambda value: json.dumps(value).encode()),
    suffix=st.sampled_from(["json", "yaml"]),
)
@example(data=b"[" * 100_000, suffix="json")
@example(data=b"[" * 5000, suffix="yaml")
@example(data=b'{"a":' * 600 + b"1" + b"}" * 600, suffix="json")
@example(data=b'{"a":' + b"9" * 5000 + b"}", suffix="json")
@example(data=b"a: " + b"9" * 5000, suffix="yaml")
@example(data=b'{"a":NaN}', suffix="json")
@example(data=b'{"a":"\xff"}', suffix="json")
@example(data=b"a: .inf", suffix="yaml")
@example(data=b"a: 2020-01-01", suffix="yaml")
@example(data=b"a: !!python/object:os.system x", suffix="yaml")
@example(data=b"&a [*a]", suffix="yaml")
@example(data=b"a: &a {b: *a}", suffix="yaml")
@example(data=b"? [1]\n: 1", suffix="yaml")
@example(data=b"? {}\n: 1", suffix="yaml")
@example(data=b"a: 0b", suffix="yaml")
@example(data=b"a: 2020-99-99", suffix="yaml")
@example(data=b"a: !!binary x", suffix="yaml")
@example(data=b"<<: 1", suffix="yaml")
def test_any_data_document(folder: Path, data: bytes, suffix: str) -> None:
    """Any bytes are a document that can be written down again as JSON, or a PolicyError that names the file."""
    path = folder / f"data.{suffix}"
    path.write_bytes(data)
    try:
        bundle = read_bundle((), path)
    except PolicyError as error:
        files = {problem.file for problem in error.problems}
    else:
        files = {str(path)}
        assert json.loads(encode_json(bundle.data)) is not None
        assert bundle.revision
    assert files == {str(path)}


def test_a_document_that_multiplies_itself_is_refused_or_read_at_once(folder: Path) -> None:
    """YAML aliases make a few lines into a great many values; nobody waits for that."""
    path = folder / "laughs.yaml"
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 5)]
    path.write_text("\n".join(["a0: &a0 [x]", *levels]))
    with pytest.raises(PolicyError, match="alias"):
        read_bundle((), path)
