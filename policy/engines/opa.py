"""A real OPA as the engine, asked over its REST API through opa-python-client.

The engine owns what it writes there: modules below `portcullis/` and the top-level keys of its data. Changes wait for
the next question, which is asked only once OPA has them, so no answer is older than a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from opa_client import AsyncOpaClient

from policy.engines.engine import PolicyUnavailable
from policy.live import LiveData
from policy.rego.values import UNDEFINED
from policy.revision import Revision

_ABSENT = object()


class OpaEngine:
    """Asks OPA, within a deadline. Belongs to one event loop."""

    def __init__(self, revision: Revision, *, host: str, port: int, token: str | None = None, timeout: float = 0.25):
        self.revision = revision
        self._live = LiveData(revision.data)
        self._client = AsyncOpaClient(host=host, port=port, token=token, retries=0, timeout=timeout)
        self._timeout = timeout  # seconds for a question, its changes included
        self._open = False
        self._rules_there: Revision | None = None  # what OPA has
        self._modules_there = 0
        self._data_there: dict[str, Any] = {}
        self._changing = asyncio.Lock()
        self._asking = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def ask(self, entrypoint: str, document: Any, now: float) -> Any:
        """Value of an entry point. Raises PolicyUnavailable when OPA does not answer in time, or answers badly."""
        try:
            async with asyncio.timeout(self._timeout):
                async with self._up_to_date():
                    answer = await self._client.query_rule(document, entrypoint)
        except Exception as error:  # the client's own errors have no common base
            raise PolicyUnavailable(f"OPA: {error!r}") from error
        if not isinstance(answer, dict):
            raise PolicyUnavailable("OPA: an answer that is no object")
        return answer.get("result", UNDEFINED)

    def activate(self, revision: Revision) -> None:
        """Replace the rules before the next question; live data stays."""
        self._live.rebase(revision.data)
        self.revision = revision

    def put_data(self, path: tuple[str, ...], value: Any) -> None:
        """Write live data before the next question. Raises TypeError, ValueError."""
        self._live.put(path, value)

    def remove_data(self, path: tuple[str, ...]) -> None:
        """Take live data away before the next question."""
        self._live.remove(path)

    async def aclose(self) -> None:
        """Close the connections to OPA."""
        await self._client.close_connection()

    @asynccontextmanager
    async def _up_to_date(self) -> AsyncIterator[None]:
        """Hold while asking: OPA has the changes, and gets no new ones meanwhile."""
        async with self._changing:
            if self._rules_there is not self.revision or self._changes():
                await self._quiet.wait()
                await self._push()
            self._asking += 1
            self._quiet.clear()
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._quiet.set()

    def _changes(self) -> list[dict[str, Any]]:
        """JSON patch from the data that OPA has to the data as it is."""
        document = self._live.document
        changed = [name for name in document if self._data_there.get(name, _ABSENT) is not document[name]]
        gone = [name for name in self._data_there if name not in document]
        return [{"op": "add", "path": _pointer(name), "value": document[name]} for name in changed] + [
            {"op": "remove", "path": _pointer(name)} for name in gone
        ]

    async def _push(self) -> None:
        if not self._open:
            await self._client.__aenter__()
            self._open = True
        if self._rules_there is not self.revision:
            await self._push_rules(self.revision)
        if patch := self._changes():
            document = dict(self._live.document)
            await self._client.patch_data("", patch)
            self._data_there = document

    async def _push_rules(self, revision: Revision) -> None:
        self._rules_there = None
        self._modules_there = max(self._modules_there, len(revision.sources))
        for index, source in enumerate(revision.sources.values()):
            await self._client.update_policy_from_string(source, f"portcullis/{index}", rego_compat=False)
        while self._modules_there > len(revision.sources):
            await self._client.delete_policy(f"portcullis/{self._modules_there - 1}")
            self._modules_there -= 1
        self._rules_there = revision


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")
