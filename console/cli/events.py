"""`portcullis events`: what is happening, and what happened elsewhere."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, ConfigFile, Output, configuration, gateway
from console.cli.output import Format, cell, note, show_rows
from console.client import Client

app = typer.Typer(name="events", help="Telemetry.", no_args_is_help=True)
_COLUMNS = ("time", "source", "action", "resource", "outcome", "subject", "actor", "address", "name")


@app.command()
def tail(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show events as they happen, until Ctrl-C."""
    try:
        for event in gateway(config).follow("/v1/events"):
            typer.echo(json.dumps(event, ensure_ascii=False) if output is Format.json else _line(event))
    except KeyboardInterrupt:
        raise typer.Exit(Exit.OK) from None


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="EVE, Zeek, JSON lines or a packet capture; also gzipped.")],
    source: Annotated[str, typer.Option(metavar="NAME", help="What they came from; else FORMAT:FILE.")] = "",
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Show files to who watches the running gateway's telemetry. They are history: no detector gets them.

    What cannot be read, or cannot be, is counted and kept aside.
    """
    from telemetry import UnknownFormat

    state, client = configuration(config).config.state, gateway(config)
    try:
        readings = [_import(file, source, client, state) for file in files]
    except (UnknownFormat, OSError) as error:
        note(str(error))
        raise typer.Exit(Exit.FAILURE) from error
    show_rows(readings, output)


def _import(file: Path, source: str, client: Client, state: Path) -> dict[str, Any]:
    from telemetry import Rejects, read_file

    with Rejects(path=state / "rejects.jsonl") as rejects:
        reading = read_file(file, source, rejects)
        accepted, refused = 0, Counter[str]()
        for batch in reading:
            answer = client.ask("POST", "/v1/events", batch.to_bytes())
            accepted += answer["events"]
            refused.update(answer["refused"])
    return {
        "file": str(file),
        "format": reading.format,
        "events": accepted,
        "refused": dict(refused),
        "ignored": reading.ignored,
        "malformed": dict(reading.malformed),
    }


def _line(event: dict[str, Any]) -> str:
    return "  ".join(text for text in (cell(name, event.get(name, "")) for name in _COLUMNS) if text)
