"""What other Envoys than our edge may ask, all on one connection: checks of requests, tethers of streams, access logs.

Such an Envoy is believed what it says of its callers' addresses and certificates. What callers say is believed as
little as at our edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest

from gateway.enforcement import access_logs, ext_authz_grpc, tether
from gateway.enforcement.access_logs import AccessLogs
from gateway.enforcement.ext_authz_grpc import Authorization
from gateway.enforcement.grpc_connection import GrpcConnection, Service
from gateway.enforcement.judge import Judge
from gateway.enforcement.processing import mesh_attempt_of
from gateway.enforcement.tether import Opened, Reading, Tether
from gateway.sessions import Sessions
from telemetry import EventBatch


class MeshServices:
    """The services for connections of other Envoys. `opened` as with `Tether`; `publish` takes access logs; `claims`
    finds those of a request's headers in which a caller claims to be somebody.
    """

    def __init__(
        self,
        judge: Judge,
        sessions: Sessions,
        opened: Opened,
        publish: Callable[[EventBatch], None],
        claims: Callable[[Iterable[str]], list[str]],
    ) -> None:
        self._judge = judge
        self._sessions = sessions
        self._opened = opened
        self._publish = publish
        self._claims = claims
        self._reading = Reading(lambda first: mesh_attempt_of(first, judge.scheme), lambda _: "", self._claimed)

    def services(self, connection: GrpcConnection, source: str) -> dict[str, Service]:
        """Those of one connection, by method; `source` is the name of its access logs."""
        return {
            ext_authz_grpc.METHOD: Authorization(self._judge, self._claims, connection),
            tether.METHOD: Tether(self._judge, self._sessions, self._opened, connection, self._reading),
            access_logs.METHOD: AccessLogs(self._publish, source, connection),
        }

    def _claimed(self, first: ProcessingRequest) -> list[str]:
        return self._claims([line.key for line in first.request_headers.headers.headers])
