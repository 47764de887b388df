"""Exit codes, and the one table from what went wrong to how the process ends."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    FINDINGS = 3  # it worked, and found something wrong
    CONFIGURATION = 64


# By name: some of these floors take longer to load than most commands take to run.
EXITS = {
    "gateway.configuration.ConfigurationError": Exit.CONFIGURATION,
    "policy.problem.PolicyError": Exit.CONFIGURATION,
    "console.client.Unreachable": Exit.FAILURE,
    "console.client.Refused": Exit.FAILURE,
    "console.supervision.lock.AlreadyRunning": Exit.FAILURE,
    "defense_lines.agent.capabilities.CapabilityError": Exit.FAILURE,
    "gateway.edge.binary.EnvoyMissing": Exit.FAILURE,
    "detectors.models.model.ModelRefused": Exit.CONFIGURATION,
}


class Commands(TyperGroup):
    """The root of all commands: known errors become one message and their exit code, never a stack trace."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            code = EXITS.get(f"{type(error).__module__}.{type(error).__name__}")
            if code is None:
                raise
            typer.echo(error, err=True)
            raise typer.Exit(code) from error
