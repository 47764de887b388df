"""What `bench decision` is set up with: the same answers from every engine, and the same requests for any size."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.decisions import hard, opa, own, rust
from bench.decisions.case import Case, must_agree
from bench.decisions.ours import Ours
from bench.decisions.requests import KINDS, requests
from bench.decisions.starter import starter
from bench.result import CannotRun
from policy.opa_check import find_opa

FEW = 300  # requests


def _answers(case: Case) -> list[Any]:
    ours = Ours(case)
    return [ours.answer(document) for document in case.inputs]


def _agreeing(case: Case, folder: Path, level: str) -> list[rust.Form]:
    expected = _answers(case)
    must_agree(case, {"ours": expected, "OPA": opa.Opa(case, folder).answers(level)})
    return rust.agreeing(case, expected)[0]


@pytest.fixture
def peers() -> Iterator[None]:
    if find_opa() is None:
        pytest.skip("needs opa")
    pytest.importorskip("regorus", reason="needs gordon-to-regorus")
    yield
    gc.collect()  # regorus complains of whom another thread would free


@pytest.mark.usefixtures("peers")
def test_all_engines_say_the_same_of_the_starter_policy(tmp_path: Path) -> None:
    forms = _agreeing(starter(200, FEW), tmp_path / "starter", "2")
    assert {"interpreter, values", "machine"} <= {form.name for form in forms}


@pytest.mark.usefixtures("peers")
def test_all_engines_say_the_same_of_the_hard_policy(tmp_path: Path) -> None:
    assert _agreeing(hard.hard(), tmp_path / "hard", "1")


@pytest.mark.usefixtures("peers")
def test_all_engines_say_the_same_of_opas_own_policies(tmp_path: Path) -> None:
    try:
        cases = own.cases()
    except CannotRun as error:
        pytest.skip(str(error).partition(",")[0])
    chosen = [case for case in cases if case.name in {"concurrency", "partial_object_10", "authz_allow_10"}]
    assert len(chosen) == 3
    for case in chosen:
        assert _agreeing(case, tmp_path / case.name, "0"), case.name


def test_a_different_answer_is_no_agreement() -> None:
    case = starter(100, 2)
    with pytest.raises(CannotRun, match="input 1"):
        must_agree(case, {"ours": [{"effect": "allow"}, None], "OPA": [{"effect": "allow"}, {"effect": "deny"}]})


def test_a_larger_bank_is_asked_the_same() -> None:
    small, large = (starter(size, FEW) for size in (100, 1_000))
    assert _answers(small) == _answers(large)
    assert small.inputs != large.inputs


def test_the_requests_are_of_every_kind_and_outcome() -> None:
    assert {kind for kind, _ in requests(10_000)} == set(KINDS)
    effects = Counter((answer or {"effect": "none"})["effect"] for answer in _answers(starter(100, 1_000)))
    assert effects.keys() == {"allow", "deny", "step_up", "none"}
    assert 0.6 < effects["allow"] / 1_000 < 0.85
