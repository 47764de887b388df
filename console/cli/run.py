"""`portcullis run`: one process of the tree, as the supervisor starts it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.options import DEFAULT_FILE, ConfigFile, configuration
from console.cli.output import note
from console.cli.shelf import place, trusted
from gateway.config import Config, NftablesLine, Policy
from gateway.configuration import Loaded

if TYPE_CHECKING:
    from console.cli.shelf import Trusted
    from gateway.policies import Rules

Reborn = Annotated[bool, typer.Option("--reborn", help="Be there again at once when killed.")]
app = typer.Typer(name="run", hidden=True, help="One process of the tree.", no_args_is_help=True)
line = typer.Typer(name="line", help="One defense line's own process.", no_args_is_help=True)
app.add_typer(line)


@app.command()
def gateway(config: ConfigFile = DEFAULT_FILE, reborn: Reborn = False) -> None:
    """Judge, respond, record; holds no capability."""
    import uvloop

    from defense_lines.agent.capabilities import confine

    read = partial(configuration, config)
    settings = read().config.policy
    confine(frozenset())
    rules = _ahead(settings) if reborn else None  # and from here on in another process after each kill
    uvloop.run(_gateway(read().config, read, rules))


@app.command()
def judges(config: ConfigFile = DEFAULT_FILE) -> None:
    """Judge beside the gateway, in processes of their own; none holds a capability."""
    from defense_lines.agent.capabilities import confine
    from gateway.judges import Judges

    tree = configuration(config).config
    confine(frozenset())
    Judges(tree.state / "run", tree.gateway.workers - 1).keep()


@app.command()
def detectors(config: ConfigFile = DEFAULT_FILE) -> None:
    """Turn events into verdicts; holds no capability."""
    import uvloop

    from defense_lines.agent.capabilities import confine

    tree = configuration(config).config
    confine(frozenset())
    keys = trusted(tree)
    if tree.detectors.models is None:
        from detectors import put_defaults

        put_defaults(place(tree), keys)
    uvloop.run(_detectors(tree, keys))


@line.callback()
def noun() -> None:
    """Keep the name: one line with a process of its own is still one of many."""


@line.command()
def nftables(config: ConfigFile = DEFAULT_FILE) -> None:
    """Drive the host's firewall; holds CAP_NET_ADMIN alone."""
    import uvloop

    from defense_lines.agent.capabilities import Capability, confine

    tree = configuration(config).config
    confine(frozenset({Capability.NET_ADMIN}))
    uvloop.run(_nftables(tree))


def _ahead(settings: Policy) -> Rules:
    """All that takes seconds: imports and rules. What is done after it is done by another process after each kill."""
    import console.admin_server  # noqa: F401
    import gateway.app
    import gateway.operations  # noqa: F401
    from console.supervision import reborn
    from gateway.policies import Rules

    rules = Rules.ahead(settings)
    reborn(note)
    return rules


async def _gateway(config: Config, read: Callable[[], Loaded], rules: Rules | None) -> None:
    from console.admin_server import serving
    from console.supervision import told_to_stop
    from detectors import settle
    from gateway.app import Gateway
    from gateway.operations import GatewayOperations

    stop, socket = told_to_stop(), config.state / "run" / "admin.sock"
    async with (
        Gateway.open(config, rules) as running,
        serving(GatewayOperations(running, read), socket, config.metrics_port),
    ):
        settle()
        await stop.wait()


async def _detectors(config: Config, keys: Trusted) -> None:
    from console.supervision import told_to_stop
    from detectors import Recorded, default_pipeline, device_after, keep_freed, kept_key, settle, work

    keep_freed()
    folder = config.state / "detectors"
    device = device_after(folder, config.detectors.device)
    pipeline = default_pipeline(place(config), device, key=kept_key(folder), trusted=keys)
    judge = Recorded(pipeline, folder)
    settle()
    await work(config.state / "run" / "detectors.sock", judge, told_to_stop())


async def _nftables(config: Config) -> None:
    from console.supervision import told_to_stop
    from defense_lines.agent.connecting import over_unix
    from defense_lines.agent.nftables_line import serve

    table = (config.lines.nftables or NftablesLine()).table
    await serve(over_unix(config.state / "run" / "lines.sock"), config.state / "nftables", table, told_to_stop())
