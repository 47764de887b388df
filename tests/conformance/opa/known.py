"""What is known not to pass, as `known.yaml` says it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KNOWN = Path(__file__).with_name("known.yaml")


@dataclass(frozen=True, slots=True)
class Departure:
    """A kind of difference between OPA's engine and OPA's plan, with an example: what `data.test.p` is for each, as
    JSON, "undefined" or the code of an error.
    """

    reason: str
    module: str
    engine: Any
    plan: Any
    random: Mapping[str, str] | None = None  # patterns of what excuses a random policy

    def excuses(self, engine: str, plan: str) -> bool:
        """Whether a difference is of this kind: each side is "value", "undefined" or an error's code."""
        if self.random is None:
            return False
        return bool(re.fullmatch(self.random["engine"], engine) and re.fullmatch(self.random["plan"], plan))


@dataclass(frozen=True, slots=True)
class Known:
    """Reasons: `refused` by builtin, the next three by case."""

    refused: Mapping[str, str]
    opa: Mapping[str, str]
    regopy: Mapping[str, str]
    unplanned: Mapping[str, str]
    engine: Sequence[Departure]


def read_known(file: Path = KNOWN) -> Known:
    """Read the list. Raises ValueError where a case is listed twice."""
    written = yaml.safe_load(file.read_text())
    opa, regopy, unplanned = (_by_case(written[part]) for part in ("opa", "regopy", "unplanned"))
    return Known(written["refused"], opa, regopy, unplanned, [Departure(**one) for one in written["engine"]])


def _by_case(reasons: Mapping[str, list[str]]) -> dict[str, str]:
    pairs = [(case, reason) for reason, cases in reasons.items() for case in cases]
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a case is listed twice")
    return found
