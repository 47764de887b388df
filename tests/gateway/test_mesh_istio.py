"""What Istio's own control plane makes of `deploy/mesh/istio*.yaml` (tests/conformance/istio), run in Envoy.

Envoy is the one from the wheel: Istio's own extensions, which count and trace, are left out, and the secrets that its
agent would hand over are the files that it would read.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from gateway.operations import GatewayOperations
from tests.gateway.edge_rig import until
from tests.gateway.front import WORKLOADS
from tests.gateway.mesh_rig import ENVOY, EXAMPLES, Meshed, meshed
from tests.gateway.workloads import SVID

pytestmark = pytest.mark.asyncio(loop_scope="module")
GENERATED = Path(__file__).with_name("istio_generated.json")
WITHIN = 10.0  # seconds; a bound for a busy machine, not an expectation


def bootstrap() -> dict[str, Any]:
    """A static bootstrap of what the control plane would push."""
    made = json.loads(GENERATED.read_text())
    routes = {route["name"]: route for route in made["routes"]}
    for listener in made["listeners"]:
        for chain in listener["filterChains"]:
            _with_files(chain["transportSocket"]["typedConfig"]["commonTlsContext"])
            manager = chain["filters"][-1]["typedConfig"]
            manager["routeConfig"] = routes[manager.pop("rds")["routeConfigName"]]
            manager["httpFilters"] = [each for each in manager["httpFilters"] if not each["name"].startswith("istio.")]
    for cluster in made["clusters"]:
        del cluster["filters"]  # Istio's own
        if "transportSocket" in cluster:
            _with_files(cluster["transportSocket"]["typedConfig"]["commonTlsContext"])
    return {"static_resources": {"listeners": made["listeners"], "clusters": made["clusters"]}}


def _with_files(tls: dict[str, Any]) -> None:
    (named,) = tls.pop("tlsCertificateSdsSecretConfigs")
    certificate, key = named["name"].removeprefix("file-cert:").split("~")
    tls["tlsCertificates"] = [{"certificateChain": {"filename": certificate}, "privateKey": {"filename": key}}]
    combined = tls.pop("combinedValidationContext")
    root = combined["validationContextSdsSecretConfig"]["name"].removeprefix("file-root:")
    tls["validationContext"] = {**combined["defaultValidationContext"], "trustedCa": {"filename": root}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh() -> AsyncIterator[Meshed]:
    async with meshed(bootstrap()) as running:
        yield running


async def test_it_was_made_from_the_files_that_the_documents_show() -> None:
    files = (EXAMPLES / "istio-mesh.yaml").read_bytes() + (EXAMPLES / "istio.yaml").read_bytes()
    assert json.loads(GENERATED.read_text())["made_from"] == hashlib.sha256(files).hexdigest()


async def test_requests_are_judged(mesh: Meshed) -> None:
    shown = mesh.bearer(sub="alice")
    claimed = {"x-user-id": "root", "x-envoy-original-path": "/x", "x-forwarded-client-cert": "Hash=1"}
    assert (await mesh.ask("/accounts/1001", headers=shown | claimed))[0] == 200
    seen = mesh.front.upstream[-1]
    assert seen.getall("x-portcullis-subject") == ["person:alice"]
    assert seen["txn-token"].count(".") == 2
    assert not {"authorization", *claimed} & {*map(str.lower, seen)}
    before = len(mesh.front.upstream)
    status, headers, body = await mesh.ask("/forbidden", headers=shown)
    assert (status, json.loads(body)["decision"]) == (403, headers["x-portcullis-decision"])
    status, headers, _ = await mesh.ask("/step", headers=shown)
    assert (status, "insufficient_user_authentication" in headers["www-authenticate"]) == (401, True)
    assert (await mesh.ask("/accounts/1001"))[0] == 401
    upgrade = {"connection": "upgrade", "upgrade": "websocket"}
    assert (await mesh.ask("/accounts/1001", headers=shown | upgrade))[0] == 403
    assert len(mesh.front.upstream) == before


async def test_policy_sees_the_body(mesh: Meshed) -> None:
    for body, status in ((b'{"amount": 99}', 200), (b'{"amount": 100}', 403), (b"[" * 70_000, 413)):
        assert (await mesh.ask("/payments", "POST", headers=mesh.bearer(), data=body))[0] == status, body[:20]


@pytest.mark.parametrize("path", ["/streams/%6cive", "/streams/../streams/live", "//streams/live", "/streams%2flive"])
async def test_no_spelling_of_a_path_falls_between_policy_and_tether(mesh: Meshed, path: str) -> None:
    """What the AuthorizationPolicy leaves out is tethered, or refused: nobody who shows nothing gets in."""
    url = URL(mesh.url + path, encoded=True)
    async with mesh.session.get(url, headers={"host": "bank.example"}) as answer:
        assert answer.status in (400, 401, 403)


async def test_a_stream_is_held_and_cut(mesh: Meshed) -> None:
    operations, sessions = GatewayOperations(mesh.front.gateway), mesh.front.gateway.sessions
    async with mesh.stream(mesh.bearer(sub="carol")) as carol, mesh.stream(mesh.bearer(sub="dave")) as dave:
        assert (await operations.cut("principal", "person:carol", "stolen", "jo", dry_run=False))["sessions"] == 1
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(carol.read(), WITHIN)
        assert await dave.content.readany()
    await until(lambda: not list(sessions.find("principal", "person:dave")), "who left is forgotten")


async def test_a_workload_is_who_its_certificate_says(mesh: Meshed) -> None:
    leaf = WORKLOADS.leaf(SVID)
    connector = aiohttp.TCPConnector(ssl=mesh.front.trusting(leaf))
    async with (
        aiohttp.ClientSession(connector=connector) as own,
        own.get(mesh.url + "/accounts/1001", headers={"host": "bank.example"}) as answer,
    ):
        assert answer.status == 200, await answer.text()
    who = mesh.front.upstream[-1]["x-portcullis-subject"]
    async with mesh.stream({}, leaf):
        assert len(list(mesh.front.gateway.sessions.find("principal", who))) == 1


async def test_its_access_logs_are_telemetry_in_its_name(mesh: Meshed) -> None:
    assert (await mesh.ask("/accounts/logged", headers=mesh.bearer(sub="erin")))[0] == 200
    await until(lambda: any(event.resource == "/accounts/logged" for event in mesh.events), "the log arrives")
    (event,) = [event for event in mesh.events if event.resource == "/accounts/logged"]
    assert (event.source, event.subject, event.outcome) == (f"mesh:{ENVOY}", "person:erin", "allow")


async def test_a_gateway_that_is_away_lets_nothing_pass() -> None:
    async with meshed(bootstrap()) as mesh, mesh.stream(mesh.bearer(sub="alice")) as live:
        before = len(mesh.front.upstream)
        await mesh.relay.close()
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(live.read(), WITHIN)
        for path in ("/accounts/1001", "/streams/live"):
            assert (await mesh.ask(path, headers=mesh.bearer()))[0] == 503, path
            more = {"content-type": "application/grpc"}
            status, headers, _ = await mesh.ask(path, "POST", headers=mesh.bearer() | more, data=b"")
            assert (status, headers["grpc-status"]) == (200, "14"), path
        assert len(mesh.front.upstream) == before
