"""Policy enforcement points. An attempt is one request as a PEP saw it; the judge identifies, looks for blocks and
asks the PDP; each PEP turns the judge's answer into its own protocol's words.
"""

from gateway.enforcement.attempt import Answer, Attempt
from gateway.enforcement.edge_log import serve_edge_log
from gateway.enforcement.ext_authz_grpc import Authorization
from gateway.enforcement.grpc_connection import GrpcConnection, Service
from gateway.enforcement.http2 import Http2, Http2Bounds
from gateway.enforcement.judge import Judge, refusal_id
from gateway.enforcement.mesh_services import MeshServices
from gateway.enforcement.questions import serve_questions
from gateway.enforcement.refusal_log import RefusalLog
from gateway.enforcement.reuse import Reusing
from gateway.enforcement.target import split
from gateway.enforcement.tether import serve_tether

__all__ = [
    "Answer",
    "Attempt",
    "Authorization",
    "GrpcConnection",
    "Http2",
    "Http2Bounds",
    "Judge",
    "MeshServices",
    "RefusalLog",
    "Reusing",
    "Service",
    "refusal_id",
    "serve_edge_log",
    "serve_questions",
    "serve_tether",
    "split",
]
