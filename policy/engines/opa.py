"""A real OPA as the engine, asked over its REST API through opa-python-client.

Every answer proves which rules and data it was given from. One that proves an older state than ours, or none, does not
count: OPA is given what it lacks, and is asked again. So neither a change nor a restart of OPA lets an old or empty
policy answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from opa_client import AsyncOpaClient

from policy.engines.engine import PolicyUnavailable
from policy.engines.opa_store import OpaStore, State
from policy.live import LiveData
from policy.rego.values import UNDEFINED
from policy.revision import Revision

log = structlog.get_logger()

PUSH_SECONDS = 10.0  # longest that OPA may take to be given everything
TRIES = 4  # how often a question is asked until an answer counts


class OpaEngine:
    """Asks OPA, within a deadline. Belongs to one event loop."""

    def __init__(self, revision: Revision, *, host: str, port: int, token: str | None = None, timeout: float = 0.25):
        self.revision = revision
        self._live = LiveData(revision.data)
        self._wanted = State(revision, self._live.document, 1)
        self._client = AsyncOpaClient(host=host, port=port, token=token, retries=0, timeout=PUSH_SECONDS)
        self._store = OpaStore(self._client)
        self._timeout = timeout  # seconds for a question, however often it is asked
        self._pushing: asyncio.Task[str] | None = None

    async def ask(self, entrypoint: str, document: Any, now: float) -> Any:
        """Value of an entry point, from the rules and data that are live when this returns. Raises PolicyUnavailable
        when OPA does not answer in time, or answers badly.
        """
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._proven(entrypoint, document)
        except PolicyUnavailable:
            raise
        except Exception as error:  # the client's own errors have no common base
            raise PolicyUnavailable(f"OPA: {error!r}") from error
        return answer["result"].get("value", UNDEFINED)

    def activate(self, revision: Revision) -> None:
        """Replace the rules: no answer from older ones counts any more; live data stays."""
        self._live.rebase(revision.data)
        self.revision = revision
        self._changed()

    def put_data(self, path: tuple[str, ...], value: Any) -> None:
        """Write live data: no answer without it counts any more. Raises TypeError, ValueError."""
        self._live.put(path, value)
        self._changed()

    def remove_data(self, path: tuple[str, ...]) -> None:
        """Take live data away."""
        self._live.remove(path)
        self._changed()

    async def aclose(self) -> None:
        """Close the connections to OPA."""
        if self._pushing is not None:
            self._pushing.cancel()
            await asyncio.wait([self._pushing])
        await self._client.close_connection()

    def _changed(self) -> None:
        self._wanted = State(self.revision, self._live.document, self._wanted.generation + 1)

    async def _proven(self, entrypoint: str, document: Any) -> Any:
        for _ in range(TRIES):
            if self._store.held is not self._wanted:
                await self._pushed()
            held = self._store.held
            answer = await self._store.ask(document, entrypoint)
            if self._store.proves(answer, self._wanted):
                return answer
            if held is self._wanted and self._store.held is held:
                self._store.held = None  # it is not that OPA any more
        raise PolicyUnavailable("OPA: no answer from the policy that it was given")

    async def _pushed(self) -> None:
        """Wait for a push. It goes on when the question that waits here runs out of time."""
        if self._pushing is None or self._pushing.done():
            self._pushing = asyncio.create_task(self._push())
        if failed := await asyncio.shield(self._pushing):
            raise PolicyUnavailable(f"OPA: {failed}")

    async def _push(self) -> str:
        """Give OPA what it lacks. Why it did not take it, empty if it did."""
        state = self._wanted
        try:
            async with asyncio.timeout(PUSH_SECONDS):
                await self._store.push(state)
        except Exception as error:
            log.warning("OPA did not take the policy", revision=state.revision.id, error=repr(error))
            return repr(error)
        log.info("OPA holds the policy", revision=state.revision.id, generation=state.generation)
        return ""
