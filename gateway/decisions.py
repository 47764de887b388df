"""The decision API of this gateway, from the configuration."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.blocklist import Blocklist
from gateway.config import Decisions
from gateway.decision_api import AuthZen, DecisionApi, OpaData, Witness, serve_decisions
from policy import Pdp


async def run_decisions(
    settings: Decisions, pdp: Pdp, strict: bool, blocklist: Blocklist, witness: Witness, run: Path
) -> None:
    """Answer other enforcement points until cancelled; `strict` is how policy treats a builtin's errors. Raises OSError
    and ValueError for a socket or a token that cannot be had.
    """
    api = DecisionApi(
        AuthZen(pdp, blocklist, witness, settings.max_evaluations),
        OpaData(pdp, settings.paths, strict),
        token=await asyncio.to_thread(_token, settings),
        url=settings.url or _address(settings),
        most=settings.max_body_kb * 1024,
    )
    await serve_decisions(api, settings, run)


def _token(settings: Decisions) -> str | None:
    if settings.token_file is None:
        return settings.token.get_secret_value() if settings.token else None
    token = settings.token_file.read_text(encoding="ascii").strip()
    if not token:
        raise ValueError(f"no token in {settings.token_file}")
    return token


def _address(settings: Decisions) -> str | None:
    """What AuthZEN's metadata calls us where nobody says otherwise."""
    if settings.tcp is None:
        return None
    host = f"[{settings.tcp.address}]" if ":" in settings.tcp.address else settings.tcp.address
    return f"https://{host}:{settings.tcp.port}"
