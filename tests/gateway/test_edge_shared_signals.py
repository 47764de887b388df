"""Two Portcullis: what one cuts, the other is told of through both edges, and ends as well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from prometheus_client import REGISTRY

from deploy.demo.ports import free_port
from gateway.config import Config, Signals, SignalsReceiver, SignalsTransmitter, Transmitter
from gateway.operations import GatewayOperations
from tests.gateway.edge_rig import until
from tests.gateway.front import Front, front
from tests.gateway.test_edge_signals import Edge, whose

BRANCH = "https://branch.bank.example"  # what the receiver calls itself
WITHIN = 2.0  # seconds from the cut there to the end here; a bound for a busy machine, not an expectation
Changes = dict[str, Callable[[Config], Any]]


def _telling(port: int, other: int) -> Changes:
    """A transmitter at this port, which the gateway at the other may listen to: a workload of the issuer's."""
    prefixes = (f"https://localhost:{other}/.well-known/portcullis/events",)
    receiver = SignalsReceiver(id="workload:branch", audience=BRANCH, push_prefixes=prefixes)
    settings = SignalsTransmitter(issuer=f"https://localhost:{port}", receivers=(receiver,))
    return _at(port) | {"signals_transmitter": lambda _: settings}


def _listening(port: int, other: int, **how: Any) -> Changes:
    """A receiver at this port of what is told at the other."""
    transmitter = Transmitter(issuer=f"https://localhost:{other}", audience=BRANCH, **how)
    settings = Signals(url=f"https://localhost:{port}", transmitters=(transmitter,))
    return _at(port) | {"signals": lambda _: settings}


def _at(port: int) -> Changes:
    return {"edge": lambda config: config.edge.model_copy(update={"port": port})}


def _token(of: Front) -> str:
    """With which the other one shows at this one's edge who it is."""
    return of.issuer.token(sub="branch", client_id="branch")


@asynccontextmanager
async def two(**how: Any) -> AsyncIterator[tuple[Edge, Edge]]:
    """One that tells and one that is told, whose stream is verified: the state that it sent has come back."""
    one, other = free_port(), free_port()
    async with (
        front(**_telling(one, other)) as there,
        front(**_listening(other, one, token=_token(there), **how)) as here,
    ):
        await until(lambda: _verified(one) == 1, "the stream is verified")
        yield _edge(there), _edge(here)


def _edge(running: Front) -> Edge:
    return Edge(running, GatewayOperations(running.gateway))


def _verified(port: int) -> float:
    labels = {"issuer": f"https://localhost:{port}", "result": "verified"}
    return REGISTRY.get_sample_value("portcullis_gateway_stream_verifications_total", labels) or 0.0


def _counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"portcullis_gateway_{name}_total", labels) or 0.0


@pytest.mark.parametrize(
    "how", [{"push_token": "what-the-other-one-must-show"}, {}, {"delivery": "poll"}], ids=["push", "bare push", "poll"]
)
async def test_whom_one_cuts_the_other_cuts_and_nobody_else(how: dict[str, Any]) -> None:
    delivered = _counted("signals_ended", end="delivered")
    async with (
        two(**how) as (there, here),
        there.stream(**whose("alice")) as alice_there,
        there.stream(**whose("bob")) as bob_there,
        here.stream(**whose("alice")) as alice,
        here.stream(**whose("bob")) as bob,
    ):
        started = time.monotonic()
        answer = await there.operations.cut("principal", "person:alice", "stolen laptop", "jo", dry_run=False)
        assert answer["sessions"] == 1
        await asyncio.wait_for(asyncio.gather(alice_there, alice), 10)
        seconds = time.monotonic() - started
        assert seconds < WITHIN
        record = here.operations.cuts(1)[0]
        assert (record["subject"], record["reason"]) == ("person:alice", "session_revoked")
        assert here.session("person:alice") is None
        for edge, stream in ((there, bob_there), (here, bob)):
            assert edge.session("person:bob") is not None
            assert not stream.done()
        # The verification, and the cut: the transmitter knows that both have arrived.
        await until(lambda: _counted("signals_ended", end="delivered") == delivered + 2, "both are acknowledged")


async def test_who_comes_back_to_the_other_with_the_same_token_is_refused() -> None:
    async with two() as (there, here):
        token = here.front.issuer.token(**whose("alice"))
        shown = {"authorization": f"Bearer {token}"}
        assert (await here.front.get(shown=shown))[0] == 200
        async with there.stream(**whose("alice")) as alice:
            await there.operations.cut("principal", "person:alice", "stolen laptop", "jo", dry_run=False)
            await asyncio.wait_for(alice, 10)

        async def refused() -> bool:
            return (await here.front.get(shown=shown))[0] == 401

        await until(refused, "a token from before the cut counts no more, though no stream lived here")


async def test_each_tells_the_other_and_no_echo_goes_round(tmp_path: Path) -> None:
    """What the one hears of the other's cut it tells back once; that ends nothing, and is all."""
    one, other, token = free_port(), free_port(), tmp_path / "token"
    token.write_text("")  # until the other one's issuer is there
    async with (
        front(**_telling(one, other) | _listening(one, other, token_file=token)) as first,
        front(**_telling(other, one) | _listening(other, one, token=_token(first))) as second,
    ):
        token.write_text(_token(second))
        await until(lambda: _verified(one) == _verified(other) == 1, "both streams are verified")
        here, there, told = _edge(first), _edge(second), _counted("signals_told")
        heard = _counted("signals_carried_out", type="session-revoked")
        async with (
            here.stream(**whose("alice")) as alice,
            there.stream(**whose("alice")) as alice_there,
            here.stream(**whose("bob")),
            there.stream(**whose("bob")),
        ):
            await here.operations.cut("principal", "person:alice", "asked", "jo", dry_run=False)
            await asyncio.wait_for(asyncio.gather(alice, alice_there), 10)
            await until(lambda: _counted("signals_carried_out", type="session-revoked") == heard + 2, "each has heard")
            assert _counted("signals_told") == told + 2
            assert [len(edge.front.gateway.sessions) for edge in (here, there)] == [1, 1]


async def test_strangers_learn_where_streams_are_managed_and_manage_none() -> None:
    async with front(**_telling(free_port(), free_port())) as there:
        base = f"https://localhost:{there.port}"
        async with there.session.get(f"{base}/.well-known/ssf-configuration") as answer:
            said = await answer.json()
        assert said["issuer"] == base
        async with there.session.get(said["jwks_uri"]) as answer:
            assert (await answer.json())["keys"]
        alice, forged = there.issuer.token(**whose("alice")), jwt.encode({"sub": "branch"}, "k" * 32, "HS256")
        for token, status in ((alice, 401), (forged, 401), ("", 401), (_token(there), 200)):
            shown = {"authorization": f"Bearer {token}"} if token else {}
            async with there.session.get(said["configuration_endpoint"], headers=shown) as answer:
                assert answer.status == status
