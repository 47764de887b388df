"""`portcullis lines`: the defense lines, and what each still owes."""

from __future__ import annotations

import typer

from console.cli.options import DEFAULT_FILE, ConfigFile, Output, gateway
from console.cli.output import Format, show_rows

app = typer.Typer(name="lines", help="Defense lines.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """Keep the verb: a noun with one command is still a noun."""


@app.command("list")
def list_(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show each line's state and what is pending on it."""
    show_rows(gateway(config).ask("GET", "/v1/lines"), output)
