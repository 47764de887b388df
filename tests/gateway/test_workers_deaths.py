"""Judges killed, stopped and starved under load, and a gateway that dies: nobody answers by what was before, and one
that was killed is there again within a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from gateway.edge import judge_socket
from tests.gateway.edge_rig import until
from tests.gateway.issuer_rig import LocalIssuer
from tests.gateway.workers_rig import ROOT, Caller, Site, configuration, judges, rules, site, token, written

KILLS = 20
BACK = 1.0  # seconds
ABSENT = (OSError, EOFError)


async def _asks(socket: Path, shown: str, statuses: list[int]) -> None:
    """Again and again, whoever is there."""
    with Caller(socket) as caller:
        while True:
            try:
                statuses.append((await caller.ask(shown)).status)
            except ABSENT:
                await asyncio.sleep(0.001)


@pytest.mark.prove
async def test_a_judge_that_is_killed_costs_no_wrong_answer_and_is_back_within_a_second(
    tmp_path: Path, issuer: LocalIssuer
) -> None:
    async with site(tmp_path, issuer) as bank:
        good, blocked = bank.token("good"), bank.token("blocked")
        accepted = await bank.operations.add_block("principal", "person:blocked", 600.0, "test", "jo", True)
        assert accepted["outcome"] == "accepted"
        let_in, kept_out = list[int](), list[int]()
        async with asyncio.TaskGroup() as tasks:
            asking = [
                tasks.create_task(_asks(caller.socket, shown, statuses))
                for caller in bank.callers
                for shown, statuses in ((good, let_in), (blocked, kept_out))
            ]
            seconds = [await _killed(bank, number % 2 + 1, good) for number in range(KILLS)]
            for task in asking:
                task.cancel()
    assert set(let_in) == {200}
    assert set(kept_out) == {403}
    asked = len(let_in) + len(kept_out)
    sys.stderr.write(f"{asked} answers; back in {statistics.median(seconds):.3f} s, {max(seconds):.3f} s at most\n")
    assert max(seconds) < BACK


async def _killed(bank: Site, number: int, shown: str) -> float:
    """SIGKILL a judge. Seconds until there is another one that answers under its number."""
    assert bank.gateway.replicas is not None
    pid = bank.gateway.replicas.pids()[number]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    with Caller(bank.callers[number].socket) as caller:

        async def back() -> bool:
            assert bank.gateway.replicas is not None
            return bank.gateway.replicas.pids().get(number) not in (None, pid) and await _is(caller, shown, 200)

        await until(back, "a judge is there again")
    return time.monotonic() - began


async def test_a_judge_that_does_not_take_what_it_is_told_is_ended_and_counts_no_more(
    tmp_path: Path, issuer: LocalIssuer
) -> None:
    async with site(tmp_path, issuer) as bank:
        assert bank.gateway.replicas is not None
        pid = bank.gateway.replicas.pids()[1]
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        while bank.gateway.replicas.pids().get(1) == pid:
            bank.gateway.policies.pdp.put_data(("closed", "person:large"), "x" * 100_000)
            assert time.monotonic() - began < 5, "it is full, and still told"
        bank.gateway.policies.pdp.put_data(("closed", "person:alice"), True)
        await bank.live()
        assert bank.gateway.replicas.pids()[1] != pid
        answers = await bank.everybody(bank.token("alice"))
        assert {said.status for said in answers} == {403}


async def test_a_judge_without_a_pulse_is_ended(tmp_path: Path, issuer: LocalIssuer) -> None:
    async with site(tmp_path, issuer) as bank:
        assert bank.gateway.replicas is not None
        pid = bank.gateway.replicas.pids()[2]
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: bank.gateway.replicas is not None and bank.gateway.replicas.pids().get(2) != pid, "ended")
        await bank.live()


@asynccontextmanager
async def _gateway(folder: Path, file: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "console.cli", "run", "gateway", "-c", str(file)]
    with (folder / "gateway.log").open("ab") as log:
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=log, env=environment)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _judge_pids(parent: int) -> list[int]:
    text = await asyncio.to_thread(Path(f"/proc/{parent}/task/{parent}/children").read_text)
    return [int(word) for word in text.split()]


@pytest.mark.prove
async def test_judges_of_a_gateway_that_was_killed_answer_nobody(tmp_path: Path, issuer: LocalIssuer) -> None:
    """One of them is stopped meanwhile: it wakes up beside another gateway with other blocks."""
    run, file = written(tmp_path, configuration(tmp_path, issuer, workers=3))
    shown = token(issuer, "alice")
    first, second = Caller(judge_socket(run, 1)), Caller(judge_socket(run, 2))
    async with judges(tmp_path, file) as parent:
        async with _gateway(tmp_path, file) as gateway:
            for caller in (first, second):
                await until(lambda caller=caller: _is(caller, shown, 200), "judges answer")  # type: ignore[misc]
            (sleeper, *_) = await _judge_pids(parent.pid)
            os.kill(sleeper, signal.SIGSTOP)
            gateway.kill()
            await gateway.wait()
        (tmp_path / "bank.rego").write_text(rules("v1").replace('"allow"', '"deny"'))
        async with _gateway(tmp_path, file):
            await until(lambda: _ready(run), "the other gateway answers")
            # Whoever of the old ones has a question in hand when it wakes up must not answer it.
            questions = [asyncio.create_task(caller.ask(shown)) for caller in (first, second)]
            await asyncio.sleep(0.05)
            os.kill(sleeper, signal.SIGCONT)
            told = await asyncio.gather(*questions, return_exceptions=True)
            assert not [said for said in told if not isinstance(said, ABSENT) and getattr(said, "status", 0) == 200]
            for caller in (first, second):
                await until(lambda caller=caller: _is(caller, shown, 403), "judges of the new gateway")  # type: ignore[misc]
    first.close()
    second.close()


async def _is(caller: Caller, shown: str, status: int) -> bool:
    try:
        return (await caller.ask(shown)).status == status
    except ABSENT:
        return False


async def _ready(run: Path) -> bool:
    try:
        async with (
            aiohttp.ClientSession("http://p", connector=aiohttp.UnixConnector(str(run / "admin.sock"))) as session,
            session.get("/healthz") as answer,
        ):
            return bool(json.loads(await answer.text()))
    except (aiohttp.ClientError, OSError):
        return False
