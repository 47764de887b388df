"""`portcullis policy data`: what the running gateway's policy sees as `data`, and changes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from console.cli.files import text
from console.cli.options import DEFAULT_FILE, By, ConfigFile, DryRun, Output, Reason, gateway
from console.cli.output import Format, show_outcome

app = typer.Typer(name="data", help="The data that policy reads, in the running gateway.", no_args_is_help=True)
Pointer = Annotated[str, typer.Argument(metavar="PATH", help="JSON pointer, such as /risk/person:alice.")]
JsonFile = Annotated[Path, typer.Argument(metavar="FILE", help="JSON; - for stdin.", allow_dash=True)]


@app.command()
def get(path: Pointer, config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show the value at a path, live or the revision's own."""
    from policy import decode_json, encode_json  # takes longer to load than most commands to run

    answer = gateway(config).ask("GET", f"/v1/policy/data?path={quote(path, safe='')}", decode=decode_json)
    if answer.get("outcome") == "refused":
        show_outcome(answer, output)
    typer.echo(encode_json(answer if output is Format.json else answer["value"], indent="  "))


@app.command()
def put(
    path: Pointer,
    file: JsonFile,
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Write a value at a path. It lasts until it is removed, or the gateway ends."""
    order = {"path": path, "value": _json(file), "reason": reason, "by": by, "dry_run": dry_run}
    _order(config, "PUT", order, output)


@app.command()
def remove(
    path: Pointer,
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Take away what is live at a path: what the revision's own data says there shows again."""
    _order(config, "DELETE", {"path": path, "reason": reason, "by": by, "dry_run": dry_run}, output)


@app.command()
def patch(
    file: JsonFile,
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Apply a JSON patch (RFC 6902), as a whole or not at all."""
    order = {"operations": _json(file), "reason": reason, "by": by, "dry_run": dry_run}
    _order(config, "PATCH", order, output)


def _order(config: Path, method: str, order: dict[str, Any], output: Format) -> None:
    from policy import encode_json

    show_outcome(gateway(config).ask(method, "/v1/policy/data", encode_json(order).encode()), output)


def _json(file: Path) -> Any:
    from policy import decode_json

    try:
        return decode_json(text(file))
    except ValueError as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from error
