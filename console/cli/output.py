"""Shows data: tables and pairs for people, JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from console.cli.exits import Exit

_TIMES = frozenset(
    ("time", "created", "expires", "started", "since", "until", "authenticated", "seen", "last_contact", "changed")
) | {"not_before"}
_EARLIEST_TIME = 1e9  # Unix seconds; smaller numbers under these names are durations
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Format(StrEnum):
    """Who reads the output."""

    human = "human"
    json = "json"


def show_rows(rows: Sequence[Mapping[str, Any]], format_: Format) -> None:
    """A list of records; an empty one is `[]` in JSON."""
    if format_ is Format.json:
        _json(rows)
    elif not rows:
        note("none")
    else:
        _console().print(_table(rows))


def show(record: Mapping[str, Any], format_: Format) -> None:
    """One record."""
    if format_ is Format.json:
        _json(record)
        return
    width = max(map(len, record), default=0)
    for name, value in record.items():
        nested = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
        typer.echo(f"{name:<{width}}  {'' if nested else cell(name, value)}".rstrip())
        if nested:
            _console().print(_table(value))


def show_outcome(answer: Mapping[str, Any], format_: Format) -> None:
    """What became of an order. Raises typer.Exit where it was refused."""
    show(answer, format_)
    if answer["outcome"] == "refused":
        raise typer.Exit(Exit.FAILURE)


def note(text: str) -> None:
    """Say something that is not data."""
    typer.echo(text, err=True)


def cell(name: str, value: Any) -> str:
    """One value as people read it. Control characters of whoever chose the text never reach the terminal."""
    if name in _TIMES and isinstance(value, int | float) and value > _EARLIEST_TIME:
        return datetime.fromtimestamp(value).astimezone().isoformat(" ", "milliseconds")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return _CONTROL.sub("�", ", ".join(value))
    return _CONTROL.sub("�", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for name in names:
        table.add_column(name.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(_plain(cell(name, row.get(name))) for name in names))
    return table


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _console() -> Console:
    # Off a terminal there is no width to fit: rows stay on one line each, for grep.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=500)


def _json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
