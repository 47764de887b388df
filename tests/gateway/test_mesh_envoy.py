"""Another Envoy than our edge, with the very configuration that the documents show, in front of the same service."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import REGISTRY

from gateway.config import Config
from gateway.identity.jwk import public_key
from gateway.operations import GatewayOperations
from tests.gateway.edge_rig import until
from tests.gateway.front import WORKLOADS, proof
from tests.gateway.mesh_rig import ENVOY, Meshed, meshed
from tests.gateway.workloads import SVID
from tests.http_signer import Agent

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN = 10.0  # seconds; a bound for a busy machine, not an expectation
BACK = 3.0  # seconds within which a gateway that is there again is asked again


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh() -> AsyncIterator[Meshed]:
    def nonces(config: Config) -> Any:
        dpop = config.identity.dpop
        assert dpop is not None
        return config.identity.model_copy(update={"dpop": dpop.model_copy(update={"nonce": True})})

    async with meshed(changes={"identity": nonces}) as running:
        yield running


def counted(why: str) -> float:
    return REGISTRY.get_sample_value("portcullis_gateway_mesh_cut_total", {"why": why}) or 0.0


async def test_who_may_passes_with_a_transaction_token_and_nothing_else_of_it(mesh: Meshed) -> None:
    shown = mesh.bearer(sub="alice")
    status, _, body = await mesh.ask("/accounts/1001?of=now", headers=shown)
    assert (status, body) == (200, b"ok")
    seen = mesh.front.upstream[-1]
    transaction = jwt.decode(seen["txn-token"], options={"verify_signature": False})
    assert (transaction["sub"], transaction["aud"]) == ("person:alice", "accounts")
    assert jwt.get_unverified_header(seen["txn-token"])["typ"] == "txntoken+jwt"
    assert seen.getall("x-portcullis-subject") == ["person:alice"]
    assert seen["x-portcullis-decision"].startswith("d-")
    assert "authorization" not in seen


@pytest.mark.parametrize("path", ["/accounts/1001", "/payments"])
async def test_what_a_caller_claims_to_be_stays_here(mesh: Meshed, path: str) -> None:
    claimed = {
        "x-portcullis-subject": "person:root",
        "x-portcullis-roles": "admin",
        "txn-token": "forged",
        "x-user-id": "root",
        "X-Auth-Request-Email": "root@bank.example",
        "x-forwarded-user": "root",
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-client-cert": 'Cert="forged"',
        "x-envoy-original-path": "/accounts/2002",
        "x-real-ip": "10.0.0.1",
        "forwarded": "for=10.0.0.1",
    }
    headers = {**claimed, **mesh.bearer(sub="alice"), "x-request-note": "kept"}
    status, _, _ = await mesh.ask(path, "POST", headers=headers, data=b'{"amount": 1}')
    assert status == 200
    seen = mesh.front.upstream[-1]
    assert seen.getall("x-portcullis-subject") == ["person:alice"]
    assert seen.getall("x-forwarded-for") == ["127.0.0.1"]
    assert len(seen.getall("txn-token")) == 1
    assert not {name.lower() for name in claimed} & {name.lower() for name in seen} - {
        "x-portcullis-subject",
        "txn-token",
        "x-forwarded-for",
    }
    assert seen["x-request-note"] == "kept"


async def test_who_may_not_hears_why_in_our_words(mesh: Meshed) -> None:
    before = len(mesh.front.upstream)
    status, headers, body = await mesh.ask("/forbidden", headers=mesh.bearer(sub="alice"))
    told = json.loads(body)
    assert (status, headers["content-type"]) == (403, "application/json")
    assert (told["error"], told["reasons"]) == ("forbidden", ["not_yours"])
    assert headers["x-portcullis-decision"] == told["decision"]
    status, headers, _ = await mesh.ask("/accounts/1001")
    assert (status, headers["www-authenticate"][:6]) == (401, "Bearer")
    status, headers, _ = await mesh.ask("/step", headers=mesh.bearer(sub="alice"))
    assert status == 401
    assert 'error="insufficient_user_authentication", acr_values="urn:bank:hardware"' in headers["www-authenticate"]
    assert (await mesh.ask("/accounts;as=root/1", headers=mesh.bearer(sub="alice")))[0] == 400
    assert len(mesh.front.upstream) == before


async def test_a_nonce_reaches_the_caller_and_the_proof_with_it_counts_once(mesh: Meshed) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    known = public_key(Agent(key).jwk)
    assert known is not None
    bound = mesh.front.issuer.token(cnf={"jkt": known.thumbprint})
    shown = {"authorization": f"DPoP {bound}", "dpop": proof(key, "GET", "/accounts/1001", bound)}
    status, headers, _ = await mesh.ask("/accounts/1001", headers=shown)
    assert (status, "use_dpop_nonce" in headers["www-authenticate"]) == (401, True)
    shown["dpop"] = proof(key, "GET", "/accounts/1001", bound, nonce=headers["dpop-nonce"])
    assert (await mesh.ask("/accounts/1001", headers=shown))[0] == 200
    assert "dpop" not in mesh.front.upstream[-1]
    assert (await mesh.ask("/accounts/1001", headers=shown))[0] == 401


async def test_policy_sees_the_body(mesh: Meshed) -> None:
    shown = mesh.bearer(sub="alice")
    for body, status in ((b'{"amount": 99}', 200), (b'{"amount": 100}', 403), (b"{", 400), (b"[" * 70_000, 413)):
        assert (await mesh.ask("/payments", "POST", headers=shown, data=body))[0] == status, body[:20]
    assert mesh.front.bodies[-1] == b'{"amount": 99}'


async def test_a_stream_is_a_session_and_a_cut_ends_it_alone(mesh: Meshed) -> None:
    operations, sessions = GatewayOperations(mesh.front.gateway), mesh.front.gateway.sessions
    claims = {"x-portcullis-subject": "person:root", "x-user-id": "root"}
    async with mesh.stream(mesh.bearer(sub="carol") | claims) as carol, mesh.stream(mesh.bearer(sub="dave")) as dave:
        (session,) = sessions.find("principal", "person:carol")
        assert (session.request.stream, session.request.address) == (True, "127.0.0.1")
        started = time.monotonic()
        assert (await operations.cut("principal", "person:carol", "stolen", "jo", dry_run=False))["sessions"] == 1
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(carol.read(), WITHIN)
        assert time.monotonic() - started < 1.0  # Envoy's own delayed close would be as long
        assert not list(sessions.find("principal", "person:carol"))
        assert len(list(sessions.find("principal", "person:dave"))) == 1
        assert await dave.content.readany()
    await until(lambda: not list(sessions.find("principal", "person:dave")), "who left is forgotten")


async def test_a_refused_stream_has_our_answer(mesh: Meshed) -> None:
    status, headers, body = await mesh.ask("/streams/forbidden", headers=mesh.bearer(sub="alice"))
    assert (status, json.loads(body)["decision"]) == (403, headers["x-portcullis-decision"])
    assert (await mesh.ask("/streams/live"))[0] == 401


async def test_a_workload_is_who_its_certificate_says_and_no_header_is(mesh: Meshed) -> None:
    leaf = WORKLOADS.leaf(SVID)
    connector = aiohttp.TCPConnector(ssl=mesh.front.trusting(leaf))
    async with (
        aiohttp.ClientSession(connector=connector) as own,
        own.get(mesh.url + "/accounts/1001", headers={"host": "bank.example"}) as answer,
    ):
        assert answer.status == 200, await answer.text()
    who = mesh.front.upstream[-1]["x-portcullis-subject"]
    assert SVID.rpartition("/")[2] in who
    async with mesh.stream({}, leaf):
        assert len(list(mesh.front.gateway.sessions.find("principal", who))) == 1


async def test_its_access_logs_are_telemetry_in_its_name(mesh: Meshed) -> None:
    assert (await mesh.ask("/accounts/logged", headers=mesh.bearer(sub="erin")))[0] == 200
    await until(lambda: any(event.resource == "/accounts/logged" for event in mesh.events), "the log arrives")
    (event,) = [event for event in mesh.events if event.resource == "/accounts/logged"]
    assert (event.source, event.subject, event.outcome) == (f"mesh:{ENVOY}", "person:erin", "allow")
    assert (event.address, event.status, event.action) == ("127.0.0.1", 200, "GET")
    assert event.session.startswith("d-")


async def test_a_gateway_that_is_away_lets_nothing_pass_and_takes_the_streams_with_it() -> None:
    async with meshed() as mesh, mesh.stream(mesh.bearer(sub="alice")) as live:
        sessions, before = mesh.front.gateway.sessions, len(mesh.front.upstream)
        await mesh.relay.close()
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(live.read(), WITHIN)
        await until(lambda: len(sessions) == 0, "no session outlives its Envoy's connection")
        for more in ({}, {"content-type": "application/grpc"}, {"content-type": "application/grpc", "te": "trailers"}):
            for path in ("/accounts/1001", "/payments", "/streams/live"):
                status, headers, _ = await mesh.ask(path, "POST", headers=mesh.bearer() | more, data=b"{}")
                if more:  # a gRPC caller is told in gRPC's way, and nothing else
                    assert (status, headers["grpc-status"]) == (200, "14"), path
                else:
                    assert status == 503, path
        assert len(mesh.front.upstream) == before
        await mesh.relay.open()
        end = time.monotonic() + BACK
        while (await mesh.ask("/accounts/1001", headers=mesh.bearer()))[0] == 503:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)  # it can only be asked


async def test_sessions_end_with_an_envoy_that_vanished_without_a_word() -> None:
    silent = counted("silent")
    async with meshed(ping_seconds=0.2) as mesh, AsyncExitStack() as stack:
        await stack.enter_async_context(mesh.stream(mesh.bearer(sub="alice")))
        assert len(mesh.front.gateway.sessions) == 1
        mesh.relay.swallow()
        await until(lambda: len(mesh.front.gateway.sessions) == 0, "its sessions end")
        assert counted("silent") > silent
        await mesh.relay.close()


def _clusters(bootstrap: dict[str, Any]) -> dict[str, Any]:
    return {cluster["name"]: cluster for cluster in bootstrap["static_resources"]["clusters"]}


def _filters(bootstrap: dict[str, Any]) -> dict[str, Any]:
    (manager,) = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    return {each["name"]: each["typed_config"] for each in manager["typed_config"]["http_filters"]}


async def test_an_envoy_that_is_not_named_is_not_answered() -> None:
    def other(bootstrap: dict[str, Any]) -> None:
        tls = _clusters(bootstrap)["portcullis"]["transport_socket"]["typed_config"]["common_tls_context"]
        for file in tls["tls_certificates"][0].values():
            file["filename"] = file["filename"].replace("/mesh.", "/other.")

    before = counted("not_named")
    async with meshed(change=other, ready=503) as mesh:
        assert (await mesh.ask("/accounts/1001", headers=mesh.bearer()))[0] == 503
        assert not mesh.front.upstream
    assert counted("not_named") > before


async def test_a_stream_whose_envoy_does_not_say_the_address_is_refused() -> None:
    """And one whose Envoy does not say the certificate's digest is nobody's by certificate, whatever a header says."""

    def silent(bootstrap: dict[str, Any]) -> None:
        del _filters(bootstrap)["envoy.filters.http.ext_proc"]["request_attributes"]

    async with meshed(change=silent) as mesh:
        assert (await mesh.ask("/streams/live", headers=mesh.bearer()))[0] == 503

    def believing(bootstrap: dict[str, Any]) -> None:
        _filters(bootstrap)["envoy.filters.http.ext_proc"]["request_attributes"] = ["source.address"]

    async with meshed(change=believing) as mesh:
        async with mesh.stream(mesh.bearer()):
            assert len(mesh.front.gateway.sessions) == 1
        connector = aiohttp.TCPConnector(ssl=mesh.front.trusting(WORKLOADS.leaf(SVID)))
        async with (
            aiohttp.ClientSession(connector=connector) as own,
            own.get(mesh.url + "/streams/live", headers={"host": "bank.example"}) as answer,
        ):
            assert answer.status == 401
