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
            made = json.loads((saved / "plan.json").read_bytes())
            return {"plan": _with_builtins(made)}
    except regopy.RegoError as error:
        return {"error": str(error)}


def _with_builtins(made: dict[str, Any]) -> dict[str, Any]:
    """What regopy does not know for a builtin it plans as a function, which is given the documents: take them out."""
    named = made["static"].setdefault("builtin_funcs", [])
    known = {one["name"] for one in (*made["funcs"]["funcs"], *named)}
    waiting: list[Any] = [made]
    while waiting:
        held = waiting.pop()
        waiting.extend(held.values() if isinstance(held, dict) else held if isinstance(held, list) else ())
        if isinstance(held, dict) and held.get("type") == "CallStmt" and held["stmt"]["func"] not in known:
            held["stmt"]["args"] = held["stmt"]["args"][2:]
            named.append({"name": held["stmt"]["func"]})
    return made


def main() -> None:
    """Answer one request; whatever the library prints goes to standard error."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    with answer:
        json.dump(plan(asked["modules"], asked["entrypoints"]), answer)


if __name__ == "__main__":
    main()
