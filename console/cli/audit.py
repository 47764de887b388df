"""`portcullis audit`: whether the record is as it was written. Needs no running gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, ConfigFile, Output, configuration
from console.cli.output import Format, note, show_rows

app = typer.Typer(name="audit", help="The ledger, as evidence.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """Keep the verb: a noun with one command is still a noun."""


@app.command()
def verify(
    ledger: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The ledger's folder, or a copy of it.")] = None,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Find altered, missing and cut-off entries. Exit code 3 if there are any."""
    from defense_lines.ledger import Places, public_key
    from defense_lines.ledger import verify as findings_in

    places = Places(ledger or configuration(config).config.state / "ledger")
    if not places.database.is_file():
        note(f"there is no ledger in {places.folder}")
        raise typer.Exit(Exit.FAILURE)
    findings = findings_in(places.database, places.head, public_key(places.public_key))
    show_rows([msgspec.to_builtins(finding) for finding in findings], output)
    if findings:
        raise typer.Exit(Exit.FINDINGS)
    note(f"{places.database}: every entry is as it was written")
