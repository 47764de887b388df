"""Retries: only where a service cannot do twice what was asked once.

A request that never left, because there was no connection or because the service refused the stream unread (RFC 9113,
section 8.7), may go again whatever it asks. One that left, and whose connection broke without an answer, may go again
where its method only reads (safe methods, RFC 9110, section 9.2.1). An answer is an answer, a 503 too; live streams are
never begun again.
"""

from __future__ import annotations

from typing import Any

_UNSENT = "connect-failure,refused-stream,reset-before-request"
_READS = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}
_HOSTS = "envoy.retry_host_predicates.previous_hosts"
_HOSTS_TYPE = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"


def retried(route: dict[str, Any]) -> list[dict[str, Any]]:
    """A Route resource as two: for requests that only read, and for all others."""
    reads = {**route["match"], "headers": [_READS]}
    return [
        {**route, "match": reads, "route": {**route["route"], "retry_policy": _policy(f"{_UNSENT},reset")}},
        {**route, "route": {**route["route"], "retry_policy": _policy(_UNSENT)}},
    ]


def _policy(conditions: str) -> dict[str, Any]:
    """At most twice, soon, and elsewhere where there is more than one address. The service's budget bounds them all."""
    return {
        "retry_on": conditions,
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "retry_host_predicate": [{"name": _HOSTS, "typed_config": {"@type": _HOSTS_TYPE}}],
        "host_selection_retry_max_attempts": 3,
    }
