"""Semantic versions (semver.org 2.0.0), with or without a `v` before them. Their numbers are of 63 bits, as in OPA."""

from __future__ import annotations

import re
from typing import Any

from policy.rego.values import UNDEFINED

_LIMIT = 1 << 63
_NUMBER = r"(0|[1-9][0-9]*)"
_LABEL = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_LABELS = rf"(?:-({_LABEL}(?:\.{_LABEL})*))?"
_BUILD = r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_VERSION = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}{_LABELS}{_BUILD}")


def _parsed(text: Any) -> Any:
    """What versions are compared by, or undefined."""
    found = _VERSION.fullmatch(text) if type(text) is str else None
    if not found or any(len(number) > 19 or int(number) >= _LIMIT for number in found.group(1, 2, 3)):
        return UNDEFINED
    labels = found[4].split(".") if found[4] else []
    return *map(int, found.group(1, 2, 3)), not labels, [_rank(label) for label in labels]


def _rank(label: str) -> tuple[int, int, str, str]:
    """Numbers come before names, and a longer number is the larger one."""
    return (0, len(label), label, "") if label.isdecimal() else (1, 0, "", label)


def is_valid(text: Any) -> bool:
    """Whether it is a version."""
    return _parsed(text) is not UNDEFINED


def compare(a: Any, b: Any) -> Any:
    """-1, 0 or 1; build metadata does not count."""
    left, right = _parsed(a), _parsed(b)
    return UNDEFINED if left is UNDEFINED or right is UNDEFINED else (left > right) - (left < right)


BUILTINS = {"semver.is_valid": is_valid, "semver.compare": compare}
