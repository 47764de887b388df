"""`portcullis agents`: which AI agents are registered, and the switch that stops one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from console.cli.agent_profile import profile_of, thumbprint
from console.cli.options import DEFAULT_FILE, By, ConfigFile, DryRun, Output, Reason, gateway, seconds
from console.cli.output import Format, show, show_outcome, show_rows
from console.client import Client

app = typer.Typer(name="agents", help="AI agents that may act, and for whom.", no_args_is_help=True)
Agent = Annotated[str, typer.Argument(metavar="AGENT", help="Its id, agent:NAME.")]

_SHOWN = ("id", "state", "owner", "model", "version", "expires", "purpose")
_PAGE = 1000  # agents in one answer


@app.command("list")
def list_(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show every agent, the revoked too; `-o json` has all that is known."""
    agents = list(_all(gateway(config)))
    rows = agents if output is Format.json else [{name: agent[name] for name in _SHOWN} for agent in agents]
    show_rows(rows, output)


@app.command("show")
def one(agent: Agent, config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show one agent and its history: who changed it, when and why."""
    show(gateway(config).ask("GET", f"/v1/agents/{quote(agent, safe='')}"), output)


@app.command()
def add(
    agent: Annotated[str, typer.Argument(metavar="[AGENT]", help="Its id, agent:NAME.")] = "",
    reason: Reason = "registered",
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; - for stdin. Options win.", allow_dash=True),
    ] = None,
    owner: Annotated[str, typer.Option(metavar="ID", help="Who answers for it: person:NAME or team:NAME.")] = "",
    purpose: Annotated[str, typer.Option(metavar="TEXT", help="What it was made for.")] = "",
    model: Annotated[str, typer.Option(metavar="NAME", help="The model in it.")] = "",
    version: Annotated[str, typer.Option(metavar="TEXT", help="The model's version.")] = "",
    expires: Annotated[str, typer.Option(metavar="TIME", help="For how long: 12h, 90d.")] = "",
    tool: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A tool that it may use; repeat.")] = None,
    amount: Annotated[
        list[str] | None, typer.Option(metavar="CUR=N", help="The most it may move at once, EUR=500; repeat.")
    ] = None,
    act_for: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="For whom: person:NAME, role:NAME, * for all; repeat.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="THUMBPRINT", help="A key of its own (RFC 7638); repeat.")
    ] = None,
    jwk: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Such a key, public, as a JWK; - for stdin; repeat.", allow_dash=True),
    ] = None,
    spiffe_id: Annotated[str, typer.Option(metavar="URI", help="Its SPIFFE id.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="It is registered already: declare it anew.")] = False,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Register an agent. What is not listed is not allowed."""
    options: dict[str, Any] = {"id": agent, "owner": owner, "purpose": purpose, "model": model, "version": version}
    keys = [*(key or []), *map(thumbprint, jwk or [])]
    options |= {"tools": tool, "may_act_for": act_for, "keys": keys, "spiffe_id": spiffe_id}
    options["expires"] = time.time() + seconds(expires) if expires else None
    profile = profile_of(file, options, amount or [])
    order = {"profile": profile, "reason": reason, "by": by, "replace": replace, "dry_run": dry_run}
    _order(config, "POST", order, output)


@app.command()
def suspend(
    agent: Agent,
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Stop an agent now, until it is resumed: its requests are refused, its live sessions end."""
    _change(config, "suspend", agent, reason, by, dry_run, output)


@app.command()
def resume(
    agent: Agent,
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Let a suspended agent act again."""
    _change(config, "resume", agent, reason, by, dry_run, output)


@app.command()
def revoke(
    agent: Agent,
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Stop an agent now and for good: its id is not used again."""
    _change(config, "revoke", agent, reason, by, dry_run, output)


def _all(client: Client) -> Iterator[dict[str, Any]]:
    after = ""
    while page := client.ask("GET", f"/v1/agents?{urlencode({'after': after, 'limit': _PAGE})}"):
        yield from page
        after = page[-1]["id"]


def _change(config: Path, verb: str, agent: str, reason: str, by: str, dry_run: bool, output: Format) -> None:
    order = {"verb": verb, "agent": agent, "reason": reason, "by": by, "dry_run": dry_run}
    _order(config, "PATCH", order, output)


def _order(config: Path, method: str, order: dict[str, Any], output: Format) -> None:
    answer = gateway(config).ask(method, "/v1/agents", order)
    known = answer.get("agent", {})
    brief = answer | {"agent": known.get("id"), "state": known.get("state")} if known else answer
    show_outcome(answer if output is Format.json else brief, output)
