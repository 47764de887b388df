"""A SPIFFE agent on this host, asked for bundles by its Workload API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import structlog
from prometheus_client import Counter

from gateway.identity.spiffe import Bundle
from gateway.identity.spiffe.workload_api import fetch_bundles

_KEPT = 3600.0  # seconds for which an answer counts while the agent is away: SPIRE's own certificates live as long
_ANSWERS = Counter("portcullis_gateway_workload_api_answers_total", "Answers of a Workload API", ["socket", "result"])
_log = structlog.get_logger()


class Agent:
    """The agent behind one socket, and what it said last of the trust domains that are of interest."""

    def __init__(self, socket: Path, names: Collection[str], clock: Callable[[], float]) -> None:
        self.socket = socket
        self.bundles: Mapping[str, Bundle] = {}  # by trust domain; empty while it is not known, or no longer
        self._names = names
        self._clock = clock
        self._heard = clock()

    async def ask(self) -> None:
        """Ask it once. While it is away its last answer counts, but not without end; that is logged and counted."""
        answer = await asyncio.to_thread(fetch_bundles, self.socket, self._names)
        _ANSWERS.labels(str(self.socket), "failed" if isinstance(answer, str) else "ok").inc()
        if not isinstance(answer, str):
            self.bundles, self._heard = answer, self._clock()
            return
        if self._clock() - self._heard > _KEPT:
            self.bundles = {}
        _log.error("workload api does not answer", error=answer, known=sorted(self.bundles))
