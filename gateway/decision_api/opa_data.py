"""OPA's data API (`/v1/data/PATH`, OPA 1.22's REST API): any rule or document of the live revision by its path."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from gateway.decision_api.refused import Refused
from policy import UNDEFINED, Pdp, RegoSet, decision_id, too_deep

Answer = dict[str, Any]
Parameters = Mapping[str, Sequence[str]]  # of the URL's query

MAX_VALUES = 20_000  # in one result: to write one down takes a microsecond
_NO_INPUT = {"code": "api_usage_warning", "message": "'input' key missing from the request"}
_NOT_HERE = ("instrument", "rule_labels")  # they ask for more than is measured here
_EXPLANATIONS = frozenset({"notes", "fails", "full", "debug"})


class OpaData:
    """Answers questions about the paths below `paths`; `strict` is how the live revision treats a builtin's errors."""

    def __init__(self, pdp: Pdp, paths: Sequence[str], strict: bool, clock: Callable[[], float] = time.time) -> None:
        self._pdp = pdp
        self._paths = [_steps(path) for path in paths]
        self._strict = strict
        self._clock = clock

    def post(self, path: str, body: Any, parameters: Parameters) -> Answer:
        """The answer to a POST; `path` as it stands in the URL. The result in it is a Rego value, and absent where it
        is undefined. Raises Refused, EvaluationError and PolicyUnavailable.
        """
        if body is not None and type(body) is not dict:
            raise Refused(400, "body contains malformed input document: it must be an object")
        if any(name != "input" and name.lower() == "input" for name in body or ()):
            raise Refused(400, "body contains malformed input document: the name is 'input'")  # OPA reads it as such
        given = (body or {}).get("input")
        answer = self._answer(path, UNDEFINED if given is None else given, parameters)
        return answer if given is not None else {**answer, "warning": _NO_INPUT}

    def get(self, path: str, asked: Any, parameters: Parameters) -> Answer:
        """As `post`, for a GET; `asked` is the input, or UNDEFINED."""
        return self._answer(path, asked, parameters)

    def _answer(self, escaped: str, asked: Any, parameters: Parameters) -> Answer:
        self._refuse_what_differs(parameters)
        path = self._permitted(_steps(escaped))
        if any('"' in step for step in path):
            raise Refused(400, "a step of the path holds a quotation mark")
        if too_deep(asked):
            raise Refused(400, "input is nested too deep")
        answer: Answer = {"decision_id": decision_id()}
        if is_set(parameters, "provenance"):
            answer["provenance"] = {"bundles": {"portcullis": {"revision": self._pdp.revision}}}
        started = time.perf_counter_ns()
        result = self._pdp.evaluate([_term(step) for step in path], asked, self._clock())
        if is_set(parameters, "metrics"):
            answer["metrics"] = {"timer_rego_query_eval_ns": time.perf_counter_ns() - started}
        if result is not UNDEFINED:
            answer["result"] = _small_enough(result)
        return answer

    def _permitted(self, steps: tuple[str, ...]) -> tuple[str, ...]:
        if not any(steps[: len(path)] == path for path in self._paths):
            raise Refused(401, "request rejected by administrative policy")
        return steps

    def _refuse_what_differs(self, parameters: Parameters) -> None:
        for name in _NOT_HERE:
            if is_set(parameters, name):
                raise Refused(400, f"the parameter {name} is not answered here")
        if not _EXPLANATIONS.isdisjoint(parameters.get("explain", ())):
            raise Refused(400, "the parameter explain is not answered here")
        if is_set(parameters, "strict-builtin-errors") and not self._strict:
            raise Refused(400, "strict-builtin-errors holds for a whole revision here: policy.strict_builtin_errors")


def is_set(parameters: Parameters, name: str) -> bool:
    """Whether a parameter of OPA's is on: there without a value, or once with the value `true`."""
    values = list(parameters.get(name, ()))
    return values == [""] or any(value.lower() == "true" for value in values)


def _steps(escaped: str) -> tuple[str, ...]:
    return tuple(unquote(step) for step in escaped.split("/") if step)


def _term(step: str) -> str | int:
    """As OPA reads a step: a number is an index."""
    return int(step) if _INDEX.fullmatch(step) else step


_INDEX = re.compile(r"[0-9]{1,18}", re.ASCII)


def _small_enough(result: Any) -> Any:
    """The result. Raises Refused where to write it down would hold up everybody else."""
    level, values = [result], 1
    while level := [held for held in level if type(held) in _CONTAINERS]:
        values += sum(map(len, level))
        if values > MAX_VALUES:
            raise Refused(400, f"the result has more than {MAX_VALUES} values: ask for less of it")
        level = [inner for held in level for inner in (held.values() if type(held) is dict else held)]
    return result


_CONTAINERS = (list, dict, RegoSet)
