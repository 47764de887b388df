"""`python -m tests.conformance.opa`: OPA's own suite against the compiler. The last line is JSON; the exit status is 1
where a case starts or stops failing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from policy.problem import PolicyError
from policy.rego.builtins import ARITIES
from policy.rego.builtins.outside import REFUSED
from policy.rego.check import checked
from policy.rego.regopy_build import normal_forms
from tests.conformance.opa import oracle, suite
from tests.conformance.opa.known import Known, read_known
from tests.conformance.opa.oracle import Case
from tests.conformance.opa.regopy_plans import plans
from tests.conformance.opa.report import Count, surprises


def main(arguments: Sequence[str]) -> int:
    """Run the suite."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.opa", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", help="cases whose note or file has this text, failures in full")
    parser.add_argument("--failing", action="store_true", help="list every failing case, known or not")
    asked = parser.parse_args(arguments)
    if not oracle.PLANNER.exists():
        parser.error("needs opa: make peers")
    every = list(oracle.suite())
    cases = [case for case in every if (asked.only or "") in f"{case.file} {case.id}"]
    known = read_known()
    opa, regopy = by_opa(cases, known), by_regopy(cases, known)
    if asked.only or asked.failing:
        show("opa", opa, cases, in_full=bool(asked.only))
        show("regopy", regopy, cases, in_full=bool(asked.only))
    found = [*unexpected(opa, regopy, known, cases), *unheard_of(known, every)]
    print(*found, sep="\n", end="\n" if found else "")
    print(json.dumps({**opa.figures(), "regopy": {**regopy.figures(), "unplanned": len(regopy.unplanned)}}))
    return 1 if found else 0


def by_opa(cases: Sequence[Case], known: Known) -> Count:
    """Run cases with OPA's plans."""
    count = Count()
    for case in cases:
        if suite.builtins(case.plan) & known.refused.keys():
            count.refused += 1
        else:
            count.add(case.id, suite.by_opa(case))
    return count


def by_regopy(cases: Sequence[Case], known: Known) -> Count:
    """Run cases as policies go live without OPA: checked, in regopy's normal form, planned by regopy for the entry
    points that they ask for.
    """
    count = Count()
    askable = [case for case in cases if suite.entrypoint(case) and case.modules]
    count.unplanned = {case.id: "no entry point answers its query" for case in cases if case not in askable}
    requests: list[tuple[Case, dict[str, object]]] = []
    for case in askable:
        if suite.builtins(case.plan) & known.refused.keys():
            count.refused += 1
            continue
        try:
            requests.append((case, _request(case)))
        except PolicyError as error:
            count.unplanned[case.id] = error.problems[0].message
    for (case, _), answer in zip(requests, plans(request for _, request in requests), strict=True):
        if "plan" not in answer:
            count.unplanned[case.id] = " ".join(answer["error"].split())
        else:
            count.add(case.id, suite.by_regopy(case, answer["plan"]))
    return count


def _request(case: Case) -> dict[str, object]:
    modules = {f"module-{index}.rego": text for index, text in enumerate(case.modules)}
    normal = normal_forms(checked(modules, ARITIES, REFUSED))
    return {"modules": {name: one.text for name, one in normal.items()}, "entrypoints": [suite.entrypoint(case)]}


def unexpected(opa: Count, regopy: Count, known: Known, cases: Sequence[Case]) -> list[str]:
    """What is not as the list says."""
    run = {case.id for case in cases}
    return [
        *surprises("fails, planned by OPA", opa.failed, known.opa, run),
        *surprises("fails, planned by regopy", regopy.failed, known.regopy, run),
        *surprises("not planned by regopy", regopy.unplanned, known.unplanned, run),
    ]


def unheard_of(known: Known, every: Sequence[Case]) -> list[str]:
    """Cases that are listed, and that OPA's suite has not."""
    listed = {*known.opa, *known.regopy, *known.unplanned} - {case.id for case in every}
    return [f"no case of OPA's suite: {name}" for name in sorted(listed)]


def show(front_end: str, count: Count, cases: Sequence[Case], *, in_full: bool) -> None:
    """Print failing cases."""
    for case in (case for case in cases if case.id in count.failed):
        print(f"\n==== {front_end}: {case.file}: {case.id}")
        if in_full:
            print(f"query: {case.query}", *case.modules, f"data: {case.data}", f"input: {case.input}", sep="\n")
            print(f"strict: {case.strict}  sort_bindings: {case.sort_bindings}")
        print(f"want:  {case.want_error or case.want_result}\ngot:   {count.failed[case.id][:2000]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
