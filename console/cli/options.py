"""Options that many commands share."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from console.cli.output import Format
from console.client import Client
from gateway.configuration import Loaded, load

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", envvar="PORTCULLIS_CONFIG", help="Configuration file.")
]
Output = Annotated[Format, typer.Option("--output", "-o", help="For people or for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who orders it, for the record; your uid is added.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]

DEFAULT_FILE = Path("portcullis.yaml")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def configuration(file: Path) -> Loaded:
    """Load the configuration. Raises ConfigurationError."""
    return load(file, os.environ)


def gateway(file: Path) -> Client:
    """The running gateway of this configuration. Raises ConfigurationError."""
    return Client(configuration(file).config.state / "run" / "admin.sock")


def seconds(text: str) -> float:
    """Parse a duration like `90`, `90s`, `10m`, `1h` or `2d`."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)", text)
    if not match or float(match[1]) == 0:
        raise typer.BadParameter("write it as 90s, 10m, 1h or 2d")
    return float(match[1]) * _UNITS[match[2]]


def moment(text: str) -> float:
    """Parse a time as Unix seconds: so long ago (`2h`), or ISO 8601, in this machine's zone where it names none."""
    if re.fullmatch(r"[0-9.]+[smhd]?", text):
        return time.time() - seconds(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise typer.BadParameter("write it as 30m or 2h (ago), or as 2026-11-23T09:00") from error
