"""The decision API: how enforcement points that are not ours ask. An evaluation is AuthZEN's question and becomes the
access request that policy always sees; a data question is OPA's and names any rule. A listener is one socket where
both are answered, from the live revision; none is at the edge.
"""

from gateway.decision_api.application import DecisionApi
from gateway.decision_api.authzen import AuthZen, Witness
from gateway.decision_api.connection import Bounds
from gateway.decision_api.listener import serve_decisions, serve_unix
from gateway.decision_api.opa_data import OpaData

__all__ = ["AuthZen", "Bounds", "DecisionApi", "OpaData", "Witness", "serve_decisions", "serve_unix"]
