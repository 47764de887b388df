"""`portcullis sessions`: live streams, and how to end them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from console.cli.options import DEFAULT_FILE, By, ConfigFile, DryRun, Output, Reason, gateway
from console.cli.output import Format, show, show_rows


class Index(StrEnum):
    """By what sessions are found."""

    principal = "principal"
    actor = "actor"
    session = "session"
    address = "address"
    range = "range"
    subject = "subject"
    login = "login"
    token = "token"  # noqa: S105 - an index, and no token
    key = "key"
    certificate = "certificate"
    device = "device"
    email = "email"
    service = "service"
    revision = "revision"


app = typer.Typer(name="sessions", help="Live sessions.", no_args_is_help=True)


@app.command("list")
def list_(
    index: Annotated[Index | None, typer.Argument(help="Only those under one index.")] = None,
    value: Annotated[str, typer.Argument(help="Its id or address.")] = "",
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Show live sessions."""
    if bool(index) != bool(value):
        raise typer.BadParameter("INDEX and VALUE go together")
    query = f"?{urlencode({'index': index.value, 'value': value})}" if index else ""
    show_rows(gateway(config).ask("GET", f"/v1/sessions{query}"), output)


@app.command("show")
def show_(
    session: Annotated[str, typer.Argument(help="The session's id.")],
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Show one live session, what it rests on and what its decision depends on."""
    show(gateway(config).ask("GET", f"/v1/sessions/{quote(session, safe='')}"), output)


@app.command()
def cuts(
    limit: Annotated[int, typer.Option(help="So many.")] = 100,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Show the newest cuts: who, why, on which signal, in how many milliseconds."""
    show_rows(gateway(config).ask("GET", f"/v1/cuts?limit={limit}"), output)


@app.command()
def cut(
    kind: Annotated[Index, typer.Argument(help="Whose sessions.")],
    value: Annotated[str, typer.Argument(help="Its id or address.")],
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Cut live sessions now; new ones are judged as ever (to refuse those too, add a block)."""
    order = {"kind": kind.value, "value": value, "reason": reason, "by": by, "dry_run": dry_run}
    show(gateway(config).ask("POST", "/v1/sessions/cut", order), output)
