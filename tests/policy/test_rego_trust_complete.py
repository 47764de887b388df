"""Every builtin of OPA 1.22 is implemented, or refused with a reason."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from policy.rego.builtins import ARITIES, BUILTINS
from policy.rego.builtins.outside import REFUSED, Outside
from tests.policy.real_opa import opa_binary

_STATEMENTS = {"assign", "eq", "print"}  # front ends make statements of them, and of `print` internal.print


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    """Declarations of OPA's builtins by name."""
    command = [str(opa_binary()), "capabilities", "--current"]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return {one["name"]: one["decl"] for one in json.loads(answer.stdout)["builtins"]}


def test_every_builtin_is_implemented_or_refused(known: dict[str, Any]) -> None:
    """None is left out, and none is both."""
    assert set(known) - set(BUILTINS) - set(REFUSED) == _STATEMENTS
    assert not set(BUILTINS) & set(REFUSED)
    assert all(REFUSED.values())


def test_arities_are_those_of_opa(known: dict[str, Any]) -> None:
    """Of all that both know, safe forms of what reaches outside among them."""
    safe = Outside(runtime={}, hosts={}).builtins()
    found = {**ARITIES, **{name: function.__code__.co_argcount for name, function in safe.items()}}
    expected = {name: len(decl.get("args", ())) for name, decl in known.items() if "variadic" not in decl}
    both = sorted(found.keys() & expected.keys())
    assert {name: found[name] for name in both} == {name: expected[name] for name in both}
