"""Discovery with a real Envoy: pushes are applied, refused ones change nothing, and either side may come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener

from gateway.config import Config, Route
from gateway.edge import Ads, Snapshot, resources
from gateway.edge.snapshot import LISTENER
from gateway.routing import Routing
from tests.gateway.edge_rig import DEADLINE, Rig, rig, until


@pytest.fixture
async def edge() -> AsyncIterator[Rig]:
    async with rig() as running:
        yield running


def _with_route(edge: Rig, prefix: str) -> Config:
    routes = (*edge.config.routes, Route(prefix=prefix, service="accounts"))
    config = edge.config.model_copy(update={"routes": routes})
    edge.gateway.routing = Routing(config)
    return config


def _broken(snapshot: Snapshot) -> Snapshot:
    listener = Listener(name="edge")
    listener.address.socket_address.address = "not an address"
    listener.address.socket_address.port_value = 1
    return Snapshot({**snapshot.types, LISTENER: {"edge": listener.SerializeToString()}})


async def _status(edge: Rig, path: str) -> int:
    async with edge.http.get(edge.url(path)) as answer:
        return answer.status


async def test_what_is_published_is_served_once_it_is_applied(edge: Rig) -> None:
    assert await _status(edge, "/new") == 403
    version = edge.ads.publish(resources(_with_route(edge, "/new")))
    assert await edge.ads.applied(version, DEADLINE)
    assert await _status(edge, "/new") == 200
    assert edge.ads.state.accepted == version


async def test_a_service_may_leave_with_its_routes(edge: Rig) -> None:
    services = {"accounts": edge.config.services["accounts"]}
    routes = tuple(route for route in edge.config.routes if route.service == "accounts")
    version = edge.ads.publish(resources(edge.config.model_copy(update={"services": services, "routes": routes})))
    assert await edge.ads.applied(version, DEADLINE)
    assert await _status(edge, "/accounts/1") == 200


async def test_a_refused_push_changes_nothing_and_is_seen(edge: Rig) -> None:
    good = edge.ads.state.accepted
    version = edge.ads.publish(_broken(resources(_with_route(edge, "/new"))))
    assert not await edge.ads.applied(version, DEADLINE)
    state = edge.ads.state
    assert (state.accepted, state.desired, state.rejections) == (good, good, 1)
    assert "Listener" in state.last_error
    assert "not an address" in state.last_error
    assert await _status(edge, "/accounts/1") == 200
    assert await _status(edge, "/new") == 403
    repaired = edge.ads.publish(resources(_with_route(edge, "/new")))
    assert await edge.ads.applied(repaired, DEADLINE)
    assert await _status(edge, "/new") == 200
    assert edge.ads.state.last_error == ""


async def test_many_pushes_at_once_end_at_the_last(edge: Rig) -> None:
    for number in range(50):
        version = edge.ads.publish(resources(_with_route(edge, f"/new{number}")))
    assert await edge.ads.applied(version, DEADLINE)
    assert await _status(edge, "/new49") == 200
    assert await _status(edge, "/new48") == 403


async def test_a_gateway_that_comes_back_finds_the_edge_serving(edge: Rig) -> None:
    await edge.close_grpc()
    assert await _status(edge, "/accounts/1") == 200
    ads = Ads()
    version = ads.publish(resources(edge.config))
    async with edge.reopened(ads):
        await until(lambda: ads.state.envoys == 1, "Envoy connects again")
        assert await ads.applied(version, DEADLINE)
        assert await _status(edge, "/accounts/1") == 200
        updates = await edge.admin.stats("listener_manager.lds.update_success")
        assert updates["listener_manager.lds.update_success"] == 1  # equal content was not sent again


async def test_waiting_ends_at_the_deadline_without_an_edge() -> None:
    ads = Ads()
    assert not await ads.applied("none", 0.01)
    version = ads.publish(Snapshot({}))
    assert not await asyncio.wait_for(ads.applied(version, 0.01), 5)
