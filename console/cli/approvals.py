"""`portcullis approvals`: blocks that wait for a second person."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from console.cli.options import DEFAULT_FILE, By, ConfigFile, Output, Reason, gateway
from console.cli.output import Format, show_outcome, show_rows

app = typer.Typer(name="approvals", help="Blocks that wait for a second person.", no_args_is_help=True)
_SHOWN = ("id", "kind", "value", "by", "held", "until")

Block = Annotated[str, typer.Argument(help="Block id, as `approvals list` shows it.")]


@app.command("list")
def list_(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show what waits, and why; `-o json` has whom each would have hit when it was held."""
    rows = gateway(config).ask("GET", "/v1/approvals")
    show_rows(rows if output is Format.json else [{name: row.get(name) for name in _SHOWN} for row in rows], output)


@app.command()
def approve(
    block: Block, reason: Reason, by: By = "", config: ConfigFile = DEFAULT_FILE, output: Output = Format.human
) -> None:
    """Have it carried out, on your name beside the name of who asked; not for who asked."""
    order = {"reason": reason, "by": by}
    show_outcome(gateway(config).ask("POST", f"/v1/approvals/{quote(block, safe='')}/approve", order), output)


@app.command()
def decline(
    block: Block, reason: Reason, by: By = "", config: ConfigFile = DEFAULT_FILE, output: Output = Format.human
) -> None:
    """Have it forgotten, on record."""
    order = {"reason": reason, "by": by}
    show_outcome(gateway(config).ask("POST", f"/v1/approvals/{quote(block, safe='')}/decline", order), output)
