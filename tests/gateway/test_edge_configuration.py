"""Bootstrap, command, resources and admin: what a real Envoy is started with and what it accepts."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from gateway.config import Config, Edge, Route, Service
from gateway.edge import ADMIN_SOCKET, EnvoyAdmin, bootstrap, envoy_binary, envoy_command, resources
from tests.gateway.edge_rig import configuration, deny, rig, until


def test_the_binary_is_found_and_runs_on_this_machine() -> None:
    assert envoy_binary().stat().st_mode & stat.S_IXUSR


def test_the_same_configuration_has_the_same_version_and_another_has_another(tmp_path: Path) -> None:
    config = configuration(9001, 9002, tmp_path, port=9000)
    assert resources(config).version == resources(config).version
    other = config.model_copy(update={"edge": config.edge.model_copy(update={"max_headers_kb": 8})})
    assert resources(other).version != resources(config).version


def test_a_route_to_a_service_that_is_not_there_is_the_configurations_fault(tmp_path: Path) -> None:
    config = Config(services={}, routes=(Route(prefix="/", service="ghost"),))
    with pytest.raises(ValueError, match="ghost"):
        resources(config)


def test_a_folder_too_deep_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too deep"):
        bootstrap(configuration(9001, 9002, tmp_path), tmp_path / ("x" * 100))


def test_the_command_writes_a_private_bootstrap_and_names_the_limits(tmp_path: Path) -> None:
    config = configuration(9001, 9002, tmp_path, concurrency=3, drain_seconds=7)
    command = envoy_command(config, tmp_path)
    path = Path(command[command.index("--config-path") + 1])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == bootstrap(config, tmp_path)
    assert command[command.index("--concurrency") + 1] == "3"
    assert command[command.index("--drain-time-s") + 1] == "7"
    assert "--disable-hot-restart" in command


def test_a_service_may_be_a_name_and_a_cluster_cannot_be_taken_for_ours(tmp_path: Path) -> None:
    names = {"gateway": Service(address="localhost", port=80), "authz": Service(address="::1", port=80)}
    config = Config(edge=Edge(), services=names, routes=(Route(prefix="/", service="gateway"),))
    (clusters, *_) = resources(config).types.values()
    assert not {"gateway", "authz"} & set(clusters)


async def test_an_edge_that_judges_nothing_is_plain_envoy() -> None:
    async with rig(judge=False) as edge:
        edge.gateway.answer = deny
        async with edge.http.get(edge.url("/accounts/1"), headers={"authorization": "Bearer t"}) as answer:
            assert answer.status == 200
        async with edge.http.get(edge.url("/streams/finite")) as answer:
            assert answer.status == 200
        assert edge.seen[0]["headers"]["authorization"] == "Bearer t"
        assert not edge.gateway.asked
        assert not edge.gateway.tether_headers
        assert not edge.gateway.logs


async def test_the_admin_answers_and_drains() -> None:
    async with rig() as edge:
        assert await edge.admin.ready()
        assert (await edge.admin.stats("server."))["server.live"] == 1
        async with edge.http.get(edge.url("/accounts/1")):
            pass
        assert (await edge.admin.stats("portcullis."))["portcullis.asked"] == 1
        assert await edge.admin.drain()


async def test_an_edge_without_its_configuration_is_not_ready(tmp_path: Path) -> None:
    async with rig(publish=False) as edge:
        await until(lambda: edge.ads.state.envoys == 1, "Envoy connects")
        assert not await edge.admin.ready()
    admin = EnvoyAdmin(tmp_path / ADMIN_SOCKET)
    assert not await admin.ready()
    assert await admin.stats() == {}
    assert not await admin.drain()
