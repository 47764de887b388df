"""`portcullis lines`: the defense lines, and what each still owes."""

from __future__ import annotations

import typer

from console.cli.options import DEFAULT_FILE, ConfigFile, Output, gateway
from console.cli.output import Format, show_rows

app = typer.Typer(name="lines", help="Defense lines.", no_args_is_help=True)
_SHOWN = ("name", "state", "pending", "enforced", "last_contact", "last_error")


@app.callback()
def noun() -> None:
    """Keep the verb: a noun with one command is still a noun."""


@app.command("list")
def list_(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show each line's state, what is pending on it and its last error; `-o json` has all that is known."""
    lines = gateway(config).ask("GET", "/v1/lines")
    show_rows(lines if output is Format.json else [{name: line.get(name) for name in _SHOWN} for line in lines], output)
