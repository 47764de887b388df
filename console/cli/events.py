"""`portcullis events`: what is happening, and what happened elsewhere."""

from __future__ import annotations

import json
from typing import Any

import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, ConfigFile, Output, gateway
from console.cli.output import Format, cell

app = typer.Typer(name="events", help="Telemetry.", no_args_is_help=True)
_COLUMNS = ("time", "source", "action", "resource", "outcome", "subject", "actor", "address", "name")
ROWS = 10_000  # events in one request to the gateway


@app.command()
def tail(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show events as they happen, until Ctrl-C."""
    try:
        for event in gateway(config).follow("/v1/events"):
            typer.echo(json.dumps(event, ensure_ascii=False) if output is Format.json else _line(event))
    except KeyboardInterrupt:
        raise typer.Exit(Exit.OK) from None


def _line(event: dict[str, Any]) -> str:
    return "  ".join(text for text in (cell(name, event.get(name, "")) for name in _COLUMNS) if text)
