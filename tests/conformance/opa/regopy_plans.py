"""regopy's plans of many policies. One process loads it and forks for each policy: regopy may take its process down,
and does so on the second plan that it is asked for.

As a program: requests as JSON lines on standard input, answers on standard output; see `policy/rego/front.py`.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

FRONT = Path(__file__).parents[3] / "policy" / "rego" / "front.py"
SECONDS = 10  # longest that a plan may take


def plans(requests: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """`{"plan": …}` or `{"error": text}` for each `{"modules", "entrypoints"}`, in order."""
    text = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([sys.executable, __file__], input=text.encode(), stdout=subprocess.PIPE, check=True)
    yield from map(json.loads, done.stdout.splitlines())


def main() -> None:
    """Answer until the input ends; whatever the library prints goes nowhere."""
    plan = runpy.run_path(str(FRONT))["plan"]
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    for line in sys.stdin:
        made, to_parent = os.pipe()
        if not os.fork():
            os.close(made)
            _answer(plan, json.loads(line), to_parent)
        os.close(to_parent)
        with open(made, "rb") as pipe:  # noqa: PTH123 - a descriptor
            answer = pipe.read()
        os.wait()
        _write(answers, answer if answer.endswith(b"\n") else b'{"error": "the front end broke off"}\n')


def _answer(plan: Callable[..., dict[str, Any]], asked: dict[str, Any], to: int) -> None:
    signal.alarm(SECONDS)
    _write(to, json.dumps(plan(asked["modules"], asked["entrypoints"])).encode() + b"\n")
    os._exit(0)


def _write(to: int, text: bytes) -> None:
    while text:
        text = text[os.write(to, text) :]


if __name__ == "__main__":
    main()
