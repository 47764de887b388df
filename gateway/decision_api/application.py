"""The decision API over HTTP: who may ask, and each protocol's own words for an answer and a refusal."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import structlog
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from gateway.decision_api.authzen import AuthZen
from gateway.decision_api.metadata import EVALUATION, EVALUATIONS, WELL_KNOWN, metadata
from gateway.decision_api.opa_data import OpaData, is_set
from gateway.decision_api.refused import Refused
from gateway.decision_api.request import read_input, read_object, read_question
from policy import UNDEFINED, EvaluationError, PolicyUnavailable, encode_json

DATA = "/v1/data"
_log = structlog.get_logger()
_ANSWERS = Counter("portcullis_gateway_decision_api_answers_total", "Answers to other PEPs", ["api", "status"])
_CODES = {400: "invalid_parameter", 401: "unauthorized", 403: "unauthorized", 413: "invalid_parameter"}
_REALM = {"www-authenticate": 'Bearer realm="portcullis"'}

Handler = Callable[[Request], Awaitable[Response]]


class DecisionApi:
    """The ASGI application. A `token` must be shown where there is one; `url` is the identifier in the metadata, which
    is there only with one; `most` is how many bytes a body may have.
    """

    def __init__(self, authzen: AuthZen, opa: OpaData, *, token: str | None, url: str | None, most: int) -> None:
        self._authzen = authzen
        self._opa = opa
        self._token = token.encode() if token else None
        self._url = url
        self._most = most
        self._application = Starlette(
            routes=[
                Route(EVALUATION, self._guarded("authzen", self._evaluation, _plain), methods=["POST"]),
                Route(EVALUATIONS, self._guarded("authzen", self._evaluations, _plain), methods=["POST"]),
                Route(DATA, self._guarded("opa", self._data, _coded), methods=["GET", "POST"]),
                Route(DATA + "/{path:path}", self._guarded("opa", self._data, _coded), methods=["GET", "POST"]),
                Route(WELL_KNOWN, self._metadata, methods=["GET"]),
                Route("/health", self._health, methods=["GET"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the date and the request's own identifier (`X-Request-ID`)."""
        asked = [(name, value) for name, value in scope["headers"] if name == b"x-request-id"]

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = (b"date", formatdate(usegmt=True).encode())
                message["headers"] = [*message.get("headers", ()), date, *asked[:1]]
            await send(message)

        await self._application(scope, receive, answering)

    def _guarded(self, api: str, handler: Handler, told: Callable[[Refused], Response]) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                self._let_in(request)
                response = await handler(request)
            except Refused as refused:
                response = told(refused)
            except ClientDisconnect:
                response = told(Refused(400, "the body ended early"))
            except Exception:
                _log.exception("a question was not answered", api=api)
                response = told(Refused(500, "internal error"))
            _ANSWERS.labels(api, str(response.status_code)).inc()
            return response

        return answer

    def _let_in(self, request: Request) -> None:
        if not request.state.known:
            raise Refused(403, "this client may not ask here")
        shown = request.headers.get("authorization", "").encode("latin-1")
        if self._token is not None and not hmac.compare_digest(shown, b"Bearer " + self._token):
            raise Refused(401, "request rejected by administrative policy")

    async def _evaluation(self, request: Request) -> Response:
        return _json(await self._authzen.evaluation(await read_object(request, self._most)))

    async def _evaluations(self, request: Request) -> Response:
        return _json(await self._authzen.evaluations(await read_object(request, self._most)))

    async def _data(self, request: Request) -> Response:
        parameters = {name: request.query_params.getlist(name) for name in request.query_params}
        path = request.scope["raw_path"].decode("latin-1").removeprefix(DATA)
        try:
            if request.method == "POST":
                answer = self._opa.post(path, await read_question(request, self._most), parameters)
            else:
                given = parameters.get("input")
                answer = self._opa.get(path, read_input(given[-1]) if given else UNDEFINED, parameters)
        except EvaluationError as error:
            return _json(_failed(error), status=500)
        except PolicyUnavailable as error:
            raise Refused(500, str(error)) from error
        return _json(answer, indent="  " if is_set(parameters, "pretty") else None)

    async def _metadata(self, _: Request) -> Response:
        return _json(metadata(self._url)) if self._url else Response(status_code=404)

    async def _health(self, _: Request) -> Response:
        return _json({})


def _json(value: Any, status: int = 200, indent: str | None = None) -> Response:
    return Response(encode_json(value, indent=indent) + "\n", status, media_type="application/json")


def _plain(refused: Refused) -> Response:
    """AuthZEN's errors are a message (section 10.1.2)."""
    return Response(refused.message, refused.status, _headers(refused.status), "text/plain")


def _coded(refused: Refused) -> Response:
    """OPA's errors have a code."""
    status = 400 if refused.status == 413 else refused.status
    answer = _json({"code": _CODES.get(status, "internal_error"), "message": refused.message}, status)
    answer.headers.update(_headers(refused.status))
    return answer


def _headers(status: int) -> dict[str, str]:
    if status == 413:
        return {"connection": "close"}  # the rest of the body is not read
    return _REALM if status == 401 else {}


def _failed(error: EvaluationError) -> dict[str, Any]:
    told = {"code": error.code, "message": str(error)}
    return {"code": "internal_error", "message": "error(s) occurred while evaluating query", "errors": [told]}
