"""`portcullis ledger`: the files of the record: what is old into archives, all of it into a backup and back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, By, ConfigFile, DryRun, Output, configuration, gateway, seconds
from console.cli.output import Format, note, show
from console.client import NotRunning

if TYPE_CHECKING:
    from defense_lines.ledger import Compaction, Places

Folder = Annotated[Path | None, typer.Option("--ledger", metavar="FOLDER", help="The ledger's folder.")]
app = typer.Typer(name="ledger", help="The ledger's files: archives, backups.", no_args_is_help=True)


@app.command()
def compact(
    before: Annotated[str, typer.Option(metavar="TIME", help="How old: what was written before, 90d ago.")],
    archive: Annotated[Path, typer.Option(metavar="FOLDER", help="Where archives lie.")],
    ledger: Folder = None,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Move old entries into an archive, but for what still matters: by the gateway, or here where none is running."""
    age = seconds(before)
    order = {"age": age, "archive": str(archive.absolute()), "by": by, "dry_run": dry_run}
    with contextlib.suppress(NotRunning):  # then nobody writes it, and it is done here
        if ledger is None:
            show(gateway(config).ask("POST", "/v1/ledger/compact", order, patience=None), output)
            return
    told = asyncio.run(_compact(_places(ledger, config), time.time() - age, archive, dry_run))
    show({"outcome": "dry_run" if dry_run else "compacted"} | msgspec.to_builtins(told), output)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Made anew; never overwritten.")],
    ledger: Folder = None,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Copy the ledger, while the gateway runs or not: into FILE, and the keys of people's names into FILE.names."""
    from defense_lines.ledger import back_up, names_beside

    places = _places(ledger, config)
    _must_be(places.database)
    head = back_up(places, file)
    show({"file": str(file), "names": str(names_beside(file)), "head": str(head)}, output)
    note("what takes the place of a lost ledger is both, and ledger.key; a name that is erased stays in FILE.names")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    ledger: Folder = None,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Put a backup into the place of a lost ledger, beside its key; on record. Overwrites nothing."""
    from defense_lines.ledger import restore as restored

    _must_be(file)
    places = _places(ledger, config)
    show({"ledger": str(places.folder), "head": str(restored(file, places, time.time()))}, output)


async def _compact(places: Places, before: float, archive: Path, dry_run: bool) -> Compaction:
    from defense_lines.ledger import Ledger

    _must_be(places.database)
    async with await Ledger.open(places.folder) as ledger:
        return await ledger.compact(before, archive, f"operator:uid-{os.getuid()}", dry_run)


def _places(ledger: Path | None, config: Path) -> Places:
    from defense_lines.ledger import Places

    return Places(ledger or configuration(config).config.state / "ledger")


def _must_be(path: Path) -> None:
    if not path.is_file():
        note(f"there is no {path}")
        raise typer.Exit(Exit.FAILURE)
