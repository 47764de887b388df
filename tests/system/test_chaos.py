"""Chaos under load: judge, gateway and edge killed at any time. Nobody passes unjudged, the service is back within a
second of the respawn, and live streams are accounted for.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench.result import CannotRun
from bench.streams.caller import Caller
from tests.gateway.edge_rig import until
from tests.system.chaos_rig import WORKERS, Recovery, Site, site, started

PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"
KILLS = 50 if PROVE else 2  # of each kind
KINDS = ("edge", "gateway", "judge")
BACK = 1.0 if PROVE else 5.0  # seconds from the kill, the wait before the respawn included; proved on a quiet machine
FAIL_CLOSED = 2.0  # seconds within which all streams have ended
STREAMS = 5
SETTLED = 11.0 if PROVE else 0.0  # seconds of life; whose death is not forgiven after 10 waits ever longer for the next
FORGOTTEN = 0.25  # seconds after a gateway's death within which no answer of its is given any more
DEADLINE = 20.0  # seconds; a bound for a busy machine, not an expectation


@pytest.fixture
def wrk() -> None:
    if shutil.which("wrk") is None:
        pytest.skip("needs wrk")


async def _streams(here: Site) -> Caller:
    """Live streams, opened as soon as they are let in: a tether needs the gateway itself."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await here.streams(STREAMS)
            except (OSError, CannotRun):
                await asyncio.sleep(0.05)


async def _sessions(here: Site) -> set[str]:
    return {session["id"] for session in await here.told("/v1/sessions")}


async def _killed(here: Site, kind: str) -> Recovery:
    """A kill while streams live. All of them end with an edge or a gateway, none with a judge; the registry has exactly
    those that live.
    """
    watching, before = await _streams(here), await _sessions(here)
    assert len(before) == STREAMS
    began = time.monotonic()
    recovery = await here.killed(kind)
    if kind == "judge":
        assert len(watching.live) == STREAMS
        assert await _sessions(here) == before
    else:
        await watching.ended()
        assert max(watching.ends) - began < FAIL_CLOSED
        again = await _streams(here)
        after = await _sessions(here)
        assert len(after) == STREAMS
        assert not after & before
        again.close()
    watching.close()

    async def empty() -> bool:
        return not await _sessions(here)

    await until(empty, "nobody is held who has left")
    return recovery


async def _judges_after(here: Site, recovery: Recovery) -> float:
    async def all_answer() -> bool:
        return len(await here.judges()) == WORKERS - 1

    await until(all_answer, "all judges answer")
    return max(map(started, (await here.judges()).values())) - recovery.started


def _order() -> Iterator[str]:
    for _ in range(KILLS):
        yield from KINDS


def _told(recoveries: Sequence[Recovery]) -> None:
    for kind in KINDS:
        of_kind = [one for one in recoveries if one.kind == kind]
        for name in ("since_start", "since_kill"):
            took = sorted(getattr(one, name) for one in of_kind)
            sys.stderr.write(
                f"{kind} {name}: {len(took)} kills, median {statistics.median(took):.3f} s, worst {took[-1]:.3f} s\n"
            )


@pytest.mark.system
@pytest.mark.prove
@pytest.mark.usefixtures("wrk")
async def test_whatever_is_killed_under_load_nobody_passes_unjudged_and_service_is_back() -> None:
    recoveries: list[Recovery] = []
    judges: list[float] = []  # seconds from a gateway's start until the last of its judges was started
    async with site() as here:
        async with here.load():
            for kind in _order():
                if kind == KINDS[0] and recoveries:
                    lived = time.clock_gettime(time.CLOCK_BOOTTIME) - recoveries[-len(KINDS)].started
                    await asyncio.sleep(SETTLED - lived)
                recoveries.append(await _killed(here, kind))
                sys.stderr.write(f"{recoveries[-1]}, load {os.getloadavg()[0]:.1f}\n")
                if kind == "gateway":
                    judges.append(await _judges_after(here, recoveries[-1]))
        found = await here.found()
    _told(recoveries)
    sys.stderr.write(
        f"judges started after their gateway: median {statistics.median(judges):.3f} s, worst {max(judges):.3f} s\n"
    )
    sys.stderr.write(f"honest {dict(here.honest)}, forbidden {dict(here.forbidden)}, service {dict(found)}\n")
    assert set(found) == {"judged"}
    assert set(here.honest) <= {200, 503, 0}
    assert set(here.forbidden) <= {401, 403, 503, 0}
    assert max(one.since_kill for one in recoveries) < BACK
    assert max(judges) < BACK


@pytest.mark.system
async def test_an_answer_that_is_known_is_not_given_once_the_gateway_is_gone() -> None:
    async with site(cache_seconds=60.0) as here:
        caller = here.caller("person:ann")
        told: list[tuple[float, int, str]] = []  # CLOCK_MONOTONIC seconds, status, decision

        async def ask() -> None:
            status = await caller.ask("/accounts/1")
            told.append((time.monotonic(), status, caller.decision))

        async def known() -> bool:
            await ask()
            return len(told) > 1 and told[-1][1:] == told[-2][1:] and told[-1][1] == 200

        await until(known, "an answer is given again")
        (_, _, decision), gateway = told[-1], await here.process("gateway")
        # The parent forks no other while it is stopped.
        parent = int(_status(gateway, "PPid"))
        os.kill(parent, signal.SIGSTOP)
        try:
            told.clear()
            killed = time.monotonic()
            os.kill(gateway, signal.SIGKILL)
            while time.monotonic() < killed + 3 * FORGOTTEN:
                await ask()
        finally:
            os.kill(parent, signal.SIGCONT)
        late = [(moment - killed, status) for moment, status, _ in told if moment > killed + FORGOTTEN]
        assert late
        assert {status for _, status in late} == {503}, late

        async def back() -> bool:
            await ask()
            return told[-1][1] == 200

        await until(back, "the next gateway answers")
        caller.close()
        assert told[-1][2] != decision
        last = max(
            (moment for moment, status, _ in told if status == 200 and moment < killed + 3 * FORGOTTEN), default=killed
        )
        sys.stderr.write(f"the last known answer came {1000 * (last - killed):.1f} ms after the kill\n")


def _status(pid: int, name: str) -> str:
    """A field of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
