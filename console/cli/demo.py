"""`portcullis demo`: the sample bank's story against a running system. It lies in `deploy/`, in a checkout only."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from console.cli.exits import Exit
from console.cli.output import note

CHECKOUT = Path(__file__).parents[2]


def demo(
    json: Annotated[bool, typer.Option("--json", help="End with one line of JSON on standard output.")] = False,
) -> None:
    """Play the demo bank's story against the running system, and print each step as it happens."""
    if not (CHECKOUT / "deploy" / "demo" / "__main__.py").is_file():
        note("the demo is part of a checkout, not of the installed package")
        raise typer.Exit(Exit.FAILURE)
    # A fresh interpreter in our place: namespaces can only be entered while a process has one thread.
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "deploy.demo", *(["--json"] if json else [])])  # noqa: S606
