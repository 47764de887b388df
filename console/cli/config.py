"""`portcullis config`: what is in force, and where it came from."""

from __future__ import annotations

import msgspec
import typer

from console.cli.options import DEFAULT_FILE, ConfigFile, Output, configuration
from console.cli.output import Format, show_rows
from gateway.configuration import effective

app = typer.Typer(name="config", help="The configuration in force.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """Keep the verb: a noun with one command is still a noun."""


@app.command()
def check(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Check the configuration; show each effective value and its origin."""
    show_rows([msgspec.to_builtins(setting) for setting in effective(configuration(config))], output)
