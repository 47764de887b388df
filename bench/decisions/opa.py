"""OPA: its engine in Go, measured by its own `opa bench`, and its server.

A *mode* is how OPA is given the policy and keeps the data: a bundle as it is or optimised by `opa build -O`, and the
store as it is or built for reading.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from opa_client import AsyncOpaClient

from bench.decisions.case import Case
from bench.result import CannotRun
from bench.system import process, until
from deploy.demo.ports import free_port
from policy.opa_check import find_opa

LEVELS = ("0", "1", "2")  # of `opa build -O`
FAST_STORE = "--optimize-store-for-read-speed"
STORES = ("", FAST_STORE)
# One thread and no collector: both make `opa bench` faster, which stops and counts all memory around each evaluation.
GO = {"GOMAXPROCS": "1", "GOGC": "off", "GOMEMLIMIT": "4GiB"}
_TIMER = "histogram_timer_rego_query_eval_ns"


@dataclass(frozen=True)
class Mode:
    """One way of running OPA's engine."""

    level: str
    store: str

    def __str__(self) -> str:
        return " ".join(filter(None, (f"opa build -O={self.level}", self.store)))


@dataclass(frozen=True)
class Found:
    """What `opa bench` says of an evaluation, in microseconds; the histogram is over single evaluations."""

    mean: float
    median: float
    best: float


class Opa:
    """OPA on one case; its files lie in a folder of its own."""

    def __init__(self, case: Case, folder: Path):
        self.binary = binary()
        self.modes = [Mode(level, store) for level in LEVELS for store in STORES]
        self._case = case
        self._folder = folder
        source = folder / "source"
        source.mkdir(parents=True)
        for name, text in case.sources.items():
            (source / Path(name).name).write_text(text)
        (source / "data.json").write_text(json.dumps(case.data))
        for level in LEVELS:
            self._run("build", "-b", str(source), "-O", level, "-e", case.entrypoint, "-o", str(self.bundle(level)))

    def bundle(self, level: str) -> Path:
        """The bundle of an optimisation level."""
        return self._folder / f"bundle-{level}.tar.gz"

    def answers(self, level: str) -> list[Any]:
        """Every answer by `opa eval`, as JSON; None where it is undefined."""
        query = f"{{i: answer | some i, document in input; answer := {self._case.query} with input as document}}"
        path = self._input(self._case.inputs)
        said = json.loads(self._run("eval", "-b", str(self.bundle(level)), "-i", path, query))
        found = said["result"][0]["expressions"][0]["value"]
        return [found.get(str(number)) for number in range(len(self._case.inputs))]

    def bench(self, document: Any, mode: Mode) -> Found:
        """Let OPA measure itself on one input, for some seconds."""
        flags = ["-b", str(self.bundle(mode.level)), "-i", self._input(document), *filter(None, [mode.store])]
        said = json.loads(self._run("bench", "--format", "json", "--fail=false", *flags, self._case.query))
        extra = said["Extra"]
        return Found(said["T"] / said["N"] / 1000, extra[f"{_TIMER}_median"] / 1000, extra[f"{_TIMER}_min"] / 1000)

    def best_mode(self, documents: Sequence[Any]) -> Mode:
        """The mode with the best evaluations, all documents together."""
        return min(self.modes, key=lambda mode: sum(self.bench(document, mode).best for document in documents))

    @asynccontextmanager
    async def serve(self, mode: Mode) -> AsyncIterator[AsyncOpaClient]:
        """A server with the case's bundle, and a client with one open connection to it."""
        port, flags = free_port(), [*filter(None, [mode.store]), "--log-level", "error", "--skip-version-check"]
        address = f"127.0.0.1:{port}"
        command = (self.binary, "run", "--server", "--addr", address, *flags, "-b", str(self.bundle(mode.level)))
        async with process(*command) as child:
            await until(lambda: _healthy(address), "opa run", child)
            async with AsyncOpaClient(host="127.0.0.1", port=port, retries=0, timeout=10) as client:
                yield client

    def _input(self, document: Any) -> str:
        path = self._folder / "input.json"
        path.write_text(json.dumps(document))
        return str(path)

    def _run(self, *arguments: str) -> bytes:
        done = subprocess.run([self.binary, *arguments], capture_output=True, check=False, env=os.environ | GO)
        if done.returncode:
            raise CannotRun(f"opa {arguments[0]}: {(done.stderr or done.stdout).decode(errors='replace')[-500:]}")
        return done.stdout


def binary() -> str:
    """Path of OPA. Raises CannotRun if there is none."""
    found = find_opa()
    if found is None:
        raise CannotRun("needs opa: run `make peers`")
    return str(found)


def release() -> str:
    """OPA's version."""
    said = subprocess.run([binary(), "version"], capture_output=True, check=True, text=True).stdout
    return said.splitlines()[0].removeprefix("Version: ")


async def _healthy(address: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/health?bundles") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
