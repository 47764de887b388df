"""Builtins that reach outside the process. A policy that names one is refused at load, unless the configuration gives
it a safe form: an answer that is written down, so that no decision depends on the network or the environment.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.rego.values import UNDEFINED, RegoSet, from_python

_RUNTIME, _LOOKUP = "opa.runtime", "net.lookup_ip_addr"

REFUSED: Mapping[str, str] = {
    "http.send": "it calls other servers during a decision; put what they know into policy data",
    "providers.aws.sign_req": "it signs requests to a cloud; a decision needs no cloud's keys",
    _LOOKUP: "it asks the network for addresses; write the names that policy may look up into policy.outside.hosts",
    _RUNTIME: "it tells a policy this process's environment; write what policy may know into policy.outside.runtime",
    "rego.metadata.chain": "nothing resolved the annotations of the rule around it; plan this policy with OPA",
    "rego.metadata.rule": "nothing resolved the annotations of the rule around it; plan this policy with OPA",
}


@dataclass(frozen=True)
class Outside:
    """What policies may know of the world outside: the configured answers; None keeps a builtin refused.

    `runtime` is what `opa.runtime()` answers, a JSON-like object. `hosts` are the addresses of each name that
    `net.lookup_ip_addr` knows; another name is undefined. Raises TypeError or ValueError for anything else.
    """

    runtime: Mapping[str, Any] | None = None
    hosts: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        self.builtins()

    def builtins(self) -> dict[str, Callable[..., Any]]:
        """The safe forms, by name."""
        forms: dict[str, Callable[..., Any]] = {}
        if self.runtime is not None:
            forms[_RUNTIME] = _answering(from_python(dict(self.runtime)))
        if self.hosts is not None:
            forms[_LOOKUP] = _looking_up({_name(name): _addresses(found) for name, found in self.hosts.items()})
        return forms

    def refusals(self) -> dict[str, str]:
        """Why each builtin that stays refused is refused, by name."""
        forms = self.builtins()
        return {name: reason for name, reason in REFUSED.items() if name not in forms}


def _answering(value: Any) -> Callable[[], Any]:
    return lambda: value


def _looking_up(hosts: Mapping[str, RegoSet]) -> Callable[[Any], Any]:
    def builtin(name: Any) -> Any:
        if type(name) is not str:
            return UNDEFINED
        return hosts.get(_name(name)) or _literal(name)

    return builtin


def _name(name: str) -> str:
    return name.lower().removesuffix(".")


def _literal(text: str) -> Any:
    try:
        return _addresses([text])
    except ValueError:
        return UNDEFINED


def _addresses(texts: Sequence[str]) -> RegoSet:
    return RegoSet(str(ipaddress.ip_address(text)) for text in texts)
