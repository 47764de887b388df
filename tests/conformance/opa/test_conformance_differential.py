"""Random policies: OPA and the compiler agree, and would be seen not to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings

from policy.rego import program, runtime, values
from policy.rego.builtins import BUILTINS
from policy.rego.decode import read_plan
from tests.conformance.opa.differential import Difference, differences
from tests.conformance.opa.known import Departure, read_known
from tests.conformance.opa.oracle import PLANNER, Oracle, Outcome
from tests.conformance.opa.policies import Policy, policies

PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"
CASES = 20_000 if PROVE else 300  # that OPA plans
WITHIN = 1_000  # cases, that a planted bug is found in
KNOWN = read_known()
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    if not PLANNER.exists():
        pytest.skip("needs opa")
    with Oracle() as oracle:
        yield oracle


def unknown(policy: Policy, oracle: Oracle) -> list[Difference]:
    """Differences that are not known. What is excused where errors are strict must not be there where they are not."""
    try:
        found = list(differences(policy, oracle))
    except ValueError:
        reject()
    if policy.strict and found and all(one.excused(KNOWN.engine) for one in found):
        return unknown(replace(policy, strict=False), oracle)
    return [one for one in found if not one.excused(KNOWN.engine)]


@pytest.mark.prove
@settings(max_examples=CASES, derandomize=not PROVE, database=None, suppress_health_check=CHECKS)
@given(policy=policies())
def test_the_compiler_agrees_with_opa(oracle: Oracle, policy: Policy) -> None:
    found = unknown(policy, oracle)
    assert not found, f"\n{found[0]}"


def one_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    def confused(a: Any, b: Any) -> bool:
        return a == b if type(a) in (int, bool) and type(b) in (int, bool) else values.equal(a, b)

    monkeypatch.setitem(runtime.NAMES, "equal", confused)
    monkeypatch.setitem(BUILTINS, "equal", confused)


def with_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runtime.NAMES, "upserted", lambda document, path, value: document)


def conflicts_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runtime.NAMES, "once", lambda before, value: before)


def sets_lack_their_last(monkeypatch: pytest.MonkeyPatch) -> None:
    def confused(value: Any) -> Any:
        scanned = list(values.scan(value))
        return scanned[:-1] if type(value) is values.RegoSet else scanned

    monkeypatch.setitem(runtime.NAMES, "scan", confused)


def negation_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(document: Any) -> Any:
        if isinstance(document, dict):
            return {name: without(held) for name, held in document.items()}
        if isinstance(document, list):
            return [without(one) for one in document if not (isinstance(one, dict) and one.get("type") == "NotStmt")]
        return document

    monkeypatch.setattr(program, "read_plan", lambda document, dialect: read_plan(without(document), dialect))


PLANTED = [with_is_forgotten, conflicts_are_forgotten, sets_lack_their_last]
RARELY_SEEN = [one_is_true, negation_is_forgotten] if PROVE else []


@pytest.mark.prove
@pytest.mark.parametrize("plant", [*PLANTED, *RARELY_SEEN])
def test_a_planted_bug_is_found(
    oracle: Oracle, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    plant(monkeypatch)

    @settings(
        max_examples=WITHIN,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=CHECKS,
    )
    @given(policies())
    def hunted(policy: Policy) -> None:
        assert not unknown(policy, oracle)

    with pytest.raises(AssertionError):
        hunted()


@pytest.mark.parametrize("known", KNOWN.engine, ids=lambda known: known.module.splitlines()[-1])
def test_where_opa_departs_from_its_own_plan_it_still_does(oracle: Oracle, known: Departure) -> None:
    (found,) = differences(Policy((known.module,), "data.test.p = x", "{}", ("",), strict=True), oracle)
    assert found.is_opas_own
    assert (said(found.engine), said(found.plan)) == (known.engine, known.plan)


def said(outcome: Outcome) -> Any:
    """As the list of what is known says it."""
    if isinstance(outcome, str):
        return outcome
    return values.to_python(outcome[0]["x"]) if outcome else "undefined"
