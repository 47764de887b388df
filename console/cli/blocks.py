"""`portcullis blocks`: what is blocked, and by whose order."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, By, ConfigFile, DryRun, Output, Reason, gateway, seconds
from console.cli.output import Format, show, show_rows
from console.client import Client

if TYPE_CHECKING:
    from policy import Target


class Kind(StrEnum):
    """What a block may target; `policy.TargetKind` as the command line reads it."""

    address = "address"
    range = "range"
    principal = "principal"
    actor = "actor"
    session = "session"


app = typer.Typer(name="blocks", help="Block policies, on every defense line.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show every block that stands."""
    show_rows(gateway(config).ask("GET", "/v1/blocks"), output)


@app.command("show")
def story(block: str, config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show one block's story: its cause, and each line's receipts."""
    show(gateway(config).ask("GET", f"/v1/blocks/{quote(block, safe='')}"), output)


@app.command()
def add(
    kind: Annotated[Kind, typer.Argument(help="What is meant.")],
    value: Annotated[str, typer.Argument(help="Address, range or id.")],
    reason: Reason,
    ttl: Annotated[str, typer.Option(metavar="TIME", help="How long: 90s, 10m, 1h, 2d.")] = "1h",
    by: By = "",
    override: Annotated[bool, typer.Option("--override", help="Against the guard's advice, on record.")] = False,
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Block a target everywhere for a time."""
    target, life = _target(kind, value), seconds(ttl)
    order = {"kind": target.kind, "value": target.value, "reason": reason, "by": by}
    client = gateway(config)
    if dry_run:
        show({"outcome": "dry_run", **order, "expires": time.time() + life, **_would_cut(client, order)}, output)
        return
    answer = client.ask("POST", "/v1/blocks", order | {"ttl": life, "override": override})
    show(answer, output)
    _end(answer, "accepted")


@app.command()
def revoke(
    block: Annotated[str, typer.Argument(help="Block id, as `blocks list` shows it.")],
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Lift a block before its time ends (break-glass), on record."""
    client, path = gateway(config), f"/v1/blocks/{quote(block, safe='')}"
    if dry_run:
        show({"outcome": "dry_run", "would_lift": client.ask("GET", path)}, output)
        return
    answer = client.ask("DELETE", path, {"reason": reason, "by": by})
    show(answer, output)
    _end(answer, "lifted")


def _would_cut(client: Client, order: dict[str, str]) -> dict[str, object]:
    if order["kind"] == Kind.range.value:
        return {}  # sessions are found by what they are, not by the range that they lie in
    answer = client.ask("POST", "/v1/sessions/cut", order | {"dry_run": True})
    return {"sessions": answer["sessions"]}


def _target(kind: Kind, value: str) -> Target:
    from policy import InvalidTarget, Target  # a floor that takes longer to load than most commands take to run

    try:
        return Target.of(kind.value, value)
    except InvalidTarget as error:
        raise typer.BadParameter(str(error)) from error


def _end(answer: dict[str, object], good: str) -> None:
    if answer.get("outcome") != good:
        raise typer.Exit(Exit.FAILURE)
