"""The admin API's part about agents: who is registered, and orders that change it."""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from console.operations import Operations
from console.orders import CallerError, limit, operator, read_order, reason
from gateway.agents import Order, Profile


class AddAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to register an agent; with `replace`, to declare one that is registered anew."""

    profile: Profile
    reason: str
    by: str = ""
    replace: bool = False
    dry_run: bool = False


class ChangeAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order that changes what an agent may do: nothing for now, all of it again, nothing ever again."""

    verb: Literal["suspend", "resume", "revoke"]
    agent: str
    reason: str
    by: str = ""
    dry_run: bool = False


class AgentApi:
    """One method a path."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def agents(self, request: Request) -> Response:
        """Agents by id, a page at a time."""
        return JSONResponse(self._operations.agents(request.query_params.get("after", ""), limit(request)))

    async def agent(self, request: Request) -> Response:
        """One agent, with its history."""
        story = await self._operations.agent(request.path_params["id"])
        if story is None:
            raise CallerError(404, "there is no such agent")
        return JSONResponse(story)

    async def add(self, request: Request) -> Response:
        """Register an agent."""
        asked = await read_order(request, AddAgent)
        by, why, agent = operator(request, asked.by), reason(asked.reason), asked.profile.id
        verb: Literal["add", "replace"] = "replace" if asked.replace else "add"
        order = Order(verb=verb, agent=agent, profile=asked.profile, by=by, reason=why)
        return JSONResponse(await self._operations.order_agent(order, asked.dry_run))

    async def change(self, request: Request) -> Response:
        """Suspend, resume or revoke an agent."""
        asked = await read_order(request, ChangeAgent)
        by, why = operator(request, asked.by), reason(asked.reason)
        order = Order(verb=asked.verb, agent=asked.agent, by=by, reason=why)
        return JSONResponse(await self._operations.order_agent(order, asked.dry_run))
