"""`portcullis lines`: the defense lines, what each still owes, and whether it is given orders."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, By, ConfigFile, DryRun, Output, Reason, gateway
from console.cli.output import Format, show, show_rows

app = typer.Typer(name="lines", help="Defense lines.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Line, as `lines list` shows it.")]
_SHOWN = ("name", "state", "service", "pending", "enforced", "last_contact", "last_error")


@app.command("list")
def list_(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show each line's state, what is pending on it and its last error; `-o json` has all that is known."""
    lines = gateway(config).ask("GET", "/v1/lines")
    show_rows(lines if output is Format.json else [{name: line.get(name) for name in _SHOWN} for line in lines], output)


@app.command("show")
def one(name: Name, config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show all that is known of one line: what it can do, what it was told, how long it takes, what drifted."""
    show(gateway(config).ask("GET", _path(name)), output)


@app.command("test")
def try_(
    name: Name, reason: Reason, by: By = "", config: ConfigFile = DEFAULT_FILE, output: Output = Format.human
) -> None:
    """Have one line enforce a block that hurts nobody (an address that nobody has), and lift it again."""
    answer = gateway(config).ask("POST", f"{_path(name)}/test", {"reason": reason, "by": by})
    show(answer, output)
    if answer["outcome"] != "passed":
        raise typer.Exit(Exit.FAILURE)


@app.command()
def drain(
    name: Name,
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Give a line no new orders until it is resumed: what is ordered meanwhile waits for it."""
    _serve(name, "drained", reason, by, dry_run, config, output)


@app.command()
def quarantine(
    name: Name,
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Trust a line no more, and give it no orders, until it is resumed."""
    _serve(name, "quarantined", reason, by, dry_run, config, output)


@app.command()
def resume(
    name: Name,
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Give a line orders again, beginning with those that it missed and that still stand."""
    _serve(name, "in_service", reason, by, dry_run, config, output)


def _serve(name: str, service: str, reason: str, by: str, dry_run: bool, config: ConfigFile, output: Format) -> None:
    client = gateway(config)
    if dry_run:
        line = client.ask("GET", _path(name))
        show({"outcome": "dry_run", "line": name, "service": line["service"], "would_be": service}, output)
        return
    show(client.ask("POST", f"{_path(name)}/service", {"service": service, "reason": reason, "by": by}), output)


def _path(name: str) -> str:
    return f"/v1/lines/{quote(name, safe='')}"
