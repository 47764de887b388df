"""`portcullis audit`: whether the record is as it was written. Needs no running gateway."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, ConfigFile, Output, configuration
from console.cli.output import Format, note, show_rows

if TYPE_CHECKING:
    from defense_lines.ledger import Finding, Places

app = typer.Typer(name="audit", help="The ledger, as evidence.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """Keep the verb: a noun with one command is still a noun."""


@app.command()
def verify(
    ledger: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The ledger's folder, or a copy of it.")] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The ledger's public key as you kept it; else the one beside it."),
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where its archives lie: they are checked too, as one chain.")
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="SEQ:HASH", help="A head kept elsewhere, as receipts have it; repeatable."),
    ] = None,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Find altered, missing and cut-off entries. Exit code 3 if there are any."""
    from defense_lines.ledger import Places, moved

    heads = [_head(text) for text in head or ()]
    places = Places(ledger or configuration(config).config.state / "ledger")
    if not places.database.is_file():
        note(f"there is no ledger in {places.folder}")
        raise typer.Exit(Exit.FAILURE)
    findings = [*_chain(places, public_key or places.public_key, archive), *_heads(places.database, heads, archive)]
    show_rows([msgspec.to_builtins(finding) for finding in findings], output)
    if findings:
        raise typer.Exit(Exit.FINDINGS)
    note(f"{places.database}: every entry is as it was written")
    if archive is None and moved(places.database):
        note(f"the entries up to {moved(places.database)} lie in archives, which were not looked at: give --archive")
    if public_key is None:
        note("by the key beside it; one kept elsewhere (--public-key) also finds a whole history that was forged")


def _head(text: str) -> tuple[int, bytes]:
    """A head as it travels, with or without its signature."""
    match = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})(?::[\w=-]+)?", text, re.ASCII)
    if not match:
        raise typer.BadParameter("write a head as SEQ:HASH, a number and 64 hexadecimal digits")
    return int(match[1]), bytes.fromhex(match[2])


def _chain(places: Places, key: Path, archive: Path | None) -> Sequence[Finding]:
    from cryptography.exceptions import UnsupportedAlgorithm

    from defense_lines.ledger import Finding, public_key
    from defense_lines.ledger import verify as findings_in

    try:
        return findings_in(places.database, places.head, public_key(key), archive)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        return [Finding(0, f"no entry was checked: the public key cannot be read: {error}")]


def _heads(database: Path, heads: Sequence[tuple[int, bytes]], archive: Path | None) -> Iterator[Finding]:
    from defense_lines.ledger import Finding, hash_at

    for seq, hash_ in heads:
        try:
            found = hash_at(database, seq, archive)
        except (OSError, sqlite3.Error) as error:
            yield Finding(seq, f"the database cannot be read: {error}")
        else:
            if found != hash_:
                missing = "there is no such entry" if found is None else "another entry stands there"
                yield Finding(seq, f"not the history of this head: {missing}")
