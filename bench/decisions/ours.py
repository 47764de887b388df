"""Our engine: the compiled policy in this process, asked as the gateway asks it."""

from __future__ import annotations

from typing import Any

from bench.decisions.case import Case
from policy.rego import UNDEFINED, compile_program
from policy.rego.values import from_python, to_python

NOW = 1_800_000_000 * 1_000_000_000  # nanoseconds since 1970


class Ours:
    """Nothing is remembered of one input for the next; what an answer depended on is recorded with it."""

    def __init__(self, case: Case):
        program = compile_program(case.sources, [case.entrypoint])
        self._evaluate = program.evaluator(case.entrypoint)
        self._cache = program.cache()  # of rules that read data alone
        self._data = from_python(case.data)

    def ask(self, document: Any) -> Any:
        """What is timed: an answer and the trace of what it read."""
        return self._evaluate(document, self._data, NOW, self._cache.entries)

    def answer(self, document: Any) -> Any:
        """The answer as JSON; None where it is undefined."""
        found = self.ask(document)[0]
        return None if found is UNDEFINED else to_python(found)
