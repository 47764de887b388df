"""An engine evaluates entry points of a revision: the embedded one in this process, or a real OPA over HTTP."""

from policy.engines.embedded import EmbeddedEngine
from policy.engines.engine import Engine, PolicyUnavailable
from policy.engines.opa import OpaEngine

__all__ = ["EmbeddedEngine", "Engine", "OpaEngine", "PolicyUnavailable"]
