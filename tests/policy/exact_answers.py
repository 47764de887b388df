"""What the real OPA answers to calls of builtins, to the last digit: arguments and answers as JSON texts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from policy.rego.builtins import BUILTINS
from policy.rego.json_text import decode, encode
from policy.rego.values import UNDEFINED
from tests.policy.real_opa import opa_binary

INFIX = {"plus": "+", "minus": "-", "mul": "*", "div": "/", "rem": "%"}
INFIX |= {"equal": "==", "neq": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
Calls = Mapping[str, Sequence[str]]  # arguments of each call of a builtin, as the text of a JSON array


def differences(calls: Calls, folder: Path) -> list[str]:
    """Calls that OPA answers otherwise than ours, with both answers."""
    return [
        f"{name}{arguments}: OPA {theirs}, ours {mine}"
        for (name, arguments), theirs in zip(_each(calls), in_opa(calls, folder), strict=True)
        if (mine := ours(name, arguments)) != theirs
    ]


def ours(name: str, arguments: str) -> str:
    """Our answer as JSON text, `undefined` if there is none."""
    return _text(BUILTINS[name](*decode(arguments)))


def in_opa(calls: Calls, folder: Path) -> list[str]:
    """OPA's answers in the same form, for all builtins in turn. All calls of one have as many arguments."""
    (folder / "calls.rego").write_text(_module(calls))
    members = (f"{json.dumps(name)}: [{','.join(given)}]" for name, given in calls.items())
    (folder / "calls.json").write_text(f"{{{','.join(members)}}}")
    command = [str(opa_binary()), "eval", "--data", "calls.rego", "--input", "calls.json", "data.calls.all"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[:2000]
    groups = decode(done.stdout)["result"][0]["expressions"][0]["value"]
    return [_text(answer[0] if answer else UNDEFINED) for group in groups for answer in group]


def _text(answer: Any) -> str:
    return "undefined" if answer is UNDEFINED else encode(answer)


def _each(calls: Calls) -> Iterable[tuple[str, str]]:
    return ((name, arguments) for name, given in calls.items() for arguments in given)


def _module(calls: Calls) -> str:
    groups = (
        f"[[v | v := {_call(name, given[0])}] | some c in input[{json.dumps(name)}]]" for name, given in calls.items()
    )
    return "package calls\n\nall := [" + ", ".join(groups) + "]\n"


def _call(name: str, example: str) -> str:
    arguments = [f"c[{at}]" for at in range(len(decode(example)))]
    return f" {INFIX[name]} ".join(arguments) if name in INFIX else f"{name}({', '.join(arguments)})"
