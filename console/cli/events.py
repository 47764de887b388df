"""`portcullis events`: what is happening, and what happened elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, ConfigFile, DryRun, Output, configuration, gateway
from console.cli.output import Format, cell, note, show_rows
from console.client import Client

if TYPE_CHECKING:
    from telemetry import EventBatch

Answer = dict[str, Any]  # how many events were taken, and how many refused by reason
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
    files: Annotated[list[Path], typer.Argument(help="EVE, Zeek, JSON lines, rejects or a capture; also gzipped.")],
    source: Annotated[str, typer.Option(metavar="NAME", help="What they came from; else FORMAT:FILE.")] = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Show files to who watches the running gateway's telemetry. They are history: no detector gets them.

    What cannot be read, or cannot be, is counted and kept aside, in STATE/rejects.jsonl. Import that file once the
    cause is mended: what was refused is read again as what it is, from its own source.
    """
    from telemetry import UnknownFormat

    kept, client = configuration(config).config.state / "rejects.jsonl", gateway(config)
    try:
        if dry_run:
            readings = [_import(file, source, _judge, None) for file in files]
        else:
            readings = [_import(file, source, partial(_send, client), kept) for file in files]
    except (UnknownFormat, OSError) as error:
        note(str(error))
        raise typer.Exit(Exit.FAILURE) from error
    show_rows(readings, output)


def _import(file: Path, source: str, take: Callable[[EventBatch], Answer], kept: Path | None) -> dict[str, Any]:
    from telemetry import Rejects, read_file

    with Rejects(path=kept) as rejects:
        reading = read_file(file, source, rejects)
        accepted, refused = 0, Counter[str]()
        for batch in reading:
            answer = take(batch)
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


def _send(client: Client, batch: EventBatch) -> Answer:
    answer: Answer = client.ask("POST", "/v1/events", batch.to_bytes())
    return answer


def _judge(batch: EventBatch) -> Answer:
    """What the gateway would answer."""
    from telemetry import HISTORY, cleanse

    clean, refused = cleanse(batch, time.time(), HISTORY)
    return {"events": len(clean), "refused": {part.reason: len(part.rows) for part in refused}}


def _line(event: dict[str, Any]) -> str:
    return "  ".join(text for text in (cell(name, event.get(name, "")) for name in _COLUMNS) if text)
