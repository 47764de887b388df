"""Guarded is what the SOC's own rules say of a block before it stands: they refuse and hold, and permit nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from policy.rego.values import UNDEFINED
from policy.response import read_as

_MOST = 20  # reasons of each sort that are kept


class Guarded(msgspec.Struct, frozen=True):
    """Reasons to refuse a block, and reasons that a second person has to look at it."""

    deny: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()


def read_guarded(deny: Any, hold: Any) -> Guarded:
    """What the policy says; undefined is nothing. Raises InvalidAnswer."""
    return Guarded(_reasons(deny), _reasons(hold))


def _reasons(answer: Any) -> tuple[str, ...]:
    return () if answer is UNDEFINED else read_as(answer, tuple[str, ...])[:_MOST]
