"""A case, and whether engines agree on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.result import CannotRun


@dataclass(frozen=True)
class Case:
    """A policy with its data and inputs: JSON values, the same for every engine."""

    name: str
    sources: Mapping[str, str]  # by file name
    data: dict[str, Any]
    entrypoint: str  # "portcullis/access/decision"
    inputs: Sequence[Any]

    @property
    def query(self) -> str:
        """The entry point as Rego: "data.portcullis.access.decision"."""
        return f"data.{self.entrypoint.replace('/', '.')}"


def must_agree(case: Case, answers: Mapping[str, Sequence[Any]]) -> None:
    """All engines gave the same answers: JSON, sets as sorted arrays, None for undefined. Raises CannotRun."""
    (first, expected), *others = answers.items()
    for other, given in others:
        for number, (one, two) in enumerate(zip(expected, given, strict=True)):
            if one != two:
                said = f"{first} {one!r:.300}, {other} {two!r:.300}"
                raise CannotRun(f"{case.name}, input {number}: {said}")
