"""Envoy's access log (gRPC, `envoy.service.accesslog.v3`): entries become columns directly, no Event between.

Who asked comes back to us as dynamic metadata that our own enforcement points set. A request that was refused before
it had an identity carries none: then the decision is read from the response, the outcome from how Envoy ended it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from telemetry.event import EventBatch, Kind
from telemetry.malformed import MAX_TEXT
from telemetry.sources.effect import effect_of
from telemetry.words import Words

SOURCE = "edge"
NAMESPACES = ("envoy.filters.http.ext_authz", "envoy.filters.http.ext_proc")  # requests, streams
DECISION = "x-portcullis-decision"
SUBJECT = "x-portcullis-subject"
ACTOR = "x-portcullis-actor"
EFFECT = "x-portcullis-effect"
ADDRESS = "x-forwarded-for"
# RequestMethod of envoy.config.core.v3
_METHODS = ("", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_NOBODY = ("", "", "", "", "")
_MAX_STATUS = 32767
_MAX_BYTES = 2**63 - 1


def access_logs(entries: Iterable[Any], source: str = SOURCE) -> EventBatch:
    """The batch of `StreamAccessLogsMessage.http_logs.log_entry` (HTTPAccessLogEntry each), one row an entry; `source`
    says whose they are.
    """
    rows = [_row(entry) for entry in entries]
    if not rows:
        return EventBatch.of(())
    time, session, subject, actor, effect, address, service, resource, action, status, in_, out, duration = zip(
        *rows, strict=True
    )
    said = [effect_of(text) for text in effect]
    count = len(rows)
    nothing = Words.same("", count)
    return EventBatch(
        time=np.fromiter(time, np.float64, count),
        kind=np.full(count, Kind.REQUEST, np.uint8),
        source=Words.same(source, count),
        subject=Words.of(subject),
        actor=Words.of(actor),
        session=Words.of(session),
        address=Words.of(address),
        peer=nothing,
        service=Words.of(service),
        resource=Words.of(resource),
        action=Words.of(action),
        outcome=Words.of(outcome for outcome, _ in said),
        name=Words.of(block for _, block in said),
        status=np.fromiter(status, np.int16, count),
        port=np.zeros(count, np.int32),
        severity=np.zeros(count, np.uint8),
        bytes_in=np.fromiter(in_, np.int64, count),
        bytes_out=np.fromiter(out, np.int64, count),
        duration=np.fromiter(duration, np.float64, count),
    )


def _row(entry: Any) -> tuple[Any, ...]:
    common, request, response = entry.common_properties, entry.request, entry.response
    status = min(response.response_code.value, _MAX_STATUS)
    session, subject, actor, outcome, address = _identity(common.metadata.filter_metadata)
    if not outcome:
        outcome = _outcome(status, response.response_code_details)
        session = session or response.response_headers.get(DECISION, "")
    start, took = common.start_time, common.time_to_last_downstream_tx_byte
    return (
        start.seconds + start.nanos * 1e-9,
        session,
        subject,
        actor,
        outcome,
        address or _address(common),
        common.upstream_cluster,
        request.path.partition("?")[0][:MAX_TEXT],
        _METHODS[request.request_method] if 0 <= request.request_method < len(_METHODS) else "",
        status,
        min(request.request_headers_bytes + request.request_body_bytes, _MAX_BYTES),
        min(response.response_headers_bytes + response.response_body_bytes, _MAX_BYTES),
        took.seconds + took.nanos * 1e-9,
    )


def _identity(metadata: Any) -> tuple[str, str, str, str, str]:
    """Decision id, subject, actor, effect and, behind proxies, the caller's address that was judged by.

    It is what our enforcement points told Envoy; empty where they did not.
    """
    for namespace in NAMESPACES:
        if namespace in metadata:
            told = metadata[namespace].fields
            if DECISION in told:
                subject, actor, effect, address = (_text(told, key) for key in (SUBJECT, ACTOR, EFFECT, ADDRESS))
                return told[DECISION].string_value, subject, actor, effect, address
    return _NOBODY


def _text(told: Any, key: str) -> str:
    """A field's text; asking a protobuf map for a missing key would add it."""
    return told[key].string_value if key in told else ""


def _outcome(status: int, details: str) -> str:
    if details.startswith("ext_authz_denied"):
        return "deny"
    if status == 0 or status >= 500 or details.startswith("ext_authz_error"):
        return "error"
    if details == "via_upstream":
        return "allow"
    return "deny" if status in (401, 403) else "error"


def _address(common: Any) -> str:
    """Who opened the connection, or whom its PROXY header names: our edge lets Envoy believe no HTTP header.

    The direct address, whose packets these were, is a balancer's where there is one: it counts where no other is.
    """
    caller: str = common.downstream_remote_address.socket_address.address
    return caller or common.downstream_direct_remote_address.socket_address.address
