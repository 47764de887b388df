"""What the edge does when it runs out: connections are closed as they come, and near the end of its memory nothing new
is begun, so that what is under way can finish.
"""

from __future__ import annotations

from typing import Any

from gateway.config import Edge

_TYPE = "type.googleapis.com/envoy.extensions.resource_monitors"
_HEAP = "envoy.resource_monitors.fixed_heap"
_CONNECTIONS = "envoy.resource_monitors.global_downstream_max_connections"
# Shares of `edge.max_memory_mb`.
_IMPATIENT, _SHRINK, _REFUSE = 0.80, 0.90, 0.95
# Who waits, idle or slowly, has so much less time the fuller the memory is: down to these shares.
_TIMERS = {
    "HTTP_DOWNSTREAM_CONNECTION_IDLE": 2,
    "HTTP_DOWNSTREAM_STREAM_IDLE": 10,
    "TRANSPORT_SOCKET_CONNECT": 20,
}


def overload_manager(edge: Edge) -> dict[str, Any]:
    """Envoy's overload manager, which is part of its bootstrap."""
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            _monitor(_HEAP, "fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=edge.max_memory_mb << 20),
            _monitor(
                _CONNECTIONS,
                "downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=edge.max_connections,
            ),
        ],
        "actions": [
            _action("envoy.overload_actions.shrink_heap", {"threshold": {"value": _SHRINK}}),
            _reduced_timeouts(),
            _action("envoy.overload_actions.disable_http_keepalive", {"threshold": {"value": _SHRINK}}),
            _action("envoy.overload_actions.stop_accepting_requests", {"threshold": {"value": _REFUSE}}),
            _action("envoy.overload_actions.stop_accepting_connections", {"threshold": {"value": _REFUSE}}),
        ],
    }


def _reduced_timeouts() -> dict[str, Any]:
    kind = "type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig"
    factors = [{"timer": timer, "min_scale": {"value": share}} for timer, share in _TIMERS.items()]
    trigger = {"scaled": {"scaling_threshold": _IMPATIENT, "saturation_threshold": _REFUSE}}
    action = _action("envoy.overload_actions.reduce_timeouts", trigger)
    return {**action, "typed_config": {"@type": kind, "timer_scale_factors": factors}}


def _action(name: str, trigger: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "triggers": [{"name": _HEAP, **trigger}]}


def _monitor(name: str, kind: str, **fields: int) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_TYPE}.{kind}", **fields}}
