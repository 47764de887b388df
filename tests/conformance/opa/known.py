"""What is known not to pass, as `known.yaml` says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

KNOWN = Path(__file__).with_name("known.yaml")


@dataclass(frozen=True, slots=True)
class Known:
    """Reasons: `refused` by builtin, the others by case."""

    refused: Mapping[str, str]
    opa: Mapping[str, str]
    regopy: Mapping[str, str]
    unplanned: Mapping[str, str]


def read_known(file: Path = KNOWN) -> Known:
    """Read the list. Raises ValueError where a case is listed twice."""
    written = yaml.safe_load(file.read_text())
    return Known(written["refused"], *(_by_case(written[part]) for part in ("opa", "regopy", "unplanned")))


def _by_case(reasons: Mapping[str, list[str]]) -> dict[str, str]:
    pairs = [(case, reason) for reason, cases in reasons.items() for case in cases]
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a case is listed twice")
    return found
