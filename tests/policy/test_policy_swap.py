"""Revisions swapped and data patched under decisions: none fails, none is a mix."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from policy import (
    AccessRequest,
    Bundle,
    Decision,
    OpaServer,
    Pdp,
    PolicyError,
    Principal,
    compile_bundle,
    embedded_pdp,
    opa_pdp,
)
from policy.data import PatchError
from tests.policy.real_opa import RealOpa, opa_binary

SWAPS = 4
ALICE = Principal(id="person:alice", kind="person", issuer="bank")
REQUEST = AccessRequest(principal=ALICE, action="GET", service="s", path="/x", time=9.0)
RULES = """package portcullis.access

decision := {"effect": "allow", "reasons": ["MARK", fixed, data.mark, joined, data.pair.a, data.pair.b, pair]}

fixed := concat("", ["MA", "RK"])

joined := concat("", data.letters)

pair := concat("", [data.pair.a, data.pair.b])
"""  # what is evaluated at load, and what is kept because it reads data alone, are there too


def bundle_of(number: int) -> Bundle:
    """Whose rules and data all bear the same mark."""
    mark = f"r{number}"
    return Bundle(
        {"access.rego": RULES.replace("MA", "r").replace("RK", str(number))}, {"mark": mark, "letters": [*mark]}
    )


def pair(number: int) -> list[dict[str, Any]]:
    """A patch of two values that belong together."""
    return [{"op": "add", "path": f"/pair/{name}", "value": f"p{number}"} for name in "ab"]


def is_whole(decision: Decision, marks: dict[str, str]) -> bool:
    """Whether everything in a decision is of one revision, and of one state of the live data."""
    *marked, a, b, both = decision.reasons
    return set(marked) == {marks[decision.revision]} and a == b and both == a + b


class Load:
    """Asks all the time, and patches the data between turns."""

    def __init__(self, pdp: Pdp, width: int) -> None:
        self.decisions: list[Decision] = []
        self.turns = 0
        self._pdp = pdp
        self._width = width
        self._turned = asyncio.Condition()

    async def run(self) -> None:
        while True:
            self._patch()
            asked = [asyncio.create_task(self._pdp.ask(REQUEST)) for _ in range(self._width)]
            await asyncio.sleep(0)  # a remote engine is asked before this patch, and answers after it
            self._patch()
            self.decisions += await asyncio.gather(*asked)
            self.turns += 1
            async with self._turned:
                self._turned.notify_all()

    async def turn(self, count: int) -> None:
        async with self._turned:
            wanted = self.turns + count
            await self._turned.wait_for(lambda: self.turns >= wanted)

    def _patch(self) -> None:
        """One that is done, and one that fails half-way."""
        self._pdp.patch_data(pair(self.turns))
        with pytest.raises(PatchError):
            self._pdp.patch_data([pair(-1)[0], {"op": "remove", "path": "/nothing"}])


@contextlib.asynccontextmanager
async def engine(name: str) -> AsyncIterator[Pdp]:
    async with contextlib.AsyncExitStack() as stack:
        if name == "embedded":
            pdp = embedded_pdp(bundle_of(0))
        else:
            server = RealOpa(opa_binary())
            await server.start()
            stack.push_async_callback(server.kill)
            pdp = opa_pdp(bundle_of(0), OpaServer(port=server.port, timeout=10))
        stack.push_async_callback(pdp.aclose)
        pdp.put_data(("pair",), {"a": "p", "b": "p"})
        yield pdp


@pytest.mark.parametrize(("name", "width"), [("embedded", 50), ("opa", 4)])
async def test_under_load_no_decision_fails_or_is_a_mix(name: str, width: int) -> None:
    async with engine(name) as pdp, asyncio.TaskGroup() as tasks:
        marks = {pdp.revision: "r0"}
        load = Load(pdp, width)
        loading = tasks.create_task(load.run())
        for number in range(1, SWAPS + 1):
            revision = await asyncio.to_thread(compile_bundle, bundle_of(number))
            marks[revision.id] = f"r{number}"
            pdp.activate(revision)
            await load.turn(2)
        with pytest.raises(PolicyError):
            await asyncio.to_thread(compile_bundle, Bundle({"access.rego": "package portcullis.access\n\nx := "}, {}))
        await load.turn(2)
        loading.cancel()
    assert {decision.effect for decision in load.decisions} == {"allow"}
    assert all(is_whole(decision, marks) for decision in load.decisions)
    assert {decision.revision for decision in load.decisions} == marks.keys()
    assert len({decision.reasons[-1] for decision in load.decisions}) > SWAPS
