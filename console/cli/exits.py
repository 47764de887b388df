"""Exit codes, and the one table from what went wrong to how the process ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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


# By name: some of these floors take longer to load than most commands take to run. Their subclasses end alike.
EXITS = {
    "gateway.configuration.ConfigurationError": Exit.CONFIGURATION,
    "policy.problem.PolicyError": Exit.CONFIGURATION,
    "console.client.Unreachable": Exit.FAILURE,
    "console.client.Refused": Exit.FAILURE,
    "console.supervision.lock.AlreadyRunning": Exit.FAILURE,
    "defense_lines.agent.capabilities.CapabilityError": Exit.FAILURE,
    "defense_lines.agent.libnftables.NftError": Exit.FAILURE,
    "defense_lines.agent.libnftables.NftablesUnavailable": Exit.FAILURE,
    "defense_lines.agent.nftables_line.StateInUse": Exit.FAILURE,
    "defense_lines.ledger.faults.LedgerAltered": Exit.FAILURE,
    "defense_lines.ledger.faults.LedgerExists": Exit.FAILURE,
    "defense_lines.ledger.faults.LedgerInUse": Exit.FAILURE,
    "defense_lines.ledger.faults.LedgerNewer": Exit.FAILURE,
    "defense_lines.ledger.faults.LedgerUnwritable": Exit.FAILURE,
    "gateway.agents.store.AgentsUnreadable": Exit.FAILURE,
    "gateway.agents.store.AgentsUnwritable": Exit.FAILURE,
    "gateway.edge.binary.EnvoyMissing": Exit.FAILURE,
    "builtins.OSError": Exit.FAILURE,  # the disk's or the machine's: a folder that cannot be written, a port in use
    "detectors.models.refused.ModelRefused": Exit.CONFIGURATION,
}


class Commands(TyperGroup):
    """The root of all commands: known errors become one message and their exit code, never a stack trace."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if isinstance(error, BrokenPipeError):
                raise  # whoever read our output has seen enough: typer ends quietly
            faults = list(_faults(error))
            codes = [_code(fault) for fault in faults]
            if None in codes:
                raise
            for line in dict.fromkeys(map(_line, faults)):
                typer.echo(line, err=True)
            raise typer.Exit(codes[0] or Exit.FAILURE) from error


def _faults(error: BaseException) -> Iterator[BaseException]:
    """What went wrong, without the task groups that it came through."""
    if isinstance(error, BaseExceptionGroup):
        yield from itertools.chain.from_iterable(map(_faults, error.exceptions))
    else:
        yield error


def _code(error: BaseException) -> Exit | None:
    names = (f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__)
    return next((EXITS[name] for name in names if name in EXITS), None)


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
