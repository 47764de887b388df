"""Exit codes, and the one table from what went wrong to how the process ends."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup

from console.client import Refused, Unreachable
from gateway.configuration import ConfigurationError


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    FINDINGS = 3  # it worked, and found something wrong
    CONFIGURATION = 64


class Commands(TyperGroup):
    """The root of all commands: known errors become one message and their exit code, never a stack trace."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (ConfigurationError, Unreachable, Refused) as error:
            self._end(error, Exit.CONFIGURATION if isinstance(error, ConfigurationError) else Exit.FAILURE)
        except Exception as error:
            for known, code in _rarer().items():
                if isinstance(error, known):
                    self._end(error, code)
            raise

    def _end(self, error: Exception, code: Exit) -> None:
        typer.echo(error, err=True)
        raise typer.Exit(code) from error


def _rarer() -> dict[type[Exception], Exit]:
    # Imported when one is met: these floors take longer to load than most commands take to run.
    from console.supervision import AlreadyRunning
    from defense_lines.agent.capabilities import CapabilityError
    from policy import PolicyError

    return {
        AlreadyRunning: Exit.FAILURE,
        CapabilityError: Exit.FAILURE,
        PolicyError: Exit.CONFIGURATION,
    }
