"""The tree of commands: one file a noun."""

from __future__ import annotations

import typer

from console.cli import (
    agents,
    approvals,
    audit,
    blocks,
    config,
    demo,
    events,
    ledger,
    line,
    lines,
    models,
    policy,
    run,
    sessions,
    status,
    up,
)
from console.cli.exits import Commands
from telemetry import plain_logs

app = typer.Typer(
    name="portcullis",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Zero-trust gateway: judge every request, cut every live session, block on every line.",
)
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("status")(status.status)
app.command("line")(line.line)
for noun in (config, policy, blocks, approvals, lines, sessions, agents, events, models, ledger, audit, run):
    app.add_typer(noun.app)


def main() -> None:
    """Run the command that the arguments name: the one way into every process of ours."""
    plain_logs()
    app()
