"""`python -m tests.conformance.opa`: OPA's own suite against the compiler. The last line is JSON; the exit status is 1
where a case starts or stops failing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.conformance.opa import oracle, suite
from tests.conformance.opa.known import Known, read_known
from tests.conformance.opa.oracle import Case
from tests.conformance.opa.regopy_plans import plans


@dataclass
class Count:
    """Outcomes of one front end's plans."""

    name: str
    passed: int = 0
    refused: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # by case: what came of it
    unplanned: dict[str, str] = field(default_factory=dict)  # by case: what the front end said

    def add(self, case: Case, outcome: suite.Outcome) -> None:
        """Note one case that was run."""
        if outcome.passed:
            self.passed += 1
        else:
            self.failed[case.id] = outcome.got

    def figures(self) -> dict[str, int]:
        """As the last line has them."""
        figures = {"passed": self.passed, "failed": len(self.failed), "refused": self.refused}
        return {"total": sum(figures.values()), **figures}


def main(arguments: Sequence[str]) -> int:
    """Run the suite."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.opa", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", help="cases whose note or file has this text, failures in full")
    parser.add_argument("--failing", action="store_true", help="list every failing case, known or not")
    asked = parser.parse_args(arguments)
    cases = [case for case in oracle.suite() if not asked.only or asked.only in case.id or asked.only in case.file]
    known = read_known()
    counts = [_opa(cases, known), _regopy(cases, known)]
    by_id = {case.id: case for case in cases}
    if asked.only or asked.failing:
        for count in counts:
            _list(count, by_id, in_full=bool(asked.only))
    surprises = [line for count in counts for line in _surprises(count, known, by_id)]
    print(*surprises, sep="\n", end="\n" if surprises else "")
    opa, regopy = counts
    print(json.dumps({**opa.figures(), "regopy": {**regopy.figures(), "unplanned": len(regopy.unplanned)}}))
    return 1 if surprises else 0


def _opa(cases: Sequence[Case], known: Known) -> Count:
    count = Count("opa")
    for case in cases:
        if suite.builtins(case) & known.refused.keys():
            count.refused += 1
        else:
            count.add(case, suite.by_opa(case))
    return count


def _regopy(cases: Sequence[Case], known: Known) -> Count:
    count = Count("regopy")
    askable = []
    for case in cases:
        if suite.builtins(case) & known.refused.keys():
            count.refused += 1
        elif suite.entrypoint(case) and case.modules:
            askable.append(case)
        else:
            count.unplanned[case.id] = "no query that an entry point answers"
    for case, answer in zip(askable, plans(map(_request, askable)), strict=True):
        if "plan" in answer:
            count.add(case, suite.by_regopy(case, answer["plan"]))
        else:
            count.unplanned[case.id] = " ".join(answer["error"].split())[:200]
    return count


def _request(case: Case) -> dict[str, object]:
    modules = {f"module-{index}.rego": text for index, text in enumerate(case.modules)}
    return {"modules": modules, "entrypoints": [suite.entrypoint(case)]}


def _surprises(count: Count, known: Known, cases: Mapping[str, Case]) -> list[str]:
    parts = [("fails", count.failed, getattr(known, count.name))]
    if count.name == "regopy":
        parts.append(("is not planned", count.unplanned, known.unplanned))
    found = []
    for word, now, before in parts:
        found += [
            f"{count.name}: {word}: {name} ({cases[name].file}): {now[name][:300]}"
            for name in now
            if name not in before
        ]
        found += [f"{count.name}: no longer {word}: {name}" for name in before if name in cases and name not in now]
    return found


def _list(count: Count, cases: Mapping[str, Case], *, in_full: bool) -> None:
    for name, got in count.failed.items():
        case = cases[name]
        print(f"\n==== {count.name}: {case.file}: {name}")
        if in_full:
            print(f"query: {case.query}", *case.modules, f"data: {case.data}", f"input: {case.input}", sep="\n")
            print(f"strict: {case.strict}  sort_bindings: {case.sort_bindings}")
        print(f"want:  {case.want_error or case.want_result}\ngot:   {got[:2000]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
