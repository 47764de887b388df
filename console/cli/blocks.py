"""`portcullis blocks`: what is blocked, and by whose order."""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from console.cli.exits import Exit
from console.cli.files import text
from console.cli.options import DEFAULT_FILE, By, ConfigFile, DryRun, Output, Reason, gateway, moment, seconds
from console.cli.output import Format, show, show_rows

if TYPE_CHECKING:
    from policy import Target


Life = Annotated[str, typer.Option("--ttl", metavar="TIME", help="How long: 90s, 10m, 1h, 2d.")]
Override = Annotated[bool, typer.Option("--override", help="Against the guard's advice, on record.")]
_GOOD = ("accepted", "canary", "dry_run")
_AT_ONCE = 500  # blocks in one request
_COMMENT = re.compile(rb"[#;].*")


class Kind(StrEnum):
    """What a block may target; `policy.TargetKind` as the command line reads it."""

    address = "address"
    range = "range"
    principal = "principal"
    actor = "actor"
    session = "session"


app = typer.Typer(name="blocks", help="Block policies, on every defense line.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show every block that stands."""
    show_rows(gateway(config).ask("GET", "/v1/blocks"), output)


@app.command("show")
def story(block: str, config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show one block's story: its cause, and each line's receipts."""
    show(gateway(config).ask("GET", f"/v1/blocks/{quote(block, safe='')}"), output)


@app.command()
def add(
    kind: Annotated[Kind, typer.Argument(help="What is meant.")],
    value: Annotated[str, typer.Argument(help="Address, range or id.")],
    reason: Reason,
    ttl: Life = "1h",
    by: By = "",
    override: Override = False,
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Block a target everywhere for a time."""
    target, life = _target(kind, value), seconds(ttl)
    order = {"kind": target.kind, "value": target.value, "reason": reason, "by": by, "ttl": life}
    answer = gateway(config).ask("POST", "/v1/blocks", order | {"override": override, "dry_run": dry_run})
    show(answer, output)
    _end(answer, *_GOOD)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="An address or a range on each line; - for stdin.")],
    reason: Reason,
    ttl: Life = "1h",
    by: By = "",
    override: Override = False,
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Block all that a list names, each judged by the guard. What follows # or ; is a comment."""
    listed = iter(_listed(file))
    order = {"reason": reason, "by": by, "ttl": seconds(ttl), "override": override, "dry_run": dry_run}
    client, outcomes = gateway(config), Counter[str]()
    others = list[dict[str, object]]()
    while some := list(islice(listed, _AT_ONCE)):
        for answer in client.ask("POST", "/v1/blocks/batch", order | {"targets": some}):
            outcomes[answer.get("would", answer["outcome"])] += 1
            others += [answer] if answer["outcome"] not in _GOOD else []
    show({**outcomes, "others": others}, output)
    if others:
        raise typer.Exit(Exit.FAILURE)


@app.command()
def lift(
    reason: Reason,
    cause: Annotated[str, typer.Option(metavar="ID", help="Of this verdict, or this technique.")] = "",
    detector: Annotated[str, typer.Option(metavar="NAME", help="Ordered by this detector.")] = "",
    author: Annotated[str, typer.Option(metavar="NAME", help="Ordered by, as `blocks list` shows it.")] = "",
    within: Annotated[str, typer.Option(metavar="RANGE", help="Of addresses and ranges inside this one.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Made since: 2h ago, or 2026-11-23T09:00.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Made before.")] = "",
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Lift all blocks that have all of this in common, in one go, on record."""
    chosen: dict[str, str | float | None] = {"cause": cause, "detector": detector, "author": author, "within": within}
    chosen |= {"since": moment(since) if since else 0.0, "until": moment(until) if until else None}
    selection = {name: value for name, value in chosen.items() if value}
    if not selection:
        raise typer.BadParameter("say which: --cause, --detector, --author, --within, --since, --until")
    order = {"selection": selection, "reason": reason, "by": by, "dry_run": dry_run}
    show(gateway(config).ask("POST", "/v1/blocks/lift", order), output)


@app.command()
def revoke(
    block: Annotated[str, typer.Argument(help="Block id, as `blocks list` shows it.")],
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Lift a block before its time ends (break-glass), on record."""
    client, path = gateway(config), f"/v1/blocks/{quote(block, safe='')}"
    if dry_run:
        show({"outcome": "dry_run", "would_lift": client.ask("GET", path)}, output)
        return
    answer = client.ask("DELETE", path, {"reason": reason, "by": by})
    show(answer, output)
    _end(answer, "lifted")


def _target(kind: Kind, value: str) -> Target:
    from policy import InvalidTarget, Target  # a floor that takes longer to load than most commands take to run

    try:
        return Target.of(kind.value, value)
    except InvalidTarget as error:
        raise typer.BadParameter(str(error)) from error


def _listed(file: Path) -> list[dict[str, str]]:
    """The targets of a list, once each. A line that names none refuses the list, before anything is sent."""
    from policy import InvalidTarget, Target

    found = dict[Target, None]()
    try:
        lines = text(file).splitlines()
    except OSError as error:
        raise typer.BadParameter(str(error)) from error
    for number, line in enumerate(lines, 1):
        if value := _COMMENT.sub(b"", line).decode(errors="replace").strip():
            try:
                found[Target.of("range" if "/" in value else "address", value)] = None
            except InvalidTarget as error:
                raise typer.BadParameter(f"{file}, line {number}: {error}") from error
    return [{"kind": target.kind, "value": target.value} for target in found]


def _end(answer: dict[str, object], *good: str) -> None:
    if answer.get("outcome") not in good:
        raise typer.Exit(Exit.FAILURE)
