"""An engine evaluates entry points of a revision: the embedded one in this process, or a real OPA over HTTP (`opa`)."""

from policy.engines.embedded import EmbeddedEngine
from policy.engines.engine import Engine, PolicyUnavailable
from policy.engines.server import OpaServer, OpaTls

__all__ = ["EmbeddedEngine", "Engine", "OpaServer", "OpaTls", "PolicyUnavailable"]
