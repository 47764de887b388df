"""The admin API's part about the ledger's files."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from console.operations import Operations
from console.orders import CallerError, operator, read_order


class CompactLedger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to move old entries into an archive."""

    age: float  # seconds: what was written before that
    archive: str  # folder, an absolute path that the gateway's own user can write to
    by: str = ""
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not self.age > 0:
            raise ValueError("age must be above 0 seconds")
        if not self.archive.startswith("/"):
            raise ValueError("archive must be an absolute path")


class LedgerApi:
    """One method a path."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def compact(self, request: Request) -> Response:
        """While the gateway writes on."""
        order = await read_order(request, CompactLedger)
        by = operator(request, order.by)
        try:
            return JSONResponse(await self._operations.compact_ledger(order.age, order.archive, by, order.dry_run))
        except OSError as error:
            raise CallerError(400, f"archive: {error}") from error
