"""regorus, an engine in Rust, by its Python binding: an interpreter, and a machine for compiled programs.

Inputs that it takes as text are made beforehand, and answers that it gives as text are not read: it is timed for less
than a Python program would have to do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench.decisions.case import Case, must_agree
from bench.decisions.timing import p50, times
from bench.result import CannotRun

PACKAGE = "gordon-to-regorus"
UNDEFINED = '"<undefined>"'  # as it writes it


@dataclass(frozen=True)
class Form:
    """One way of asking. `ask` is what is timed; `read` makes JSON of what it gives, None of undefined."""

    name: str
    ask: Callable[[Any], Any]
    questions: Sequence[Any]
    read: Callable[[Any], Any]

    def answers(self) -> list[Any]:
        """Every answer, as JSON."""
        return [self.read(self.ask(question)) for question in self.questions]

    def times(self) -> list[int]:
        """Nanoseconds of each question."""
        return times(self.ask, self.questions)


def release() -> str:
    """The binding's version. Raises CannotRun if it is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError as error:
        raise CannotRun(f"needs {PACKAGE}: install the dependency group bench") from error


def agreeing(case: Case, expected: Sequence[Any]) -> tuple[list[Form], dict[str, str]]:
    """The forms that answer as expected, ready to be asked; what is wrong with the others, by name."""
    release()
    right: list[Form] = []
    wrong: dict[str, str] = {}
    for form in (*_interpreter(case), *_machine(case)):
        try:
            must_agree(case, {"ours": expected, "regorus": form.answers()})
            right.append(form)
        except Exception as error:  # the binding raises RuntimeError and TypeError, with a backtrace
            wrong[form.name] = str(error).partition("\n")[0]
    return right, wrong


def fastest(forms: Sequence[Form]) -> Form:
    """The form with the least median over all questions."""
    return min(forms, key=lambda form: p50(form.times()))


def _interpreter(case: Case) -> Iterator[Form]:
    import regorus

    engine = regorus.Engine()
    for name, source in case.sources.items():
        engine.add_policy(name, source)
    engine.add_data_json(json.dumps(case.data))

    def by_value(document: Any) -> Any:
        engine.set_input(document)
        return engine.eval_rule(case.query)

    def by_text(text: str) -> Any:
        engine.set_input_json(text)
        return engine.eval_rule_as_json(case.query)

    def by_query(text: str) -> Any:
        engine.set_input_json(text)
        return engine.eval_query_as_json(case.query)

    yield Form("interpreter, values", by_value, case.inputs, _arrays)
    yield Form("interpreter, JSON", by_text, _texts(case), _read)
    yield Form("interpreter, query", by_query, _texts(case), _value)


def _machine(case: Case) -> Iterator[Form]:
    import regorus

    machine, data = regorus.Rvm(), json.dumps(case.data)
    try:
        machine.load_program(regorus.Program.compile_from_modules(data, list(case.sources.items()), [case.query]))
    except RuntimeError:  # it compiles no packages
        return
    machine.set_data_json(data)

    def only(text: str) -> Any:
        machine.set_input_json(text)
        return machine.execute()

    def by_name(text: str) -> Any:
        machine.set_input_json(text)
        return machine.execute_entry_point(case.query)

    yield Form("machine", only, _texts(case), _read)
    yield Form("machine, entry point", by_name, _texts(case), _read)


def _texts(case: Case) -> list[str]:
    return [json.dumps(document) for document in case.inputs]


def _value(text: str) -> Any:
    said = json.loads(text)
    return said["result"][0]["expressions"][0]["value"] if said else None


def _read(text: str) -> Any:
    return None if text == UNDEFINED else json.loads(text)


def _arrays(value: Any) -> Any:
    """JSON of values that the binding gives, with sets of texts as sorted arrays."""
    if isinstance(value, dict):
        return {name: _arrays(held) for name, held in value.items()}
    return sorted(value) if isinstance(value, set) else value
