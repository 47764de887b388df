"""A real OPA as the engine, asked over its REST API through opa-python-client.

Every answer proves which rules and data it was given from. One that proves an older state than ours, or none, does not
count: OPA is given what it lacks, and is asked again. So neither a change nor a restart of OPA lets an old or empty
policy answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import structlog
from prometheus_client import Counter, Gauge

from policy.data import DataStore
from policy.engines.breaker import Breaker
from policy.engines.engine import PolicyUnavailable
from policy.engines.opa_client import OpaClient
from policy.engines.opa_store import OpaStore
from policy.engines.opa_wanted import Wanted
from policy.engines.server import OpaServer
from policy.rego.values import UNDEFINED, EvaluationError
from policy.revision import Revision

log = structlog.get_logger()

NANOSECONDS = 1_000_000_000
PUSH_SECONDS = 10.0  # longest that OPA may take to be given everything
TRIES = 4  # how often a question is asked until an answer counts
_NOT_ASKED = Counter(
    "portcullis_policy_opa_not_asked_total", "Questions refused at once, because OPA had failed before"
)
_LEFT_ALONE = Gauge("portcullis_policy_opa_circuit_open", "1 while OPA is left alone because it failed, else 0")


class OpaEngine:
    """Asks OPA, within a deadline; one that failed too often in a row is left alone for a while. Belongs to one event
    loop. `strict` is whether an error of a builtin is one of the policy. Reads the TLS files: make it in a thread.
    Raises OSError where they cannot be used.
    """

    def __init__(
        self,
        revision: Revision,
        server: OpaServer,
        *,
        strict: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._wanted = Wanted(revision)
        self._client = OpaClient(server, PUSH_SECONDS)
        self._store = OpaStore(self._client, strict)
        self._timeout = server.timeout
        self._breaker = Breaker(server.failures, server.pause)
        self._monotonic = monotonic
        self._pushing: asyncio.Task[str] | None = None

    @property
    def revision(self) -> Revision:
        """The live one."""
        return self._wanted.revision

    @property
    def data(self) -> DataStore:
        """The revision's document with live data over it: no answer without what it changes counts any more."""
        return self._wanted.data

    async def ask(self, entrypoint: str, document: Any, now: float) -> Any:
        """Value of an entry point, from the rules and data that are live when this returns. Raises PolicyUnavailable
        when OPA does not answer in time, or answers badly, or did so too often just now; EvaluationError when it
        answers that the policy has an error.
        """
        if not self._breaker.admit(self._monotonic()):
            _NOT_ASKED.inc()
            raise PolicyUnavailable("OPA: left alone, because it failed too often in a row")
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._proven(entrypoint, document)
        except EvaluationError:
            self._succeeded()  # whoever finds a question that the policy cannot judge does not make OPA go away
            raise
        except Exception as error:  # the client's own errors have no common base
            self._failed(error)
            raise PolicyUnavailable(f"OPA: {error!r}") from error
        self._succeeded()
        return answer["result"].get("value", UNDEFINED)

    def evaluate(self, path: Sequence[Any], document: Any, now: float) -> Any:
        """What lies at a path below `data`, rules and documents, or `UNDEFINED`: by our own compiler, at once. It may
        be part of the live document: copy what you keep. Raises EvaluationError.
        """
        return self.revision.program.at(path, document, self._wanted.data.document, int(now * NANOSECONDS))

    def activate(self, revision: Revision) -> None:
        """Replace the rules: no answer from older ones counts any more; live data stays."""
        self._wanted.activate(revision)

    def put_data(self, path: tuple[str, ...], value: Any) -> None:
        """Write live data: no answer without it counts any more. Raises TypeError, ValueError."""
        self._wanted.data.put(path, value)

    def remove_data(self, path: tuple[str, ...]) -> None:
        """Take live data away. Raises ValueError."""
        self._wanted.data.remove(path)

    def patch_data(self, operations: Any) -> None:
        """Apply a JSON patch as a whole. Raises PatchError."""
        self._wanted.data.patch(operations)

    async def aclose(self) -> None:
        """Close the connections to OPA."""
        if self._pushing is not None:
            self._pushing.cancel()
            await asyncio.wait([self._pushing])
        await self._client.close_connection()

    def _succeeded(self) -> None:
        self._breaker.succeeded()
        _LEFT_ALONE.set(0)

    def _failed(self, error: Exception) -> None:
        now = self._monotonic()
        closed = self._breaker.state(now) == "closed"
        self._breaker.failed(now)
        if closed and self._breaker.state(now) != "closed":
            _LEFT_ALONE.set(1)
            log.warning("OPA fails and is left alone", error=repr(error))

    async def _proven(self, entrypoint: str, document: Any) -> Any:
        for _ in range(TRIES):
            if self._store.held != self._wanted.state:
                await self._pushed()
            held = self._store.held
            answer = await self._answer(document, entrypoint)
            if self._store.proves(answer, self._wanted.state):
                return answer
            if held == self._wanted.state and self._store.held == held:
                self._store.held = None  # it is not that OPA any more
        raise PolicyUnavailable("no answer from the policy that it was given")

    async def _answer(self, document: Any, entrypoint: str) -> Any:
        try:
            return await self._store.ask(document, entrypoint)
        except aiohttp.ClientResponseError as error:
            if error.status in (400, 500):  # an input that it cannot read, an evaluation that ends in an error
                raise EvaluationError("OPA: the policy has an error") from error
            raise

    async def _pushed(self) -> None:
        """Wait for a push. It goes on when the question that waits here runs out of time."""
        if self._pushing is None or self._pushing.done():
            self._pushing = asyncio.create_task(self._push())
        if failed := await asyncio.shield(self._pushing):
            raise PolicyUnavailable(failed)

    async def _push(self) -> str:
        """Give OPA what it lacks. Why it did not take it, empty if it did."""
        try:
            async with asyncio.timeout(PUSH_SECONDS):
                await self._store.push(self._wanted)
        except Exception as error:
            log.warning("OPA did not take the policy", revision=self.revision.id, error=repr(error))
            return repr(error)
        log.info("OPA holds the policy", revision=self.revision.id)
        return ""
