"""`portcullis models`: what judges: trained, listed, shown, evaluated, put in force, and taken back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from console.cli.exits import Exit
from console.cli.model_shown import compared, listed, shown
from console.cli.options import DEFAULT_FILE, By, ConfigFile, DryRun, Output, Reason
from console.cli.output import Format, note, show, show_rows
from console.cli.shelf import refusals_told, shelf_of, tasks, who

if TYPE_CHECKING:
    from detectors.models import History, Stretch, Task

app = typer.Typer(
    name="models", help="What judges events: revisions on a shelf, and the one in force.", no_args_is_help=True
)
Revision = Annotated[str, typer.Argument(help="Revision, as `models list` shows it.")]
Schema = Annotated[
    str | None, typer.Option("--schema", metavar="NAME", help="access, flow, pair or name; without, all there are.")
]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="FILE", help="Labelled events, with FILE.labels beside; may be repeated."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=1_000_000, help="Of the simulator and of chance.")]
_ELSEWHERE = 1_000_000  # the seed to evaluate by: none that anybody trains with


@app.command("list")
def list_(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show each revision, oldest first, and which is in force; one that may not be used says why."""
    with refusals_told():
        entries = shelf_of(config).entries()
    show_rows([listed(entry, people=output is Format.human) for entry in entries], output)


@app.command("show")
def show_(revision: Revision, config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show a model's card: what it is for, was made from, how good it is, and what it does not see."""
    from detectors.models import schema_of

    with refusals_told():
        shelf = shelf_of(config)
        card, signer = shelf.card(revision), shelf.signer(revision)
        history = shelf.history(schema_of(revision))
        evaluated = shelf.evaluation(revision)
    if output is Format.human:
        show(shown(card, signer, history, evaluated), output)
        return
    told = [one for one in history.promotions if revision in (one.revision, one.before)]
    show(
        msgspec.to_builtins(card)
        | {
            "signed_by": signer,
            "in_force": history.in_force == revision,
            "promotions": msgspec.to_builtins(told),
            "evaluated": msgspec.to_builtins(evaluated),
        },
        output,
    )


@app.command()
def train(
    seed: Seed = 1,
    schema: Schema = None,
    data: Data = None,
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Train a new revision, on simulated traffic or on your own, and put it on the shelf; nothing is promoted."""
    from detectors.models import add, found, read, simulated
    from detectors.models import train as trained

    rows = []
    with refusals_told():
        shelf = shelf_of(config)
        if not dry_run:
            found(shelf)  # one that cannot be written is said before the training
        for task in tasks(schema):
            parts = read(data, task, time.time()).parts(task, seed) if data else simulated(task, seed)
            model = trained(task, seed, parts, _progress)
            if not dry_run:
                add(shelf, model)
            outcome = {"outcome": "dry_run" if dry_run else "trained", "revision": model.card.revision}
            rows.append(outcome | compared(model.card.test))
    show_rows(rows, output)


@app.command()
def evaluate(
    revision: Revision,
    seed: Seed = _ELSEWHERE,
    data: Data = None,
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Judge a revision beside the one in force, on traffic that neither was trained on. Exit code 3 if it is worse."""
    from detectors.models import TASKS, compare, record, schema_of

    with refusals_told():
        shelf = shelf_of(config)
        candidate, task = shelf.load(revision), TASKS[schema_of(revision)]
        in_force = shelf.in_force(task.schema) if shelf.history(task.schema.name).in_force else None
        told = compare(candidate, in_force, _stretch(task, seed, data), time.time())
        if not dry_run:
            record(shelf, told)
    if output is Format.json:
        show(msgspec.to_builtins(told), output)
    else:
        rows = [{"revision": told.revision} | compared(told.result)]
        if told.standing:
            rows.append({"revision": f"{told.against} (in force)"} | compared(told.standing))
        show_rows(rows, output)
        note(f"on {told.traffic.source}: {told.traffic.events} events")
        for why in told.worse:
            note(f"worse: {why}")
    if told.worse:
        raise typer.Exit(Exit.FINDINGS)


@app.command()
def promote(
    revision: Revision,
    reason: Reason,
    by: By = "",
    force: Annotated[bool, typer.Option("--force", help="Although it was not evaluated as no worse.")] = False,
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Put a revision in force. Running detectors take it up within seconds, and keep what they know of everybody."""
    from detectors.models import promote as promoted

    with refusals_told():
        when = time.time()
        history = promoted(
            shelf_of(config), revision, time=when, by=who(by), reason=reason, force=force, dry_run=dry_run
        )
    _show_change(history, dry_run, output)


@app.command()
def rollback(
    schema: Annotated[str, typer.Argument(metavar="SCHEMA", help="access, flow, pair or name.")],
    reason: Reason,
    by: By = "",
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Put in force again what was before; once more, what was before that."""
    from detectors.models import roll_back

    (task,) = tasks(schema)
    with refusals_told():
        when, name = time.time(), task.schema.name
        history = roll_back(shelf_of(config), name, time=when, by=who(by), reason=reason, dry_run=dry_run)
    _show_change(history, dry_run, output)


def _show_change(history: History, dry_run: bool, output: Format) -> None:
    change = msgspec.to_builtins(history.promotions[-1])
    what = change.pop("what")
    show({"outcome": "dry_run" if dry_run else what, "schema": history.schema} | change, output)


def _stretch(task: Task, seed: int, data: list[Path] | None) -> Stretch:
    from detectors.models import HELD_OUT, read, simulated_part

    return read(data, task, time.time()).whole(task) if data else simulated_part(task, seed, HELD_OUT)


def _progress(what: str, share: float) -> None:
    note(f"{what} ({share:.0%})")
