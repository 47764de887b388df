"""What came of a suite: counts, and what is not as it is listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.conformance.opa.suite import Outcome


@dataclass
class Count:
    """Cases with one front end's plans."""

    passed: int = 0
    refused: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # what came of a case, by its id
    unplanned: dict[str, str] = field(default_factory=dict)  # what the front end said of a case, by its id

    def add(self, case: str, outcome: Outcome) -> None:
        """Count a case that was run."""
        if outcome.passed:
            self.passed += 1
        else:
            self.failed[case] = outcome.got

    def figures(self) -> dict[str, int]:
        """Total, passed, failed, refused; what is not planned is no part of the total."""
        figures = {"passed": self.passed, "failed": len(self.failed), "refused": self.refused}
        return {"total": sum(figures.values()), **figures}


def surprises(word: str, now: Mapping[str, str], known: Mapping[str, str], run: set[str]) -> Iterator[str]:
    """Of the cases that were run: those that do what is not known of them, then those that no longer do what is."""
    for case in sorted(run & now.keys() - known.keys()):
        yield f"{word}: {case}: {now[case][:300]}"
    for case in sorted(run & known.keys() - now.keys()):
        yield f"no longer {word}: {case}"
