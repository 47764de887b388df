"""Decisions: blocks in the words of CrowdSec's local API (its swagger description, version 1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from policy import BlockPolicy, Target

ORIGIN = "portcullis"
TYPE = "ban"
SCOPES = {"address": "Ip", "range": "Range"}
_SHORTEST = 1.0  # seconds: an ipset takes whole seconds, and none at all for ever
_SCENARIO = 200  # characters of a block's reason


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One item of an answer."""

    id: int  # the same as long as it is about the same address or range
    origin: str
    type: str
    scope: str  # "Ip" or "Range"
    value: str
    duration: str  # what remains, as Go writes it
    scenario: str


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of the stream. A bouncer deletes before it adds; null is nothing."""

    new: list[Decision] | None
    deleted: list[Decision] | None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which blocks a bouncer wants to hear of; an empty part means all of them. Words and scopes are in lower case."""

    scopes: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    containing: tuple[str, ...] = ()
    not_containing: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Filters:
        """From the parameters of a request."""
        return cls(
            frozenset(_listed(parameters, "scopes", str.lower)),
            frozenset(_listed(parameters, "origins", str)),
            _listed(parameters, "scenarios_containing", str.lower),
            _listed(parameters, "scenarios_not_containing", str.lower),
        )

    def take(self, block: BlockPolicy) -> bool:
        """Whether a bouncer with these hears of a block."""
        scenario = _scenario(block).lower()
        return (
            (not self.scopes or SCOPES[block.target.kind].lower() in self.scopes)
            and (not self.origins or ORIGIN in self.origins)
            and (not self.containing or any(word in scenario for word in self.containing))
            and not any(word in scenario for word in self.not_containing)
        )


def ban(block: BlockPolicy, now: float) -> Decision:
    """A block for as long as it has still to live (`now`: Unix seconds)."""
    left = max(_SHORTEST, block.remaining(now))
    return _decision(block.target, _go_duration(left), _scenario(block))


def no_more(target: Target) -> Decision:
    """That nothing stands on a target."""
    return _decision(target, _go_duration(0.0), "")


def _decision(target: Target, duration: str, scenario: str) -> Decision:
    number = int.from_bytes(hashlib.blake2b(target.value.encode(), digest_size=6).digest())  # fits a double
    scope = SCOPES[target.kind]
    return Decision(
        id=number, origin=ORIGIN, type=TYPE, scope=scope, value=target.value, duration=duration, scenario=scenario
    )


def _scenario(block: BlockPolicy) -> str:
    return block.cause.reason[:_SCENARIO]


def _go_duration(seconds: float) -> str:
    # Always with a fraction: the pattern of CrowdSec's Lua library wants one.
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest:.3f}s"


def _listed(parameters: Mapping[str, str], name: str, form: Callable[[str], str]) -> tuple[str, ...]:
    words: Iterable[str] = parameters.get(name, "").split(",")
    return tuple(form(word.strip()) for word in words if word.strip())
