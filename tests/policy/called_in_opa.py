"""What the real OPA answers to calls of many builtins, whatever the types of their arguments, sets among them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policy.rego import json_text
from policy.rego.builtins import BUILTINS
from policy.rego.values import UNDEFINED, RegoSet, scan
from tests.policy.real_opa import opa_binary

Call = tuple[str, list[Any]]


def written(value: Any) -> str:
    """A value as Rego writes it."""
    if type(value) is RegoSet:
        return f"{{{', '.join(map(written, value))}}}" if len(value) else "set()"
    if type(value) is list:
        return f"[{', '.join(map(written, value))}]"
    if type(value) is dict:
        return f"{{{', '.join(f'{written(at)}: {written(held)}' for at, held in scan(value))}}}"
    return json.dumps(value) if type(value) in (str, bool, type(None)) else str(value)


def called_in_opa(calls: Sequence[Call], folder: Path) -> list[Any]:
    """Answers as JSON shows them, undefined where there is none. Arguments are hidden from OPA's type checker."""
    rules = []
    for index, (name, args) in enumerate(calls):
        hidden = ", ".join(f'object.get({{}}, "", {written(arg)})' for arg in args)
        rules.append(f"answers[{index}] := {name}({hidden})")
    module = folder / "calls.rego"
    module.write_text("package calls\n\n" + "\n".join(rules) + "\n")
    command = [str(opa_binary()), "eval", "--format", "json", "--data", str(module), "data.calls.answers"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[:1000]
    found = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    return [found.get(str(index), UNDEFINED) for index in range(len(calls))]


def hold_against_opa(calls: Sequence[Call], folder: Path) -> None:
    """Fails for the first call that OPA answers otherwise."""
    for (name, args), theirs in zip(calls, called_in_opa(calls, folder), strict=True):
        ours = as_json(BUILTINS[name](*args))
        assert same(ours, theirs), f"{name}{tuple(args)!r}: {ours!r}, but OPA says {theirs!r}"


def as_json(value: Any) -> Any:
    """An answer as JSON shows it, with U+FFFD for each byte that is no text."""
    return value if value is UNDEFINED else json.loads(json_text.encode(value))


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same; true is not 1."""
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)
