"""The story's way to the running gateway: its admin API on a Unix socket, as an analyst's tools would use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp

from deploy.demo.claims import Untrue

POLL_SECONDS = 0.02


class AdminError(Exception):
    """The admin API refused or failed; `status` 0 when it could not be reached."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Admin:
    """One client of `STATE/run/admin.sock`."""

    def __init__(self, path: Path) -> None:
        connector = aiohttp.UnixConnector(str(path), force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=15))

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None, **query: str) -> Any:
        """One call; the decoded JSON. Raises AdminError on anything but 2xx."""
        try:
            async with self._session.request(method, f"http://admin{path}", json=body, params=query) as response:
                told = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise AdminError(0, f"{type(error).__name__}: {error}") from error
        if response.status // 100 != 2:
            raise AdminError(response.status, told)
        return told

    async def status(self) -> dict[str, Any]:
        """The gateway at a glance: pid, revision, readiness."""
        return dict(await self.ask("GET", "/v1/status"))

    async def lines(self) -> list[dict[str, Any]]:
        """Every line: name, state, how many blocks are pending."""
        return list(await self.ask("GET", "/v1/lines"))

    async def blocks(self) -> list[dict[str, Any]]:
        """Blocks that stand."""
        return list(await self.ask("GET", "/v1/blocks"))

    async def story(self, block: str) -> dict[str, Any]:
        """One block's whole story: stages, and each line's answers."""
        return dict(await self.ask("GET", f"/v1/blocks/{block}"))

    async def block(self, kind: str, value: str, ttl: float, reason: str, by: str) -> dict[str, Any]:
        """Order a block by hand: `{"outcome": "accepted", "block"}` or `{"outcome": "refused", "reason"}`."""
        body = {"kind": kind, "value": value, "ttl": ttl, "reason": reason, "by": by}
        return dict(await self.ask("POST", "/v1/blocks", body))

    async def lift(self, block: str, by: str, reason: str) -> Any:
        """Lift a block: who does, and why, is on record."""
        return await self.ask("DELETE", f"/v1/blocks/{block}", {"by": by, "reason": reason})

    async def sessions(self) -> list[dict[str, Any]]:
        """Live streams."""
        return list(await self.ask("GET", "/v1/sessions"))

    async def register(self, profile: dict[str, Any], by: str) -> None:
        """Register an agent. Raises AdminError, also if the registry refuses."""
        told = await self.ask("POST", "/v1/agents", {"profile": profile, "by": by, "reason": "the cast"})
        if told["outcome"] != "added":
            raise AdminError(200, told)

    async def reload_policy(self) -> dict[str, Any]:
        """Load the policy from its paths: `{"revision"}`, or `{"problems": ["file:line:column: …"]}`."""
        return dict(await self.ask("POST", "/v1/policy"))

    async def decisions(self, limit: int) -> list[dict[str, Any]]:
        """The newest decisions."""
        return list(await self.ask("GET", "/v1/decisions", limit=str(limit)))

    async def verdicts(self) -> list[dict[str, Any]]:
        """The newest verdicts, with when they arrived and what the response policy answered."""
        return list(await self.ask("GET", "/v1/verdicts"))

    async def refusals(self) -> list[dict[str, Any]]:
        """What the guard refused, and why."""
        return list(await self.ask("GET", "/v1/refusals"))

    async def blocks_of(self, values: Iterable[str]) -> list[dict[str, Any]]:
        """Standing blocks whose target is one of `values`."""
        wanted = set(values)
        return [block for block in await self.blocks() if block["value"] in wanted]

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()


def receipts(story: dict[str, Any], outcome: str = "enforced") -> dict[str, dict[str, Any]]:
    """The first answer of that outcome from each line."""
    found: dict[str, dict[str, Any]] = {}
    for line, part in story["lines"].items():
        deed = next((deed for deed in part["deeds"] if deed["outcome"] == outcome), None)
        if deed is not None:
            found[line] = deed
    return found


def enforcing(story: dict[str, Any]) -> set[str]:
    """Lines whose last word on the block is that they enforce it."""
    last = {line: part["deeds"][-1]["outcome"] for line, part in story["lines"].items() if part["deeds"]}
    return {line for line, outcome in last.items() if outcome == "enforced"}


async def until(what: str, true: Callable[[], Awaitable[Any]], seconds: float) -> Any:
    """Await `true()` again and again until its answer counts as true; that answer. Raises Untrue."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            last = await true()
        except AdminError as error:
            last = error
        else:
            if last:
                return last
        await asyncio.sleep(POLL_SECONDS)
    raise Untrue(f"{what}: not within {seconds:g} s (last seen: {last!r})")
