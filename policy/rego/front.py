"""The front end's own process: modules as JSON on standard input, a plan or an error on standard output.

Run by path, never imported: regopy takes the whole process down on some malformed policies (a function declared with
one and with two parameters, for one), and prints its errors as it goes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import regopy


def plan(modules: dict[str, str], entrypoints: list[str]) -> dict[str, Any]:
    """`{"plan": …}` as rego-cpp writes it, or `{"error": text}` as it describes it."""
    regopy.set_default_log_level("None")
    interpreter = regopy.Interpreter()
    try:
        for name, source in modules.items():
            interpreter.add_module(name, source)
        bundle = interpreter.build(None, entrypoints)
        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder, "bundle")
            interpreter.save_bundle(str(saved), bundle)
            return {"plan": json.loads((saved / "plan.json").read_bytes())}
    except regopy.RegoError as error:
        return {"error": str(error)}


def main() -> None:
    """Answer one request; whatever the library prints goes to standard error."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    with answer:
        json.dump(plan(asked["modules"], asked["entrypoints"]), answer)


if __name__ == "__main__":
    main()
