"""The shelf of models that a configuration names, and what commands on it have in common."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from console.cli.exits import Exit
from console.cli.options import configuration
from console.cli.output import note
from gateway.config import Config

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from detectors import Shelf
    from detectors.models import Task

    Trusted = tuple[Ed25519PublicKey, ...]


def shelf_of(file: Path) -> Shelf:
    """The shelf of a configuration. Raises ConfigurationError, ModelRefused."""
    from detectors import Shelf

    tree = configuration(file).config
    return Shelf(place(tree), trusted(tree))


def place(config: Config) -> Path:
    """Where the shelf lies."""
    return config.detectors.models or config.state / "models"


def trusted(config: Config) -> Trusted:
    """The keys of others that count there. Raises ModelRefused."""
    from detectors.models import read_public

    return tuple(map(read_public, config.detectors.trusted_keys))


def tasks(schema: str | None) -> list[Task]:
    """What there is to train, or the one of a name. Raises typer.BadParameter."""
    from detectors.models import TASKS

    if schema is not None and schema not in TASKS:
        raise typer.BadParameter(f"there are: {', '.join(TASKS)}", param_hint="SCHEMA")
    return [TASKS[schema]] if schema else list(TASKS.values())


@contextmanager
def refusals_told() -> Iterator[None]:
    """A model or data that is refused ends the command with one line. Raises typer.Exit."""
    from detectors import DataRefused, ModelRefused

    try:
        yield
    except (DataRefused, ModelRefused) as refused:
        note(str(refused))
        raise typer.Exit(Exit.FAILURE) from refused


def who(by: str) -> str:
    """The name that is stated, and the account that the kernel knows."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = f"uid-{os.getuid()}"
    return f"operator:{by} as {account}" if by else f"operator:{account}"
