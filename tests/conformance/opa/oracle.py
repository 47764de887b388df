"""The real OPA behind lines of JSON: its own conformance suite with plans, and a judge of any policy.

`make peers` builds it from `planner/` into .peers/bin.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy.rego import numerals
from policy.rego.values import UNDEFINED, RegoSet, key

PLANNER = Path(__file__).parents[3] / ".peers" / "bin" / "opa-planner"


Outcome = list[dict[str, Any]] | str  # of a query: its bindings, or the code of an error


@dataclass(frozen=True, slots=True)
class Case:
    """A case of OPA's suite. Its results are JSON: sets are arrays there."""

    id: str  # the note, with a number where notes repeat
    file: str
    query: str
    modules: Sequence[str]
    plan: Mapping[str, Any]
    data: Any
    input: Any
    want_result: list[dict[str, Any]] | None
    want_error: str  # OPA's code, "" for none, "any" where the suite has only a text
    strict: bool
    sort_bindings: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What OPA makes of a policy: its plan, and for each input the bindings or the code of an error."""

    plan: Mapping[str, Any]
    outcomes: Sequence[Outcome]


def suite() -> Iterator[Case]:
    """Every v1 case, in the suite's order."""
    seen: dict[str, int] = {}
    with subprocess.Popen([PLANNER, "suite"], stdout=subprocess.PIPE) as child:
        assert child.stdout
        for line in child.stdout:
            written = json_values(line)
            note = str(written["note"])
            seen[note] = seen.get(note, 0) + 1
            yield _case(note if seen[note] == 1 else f"{note} ({seen[note]})", written)
    if child.returncode:
        raise RuntimeError(f"opa-planner suite: exit {child.returncode}")


def _case(name: str, written: Mapping[str, Any]) -> Case:
    term = written.get("input_term")
    return Case(
        id=name,
        file=written["file"],
        query=written["query"],
        modules=written.get("modules", ()),
        plan=written.get("plan", {}),
        data=written.get("data", {}),
        input=from_term(term) if term else written.get("input", UNDEFINED),
        want_result=written.get("want_result"),
        want_error=written.get("want_error_code", "any" if "want_error" in written else ""),
        strict=written.get("strict_error", False),
        sort_bindings=written.get("sort_bindings", False),
    )


class Oracle:
    """A child process that answers one policy after another. Use it in a `with`."""

    def __enter__(self) -> Oracle:
        self._child = subprocess.Popen([PLANNER, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate()

    def ask(self, modules: Sequence[str], query: str, data: str, inputs: Sequence[str], *, strict: bool) -> Answer:
        """Plan and evaluate, types not checked; `data` and `inputs` are JSON texts, "" for no input. It is 1970.
        Raises ValueError where OPA refuses the policy.
        """
        asked = json.dumps({"modules": modules, "query": query, "strict": strict, "untyped": True})
        documents = f'"data": {data}, "inputs": [{", ".join(f"[{given}]" for given in inputs)}]'
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(f"{asked[:-1]}, {documents}}}\n".encode())
        self._child.stdin.flush()
        answer = json_values(self._child.stdout.readline())
        if "invalid" in answer:
            raise ValueError(answer["invalid"])
        return Answer(answer["plan"], [_outcome(one) for one in answer["outcomes"]])


def _outcome(written: Mapping[str, Any]) -> Outcome:
    return written.get("error") or [{name: from_term(term) for name, term in one.items()} for one in written["result"]]


def json_values(text: str | bytes) -> Any:
    """Rego values of a JSON text of any depth; numbers keep their text."""
    return json.loads(text, parse_float=numerals.decimal, parse_int=numerals.integer)


def from_term(term: Mapping[str, Any]) -> Any:
    """The value of OPA's JSON form of a term: `{"type": "set", "value": [term, …]}` and so on."""
    value = term.get("value")
    match term["type"]:
        case "array":
            return [from_term(one) for one in value or ()]
        case "set":
            return RegoSet([from_term(one) for one in value or ()])
        case "object":
            return {key(from_term(name)): from_term(held) for name, held in value or ()}
        case "null":
            return None
        case _:
            return value
