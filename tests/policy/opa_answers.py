"""What the real OPA answers to calls of builtins, to hold ours against."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from policy.rego.values import UNDEFINED, to_python
from tests.policy.real_opa import opa_binary


def opa_answers(builtin: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
    """Values of one builtin for many calls, all with as many arguments; UNDEFINED where OPA has an error."""
    arguments = ", ".join(f"call[{at}]" for at in range(len(calls[0])))
    query = f"{{at: value | some at, call in input; value := {builtin}({arguments})}}"
    command = [str(opa_binary()), "eval", "--format", "json", "--stdin-input", query]
    given = json.dumps([to_python(list(call)) for call in calls]).encode()
    answer = subprocess.run(command, input=given, capture_output=True, check=True, timeout=60)
    found = json.loads(answer.stdout)["result"][0]["expressions"][0]["value"]
    return [found.get(str(at), UNDEFINED) for at in range(len(calls))]
