"""Semantic versions (semver.org 2.0.0)."""

from __future__ import annotations

import re
from typing import Any

from policy.rego.values import UNDEFINED

_NUMBER = r"(0|[1-9]\d*)"
_LABEL = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_LABEL}(?:\.{_LABEL})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?", re.ASCII
)


def is_valid(text: Any) -> bool:
    """Whether it is a version."""
    return type(text) is str and _VERSION.fullmatch(text) is not None


def _rank(found: re.Match[str]) -> tuple[Any, ...]:
    labels = found[4].split(".") if found[4] else []
    ranks = [(0, int(label), "") if label.isdecimal() else (1, 0, label) for label in labels]
    return int(found[1]), int(found[2]), int(found[3]), not labels, ranks


def compare(a: Any, b: Any) -> Any:
    """-1, 0 or 1; build metadata does not count."""
    if not is_valid(a) or not is_valid(b):
        return UNDEFINED
    left, right = (_rank(found) for text in (a, b) if (found := _VERSION.fullmatch(text)))
    return (left > right) - (left < right)


BUILTINS = {"semver.is_valid": is_valid, "semver.compare": compare}
