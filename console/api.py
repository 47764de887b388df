"""The admin API over HTTP: reads a request, asks the operations, answers JSON. Errors say whose fault they are."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from console.agent_api import AgentApi
from console.ledger_api import LedgerApi
from console.line_api import LineApi
from console.operations import Operations, Record
from console.orders import (
    MAX_DATA,
    MAX_MANY,
    AddBlock,
    AddBlocks,
    CallerError,
    CutSessions,
    Decide,
    LiftBlock,
    LiftBlocks,
    PatchData,
    PutData,
    ReloadConfiguration,
    RemoveData,
    data_path,
    json_value,
    limit,
    operator,
    read_body,
    read_order,
    reason,
    selection,
    target,
    targets,
    whom,
)
from defense_lines import LedgerUnwritable
from gateway.agents import AgentsUnwritable
from policy import encode_json
from telemetry import InvalidBatch

MAX_EVENTS = 16 * 1024 * 1024  # bytes of one event batch

Fault = Literal["caller", "ours"]
Handler = Callable[[Request], Awaitable[Response]]
_log = structlog.get_logger()


def admin_api(operations: Operations) -> Starlette:
    """Everything an operator can see or do. Serve it only where the caller's uid is known (console.serving)."""
    admin, agents, lines = _Admin(operations), AgentApi(operations), LineApi(operations)
    routes = [
        ("GET", "/v1/status", admin.status),
        ("GET", "/v1/lines", lines.lines),
        ("GET", "/v1/lines/{name}", lines.line),
        ("POST", "/v1/lines/{name}/service", lines.serve),
        ("POST", "/v1/lines/{name}/test", lines.test),
        ("GET", "/v1/blocks", admin.blocks),
        ("POST", "/v1/blocks", admin.add_block),
        ("POST", "/v1/blocks/batch", admin.add_blocks),
        ("GET", "/v1/blocks/{id}", admin.block),
        ("DELETE", "/v1/blocks/{id}", admin.lift_block),
        ("POST", "/v1/blocks/lift", admin.lift_blocks),
        ("GET", "/v1/approvals", admin.approvals),
        ("POST", "/v1/approvals/{id}/approve", admin.approve),
        ("POST", "/v1/approvals/{id}/decline", admin.decline),
        ("POST", "/v1/ledger/compact", LedgerApi(operations).compact),
        ("GET", "/v1/sessions", admin.sessions),
        ("POST", "/v1/sessions/cut", admin.cut),
        ("GET", "/v1/sessions/{id}", admin.session),
        ("GET", "/v1/cuts", admin.cuts),
        ("GET", "/v1/agents", agents.agents),
        ("POST", "/v1/agents", agents.add),
        ("PATCH", "/v1/agents", agents.change),
        ("GET", "/v1/agents/{id:path}", agents.agent),
        ("POST", "/v1/configuration", admin.reload_configuration),
        ("POST", "/v1/policy", admin.reload_policy),
        ("GET", "/v1/policy/data", admin.policy_data),
        ("PUT", "/v1/policy/data", admin.put_policy_data),
        ("DELETE", "/v1/policy/data", admin.remove_policy_data),
        ("PATCH", "/v1/policy/data", admin.patch_policy_data),
        ("GET", "/v1/decisions", admin.decisions),
        ("GET", "/v1/verdicts", admin.verdicts),
        ("GET", "/v1/refusals", admin.refusals),
        ("GET", "/v1/events", admin.events),
        ("POST", "/v1/events", admin.import_events),
    ]
    return _application([*routes, *_probe_routes(operations)])


def probes(operations: Operations) -> Starlette:
    """Metrics and health alone, for a port that anyone on the host may read."""
    return _application(_probe_routes(operations))


class _Admin:
    """One method a path."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def status(self, _: Request) -> Response:
        return JSONResponse(self._operations.status())

    async def blocks(self, _: Request) -> Response:
        return StreamingResponse(_array(self._operations.blocks()), media_type="application/json")

    async def block(self, request: Request) -> Response:
        story = await self._operations.block(request.path_params["id"])
        if story is None:
            raise CallerError(404, "there is no such block")
        return JSONResponse(story)

    async def add_block(self, request: Request) -> Response:
        order = await read_order(request, AddBlock)
        whom, why, by = target(order.kind, order.value), reason(order.reason), operator(request, order.by)
        asked = (whom.kind, whom.value, order.ttl, why, by, order.override, order.dry_run)
        return JSONResponse(await self._operations.add_block(*asked))

    async def add_blocks(self, request: Request) -> Response:
        order = await read_order(request, AddBlocks, MAX_MANY)
        many, why, by = targets(order.targets), reason(order.reason), operator(request, order.by)
        return _json(await self._operations.add_blocks(many, order.ttl, why, by, order.override, order.dry_run))

    async def lift_block(self, request: Request) -> Response:
        order = await read_order(request, LiftBlock)
        by, why = operator(request, order.by), reason(order.reason)
        answer = await self._operations.lift_block(request.path_params["id"], by, why)
        if answer.get("outcome") == "unknown":
            raise CallerError(404, "there is no such block")
        return JSONResponse(answer)

    async def lift_blocks(self, request: Request) -> Response:
        order = await read_order(request, LiftBlocks)
        by, why = operator(request, order.by), reason(order.reason)
        return JSONResponse(await self._operations.lift_blocks(order.selection, by, why, order.dry_run))

    async def approvals(self, _: Request) -> Response:
        return JSONResponse(self._operations.approvals())

    async def approve(self, request: Request) -> Response:
        return await self._decided(request, self._operations.approve)

    async def decline(self, request: Request) -> Response:
        return await self._decided(request, self._operations.decline)

    async def _decided(self, request: Request, decide: Callable[[str, str, str], Awaitable[Record]]) -> Response:
        order = await read_order(request, Decide)
        answer = await decide(request.path_params["id"], operator(request, order.by), reason(order.reason))
        if answer.get("outcome") == "unknown":
            raise CallerError(404, "no such block waits")
        return JSONResponse(answer)

    async def sessions(self, request: Request) -> Response:
        index, value = selection(request)
        return JSONResponse(self._operations.sessions(index, value))

    async def cut(self, request: Request) -> Response:
        order = await read_order(request, CutSessions)
        (kind, value), why, by = whom(order.kind, order.value), reason(order.reason), operator(request, order.by)
        return JSONResponse(await self._operations.cut(kind, value, why, by, order.dry_run))

    async def session(self, request: Request) -> Response:
        session = self._operations.session(request.path_params["id"])
        if session is None:
            raise CallerError(404, "there is no such live session")
        return JSONResponse(session)

    async def cuts(self, request: Request) -> Response:
        return JSONResponse(self._operations.cuts(limit(request)))

    async def reload_configuration(self, request: Request) -> Response:
        order = await read_order(request, ReloadConfiguration)
        return JSONResponse(await self._operations.reload_configuration(order.dry_run))

    async def reload_policy(self, _: Request) -> Response:
        return JSONResponse(await self._operations.reload_policy())

    async def policy_data(self, request: Request) -> Response:
        answer = self._operations.policy_data(data_path(request.query_params.get("path", "")))
        if answer is None:
            raise CallerError(404, "there is no such path")
        return Response(encode_json(answer), media_type="application/json")

    async def put_policy_data(self, request: Request) -> Response:
        order = await read_order(request, PutData, MAX_DATA)
        path, value = data_path(order.path), json_value(order.value)
        why, by = reason(order.reason), operator(request, order.by)
        return JSONResponse(await self._operations.put_policy_data(path, value, why, by, order.dry_run))

    async def remove_policy_data(self, request: Request) -> Response:
        order = await read_order(request, RemoveData)
        why, by = reason(order.reason), operator(request, order.by)
        return JSONResponse(await self._operations.remove_policy_data(data_path(order.path), why, by, order.dry_run))

    async def patch_policy_data(self, request: Request) -> Response:
        order = await read_order(request, PatchData, MAX_DATA)
        operations, why, by = json_value(order.operations), reason(order.reason), operator(request, order.by)
        return JSONResponse(await self._operations.patch_policy_data(operations, why, by, order.dry_run))

    async def decisions(self, request: Request) -> Response:
        return JSONResponse(self._operations.decisions(limit(request)))

    async def verdicts(self, request: Request) -> Response:
        return JSONResponse(self._operations.verdicts(limit(request)))

    async def refusals(self, request: Request) -> Response:
        return JSONResponse(self._operations.refusals(limit(request)))

    async def events(self, _: Request) -> Response:
        return StreamingResponse(_lines(self._operations), media_type="application/x-ndjson")

    async def import_events(self, request: Request) -> Response:
        data = await read_body(request, MAX_EVENTS)
        try:
            return JSONResponse(await self._operations.import_events(data))
        except InvalidBatch as error:
            raise CallerError(400, str(error)) from error


def _probe_routes(operations: Operations) -> list[tuple[str, str, Handler]]:
    async def metrics(_: Request) -> Response:
        return Response(operations.metrics(), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return JSONResponse(operations.healthz())

    async def readyz(_: Request) -> Response:
        ready, parts = operations.readyz()
        return JSONResponse(parts, 200 if ready else 503)

    return [("GET", "/metrics", metrics), ("GET", "/healthz", healthz), ("GET", "/readyz", readyz)]


def _application(routes: list[tuple[str, str, Handler]]) -> Starlette:
    return Starlette(
        routes=[Route(path, _answering(handler), methods=[method]) for method, path, handler in routes],
        exception_handlers={HTTPException: _no_such_path},
    )


def _answering(handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except CallerError as error:
            return _error(error.status, str(error), "caller")
        except LedgerUnwritable as error:
            return _error(503, f"not acknowledged, the ledger cannot be written: {error}", "ours")
        except AgentsUnwritable as error:
            return _error(503, f"not acknowledged, the agents' file cannot be written: {error}", "ours")
        except ClientDisconnect:
            return _error(400, "the request ended early", "caller")
        except Exception:
            _log.exception("admin request failed", method=request.method, path=request.url.path)
            return _error(500, "this failed inside the gateway; its log says why", "ours")

    return answer


async def _no_such_path(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _error(status, "method not allowed" if status == 405 else "there is no such path", "caller")


def _json(value: object) -> Response:
    """What may be long: Starlette's own takes many times as long."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def _error(status: int, what: str, fault: Fault) -> Response:
    return JSONResponse({"error": what, "fault": fault}, status)


async def _array(pages: AsyncIterator[list[Record]]) -> AsyncIterator[bytes]:
    """One JSON array, however long: what is whole is sent before the next is asked for."""
    before = b"["
    async for page in pages:
        if page:
            yield before + msgspec.json.encode(page)[1:-1]
            before = b","
    yield b"]" if before == b"," else b"[]"


async def _lines(operations: Operations) -> AsyncIterator[bytes]:
    async for event in operations.events():
        yield json.dumps(event, separators=(",", ":"), default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
