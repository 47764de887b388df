"""`portcullis config`: what is in force and where it came from, and making another one live."""

from __future__ import annotations

import msgspec
import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, ConfigFile, DryRun, Output, configuration, gateway
from console.cli.output import Format, show, show_rows
from gateway.configuration import effective

app = typer.Typer(name="config", help="The configuration in force.", no_args_is_help=True)


@app.command()
def check(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Check the configuration; show each effective value and its origin."""
    show_rows([msgspec.to_builtins(setting) for setting in effective(configuration(config))], output)


@app.command()
def reload(dry_run: DryRun = False, config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Make services and routes as they are on disk live. If anything is wrong, nothing changes: exit code 3."""
    answer = gateway(config).ask("POST", "/v1/configuration", {"dry_run": dry_run})
    problems = answer.get("problems", ())
    if not problems or output is Format.json:
        show(answer, output)
    for problem in problems if output is Format.human else ():
        typer.echo(problem)
    if problems:
        raise typer.Exit(Exit.FINDINGS)
