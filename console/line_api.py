"""The admin API's part about defense lines: how they do, whether they are given orders, and whether they obey."""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from console.operations import Operations
from console.orders import CallerError, operator, read_order, reason


class ServeLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order about whether a line is given orders."""

    service: Literal["in_service", "drained", "quarantined"]
    reason: str
    by: str = ""


class TryLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to test a line with a harmless block."""

    reason: str
    by: str = ""


class LineApi:
    """One method a path."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def lines(self, _: Request) -> Response:
        """All of them."""
        return JSONResponse(self._operations.lines())

    async def line(self, request: Request) -> Response:
        """One."""
        found = [line for line in self._operations.lines() if line["name"] == request.path_params["name"]]
        if not found:
            raise CallerError(404, "there is no such line")
        return JSONResponse(found[0])

    async def serve(self, request: Request) -> Response:
        """Give it orders, or none for now."""
        order = await read_order(request, ServeLine)
        by, why = operator(request, order.by), reason(order.reason)
        return _known(await self._operations.serve_line(request.path_params["name"], order.service, by, why))

    async def test(self, request: Request) -> Response:
        """Have it enforce what hurts nobody, and stop again."""
        order = await read_order(request, TryLine)
        by, why = operator(request, order.by), reason(order.reason)
        return _known(await self._operations.test_line(request.path_params["name"], by, why))


def _known(answer: dict[str, object]) -> Response:
    if answer.get("outcome") == "unknown":
        raise CallerError(404, "there is no such line")
    return JSONResponse(answer)
