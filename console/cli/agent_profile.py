"""An agent's profile, from a file and from options."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from console.cli.files import text
from gateway.yaml_document import InvalidDocument, read_document


def profile_of(file: Path | None, options: dict[str, Any], amounts: Sequence[str]) -> dict[str, Any]:
    """What the file says, and over it each option that was given; checked. Raises typer.BadParameter."""
    from msgspec import ValidationError, convert, to_builtins

    from gateway.agents import Profile  # takes longer to load than most commands take to run

    given = {name: value for name, value in options.items() if value}
    values = (_read(file) if file else {}) | given | ({"amounts": dict(map(_amount, amounts))} if amounts else {})
    values |= {name: _time(values[name]) for name in ("expires", "not_before") if name in values}
    try:
        profile: dict[str, Any] = to_builtins(convert(values, Profile))
    except ValidationError as error:
        raise typer.BadParameter(str(error), param_hint="the agent's profile") from error
    return profile


def thumbprint(file: Path) -> str:
    """The thumbprint (RFC 7638) of the public key in a JWK file. Raises typer.BadParameter."""
    import msgspec

    from gateway.identity import public_key

    try:
        key = public_key(msgspec.json.decode(text(file)))
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--jwk") from error
    if key is None:
        what = "is not one public key for signatures (RFC 7517); the private one stays with the agent"
        raise typer.BadParameter(f"{file} {what}", param_hint="--jwk")
    return key.thumbprint


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_document(text(file)).values
    except InvalidDocument as error:
        raise typer.BadParameter(f"{file}:{error.line}: {error.what}", param_hint="--file") from error


def _amount(argument: str) -> tuple[str, int | float]:
    currency, _, number = argument.partition("=")
    try:
        return currency, int(number) if number.isascii() and number.isdigit() else float(number)
    except ValueError as error:
        raise typer.BadParameter("write it as EUR=500", param_hint="--amount") from error


def _time(value: Any) -> Any:
    """Unix seconds of a time as a file writes it: seconds, or RFC 3339 with its offset from UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise typer.BadParameter(f"{value!r} is no time: write 2027-01-31T12:00:00Z") from error
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise typer.BadParameter(f"{value} has no offset from UTC: write 2027-01-31T12:00:00Z")
        return value.timestamp()
    return value
