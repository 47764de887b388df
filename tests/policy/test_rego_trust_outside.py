"""Builtins that reach outside: refused by name and reason, or answered from what the configuration says."""

from __future__ import annotations

from typing import Any

import pytest

from policy.rego.builtins.outside import REFUSED, Outside
from policy.rego.values import UNDEFINED, RegoSet


def test_nothing_is_enabled_unless_the_configuration_says_so() -> None:
    assert Outside().builtins() == {}
    assert set(Outside().refusals()) == set(REFUSED) >= {"http.send", "opa.runtime", "net.lookup_ip_addr"}


def test_the_runtime_is_what_the_configuration_says_and_never_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    outside = Outside(runtime={"config": {"labels": {"zone": "eu"}}})
    assert outside.builtins()["opa.runtime"]() == {"config": {"labels": {"zone": "eu"}}}
    assert "opa.runtime" not in outside.refusals()
    assert "net.lookup_ip_addr" in outside.refusals()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("core.bank.example", RegoSet(["192.0.2.7", "2001:db8::7"])),
        ("CORE.bank.example.", RegoSet(["192.0.2.7", "2001:db8::7"])),
        ("192.0.2.99", RegoSet(["192.0.2.99"])),
        ("2001:DB8:0::1", RegoSet(["2001:db8::1"])),
        ("localhost", UNDEFINED),
        (7, UNDEFINED),
    ],
)
def test_names_are_looked_up_in_the_configured_table_only(name: Any, answer: Any) -> None:
    outside = Outside(hosts={"Core.bank.example": ["192.0.2.7", "2001:db8::7"]})
    assert outside.builtins()["net.lookup_ip_addr"](name) == answer


def test_a_wrong_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="not-an-address"):
        Outside(hosts={"a.example": ["not-an-address"]})
    with pytest.raises(TypeError):
        Outside(runtime={"when": object()})
