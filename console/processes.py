"""The tree of processes: edge, gateway, detectors and lines; how it comes up, and in which order it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path

import aiohttp

from console.supervision import Child, Part, Writer, told_to_stop, watch
from defense_lines.agent.capabilities import Capability
from gateway.config import Config, Policy
from gateway.configuration import without_secrets
from gateway.edge import ADMIN_SOCKET, EnvoyAdmin, envoy_command

_PATIENCE = 5.0  # seconds between SIGTERM and SIGKILL
_LOWEST_FREE_PORT = 1024
_HARMLESS = ("PATH", "LANG", "TZ")  # all that Envoy is told of our environment
_QUICK = 1.0  # seconds for an answer from this host

Say = Callable[[str], None]


def refuse_bad_policy(settings: Policy) -> None:
    """Raises PolicyError: what does not compile is said before a port is open, not in a loop of restarts."""
    from gateway.policies import compile_policy

    compile_policy(settings)


def parts(config: Config, file: Path, run: Path, environ: Mapping[str, str]) -> list[Part]:
    """Every process of this configuration, the edge first. The gateway alone is given the environment's secrets."""
    ours = [sys.executable, "-m", "console.cli", "run"]
    whose = ["-c", str(file)]
    bare = {name: environ[name] for name in _HARMLESS if name in environ}
    masked = without_secrets(environ)
    low = frozenset({Capability.NET_BIND_SERVICE}) if config.edge.port < _LOWEST_FREE_PORT else frozenset()
    children = [
        Part("edge", envoy_command(config, run), bare, low),
        Part("gateway", [*ours, "gateway", "--reborn", *whose], environ),
        Part("detectors", [*ours, "detectors", *whose], masked),
    ]
    if config.gateway.workers > 1:
        children.append(Part("judges", [*ours, "judges", *whose], masked))
    if config.lines.nftables:
        firewall = frozenset({Capability.NET_ADMIN})
        children.append(Part("nftables", [*ours, "line", "nftables", *whose], masked, firewall))
    return children


async def supervise(config: Config, file: Path) -> None:
    """Run the tree until SIGTERM or SIGINT, then drain and end it."""
    run = config.state / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    run.chmod(0o700)
    lines = Writer(sys.stderr.fileno())
    with lines.running():
        children = [
            Child(part, partial(_prefixed, lines.say, part.name)) for part in parts(config, file, run, os.environ)
        ]
        await _run(config, run, children, partial(_prefixed, lines.say, "portcullis"))


async def _run(config: Config, run: Path, children: Sequence[Child], say: Say) -> None:
    edge, gateway, *_ = children
    stop, envoy, admin = told_to_stop(), EnvoyAdmin(run / ADMIN_SOCKET, _QUICK), run / "admin.sock"
    async with asyncio.TaskGroup() as tasks:
        for child in children:
            tasks.create_task(child.keep_alive())
        watching = [
            tasks.create_task(watch(edge, envoy.ready)),
            tasks.create_task(watch(gateway, partial(_answers, admin, "/healthz"))),
            tasks.create_task(_announce(config, admin, say)),
        ]
        await stop.wait()
        for task in watching:
            task.cancel()
        say("draining")
        await _drain(EnvoyAdmin(run / ADMIN_SOCKET), config.edge.drain_seconds)
        await _end_in_order(children)
    say("ended")


async def _drain(edge: EnvoyAdmin, seconds: float) -> None:
    """Let requests under way end, for so long; new ones are told to go elsewhere."""
    if not await edge.drain():
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while sum((await edge.stats("http.edge.downstream_rq_active")).values()):  # noqa: ASYNC110 - it can only be asked
                await asyncio.sleep(0.05)


async def _end_in_order(children: Sequence[Child]) -> None:
    """The edge first, so that no request is ever without its judge; then the others, together."""
    edge, *others = children
    await edge.end(_PATIENCE)
    async with asyncio.TaskGroup() as tasks:
        for child in others:
            tasks.create_task(child.end(_PATIENCE))


async def _announce(config: Config, admin: Path, say: Say) -> None:
    """Say once that the gateway is ready."""
    while not await _answers(admin, "/readyz"):  # noqa: ASYNC110 - it can only be asked
        await asyncio.sleep(0.1)
    say(f"ready on {config.edge.address}:{config.edge.port}")


async def _answers(admin: Path, path: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=_QUICK)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(admin)), timeout=timeout) as session,
            session.get(f"http://portcullis{path}") as answer,
        ):
            return answer.status == HTTPStatus.OK
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


def _prefixed(say: Say, name: str, line: str) -> None:
    say(f"{name:<10} | {line}")
