"""What it means. A detector reads event batches and answers with verdicts; features are what it knows of each
subject; a model turns features into a score; the pipeline holds the detectors, and the worker is the process that
runs it. The simulator makes the traffic that models are trained and tested on.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from detectors.memory import keep_freed, settle
from detectors.secret import kept_key
from detectors.verdict import SubjectKind, Verdict
from detectors.wire import MOST_UNANSWERED, Batch, Hello, Verdicts, batch_decoder, verdicts_decoder

if TYPE_CHECKING:
    from detectors.alerts import AlertDetector
    from detectors.detector import Detector, Scores, State
    from detectors.endpoints import EndpointDetector
    from detectors.models import (
        DataRefused,
        Evaluation,
        Model,
        ModelRefused,
        Shelf,
        held_out,
        put_defaults,
    )
    from detectors.names import NameDetector
    from detectors.pipeline import Pipeline, default_pipeline
    from detectors.recorded import Recorded, device_after
    from detectors.simulator import Labelled, access_traffic, flow_traffic, name_traffic, takeover
    from detectors.worker import work

__all__ = [
    "MOST_UNANSWERED",
    "AlertDetector",
    "Batch",
    "DataRefused",
    "Detector",
    "EndpointDetector",
    "Evaluation",
    "Hello",
    "Labelled",
    "Model",
    "ModelRefused",
    "NameDetector",
    "Pipeline",
    "Recorded",
    "Scores",
    "Shelf",
    "State",
    "SubjectKind",
    "Verdict",
    "Verdicts",
    "access_traffic",
    "batch_decoder",
    "default_pipeline",
    "device_after",
    "flow_traffic",
    "held_out",
    "keep_freed",
    "kept_key",
    "name_traffic",
    "put_defaults",
    "settle",
    "takeover",
    "verdicts_decoder",
    "work",
]

# The floors above need only the words; XGBoost is loaded by who asks for what uses it, not by each of their processes.
_ON_DEMAND = {
    "detectors.alerts": ("AlertDetector",),
    "detectors.detector": ("Detector", "Scores", "State"),
    "detectors.endpoints": ("EndpointDetector",),
    "detectors.models": (
        "DataRefused",
        "Evaluation",
        "Model",
        "ModelRefused",
        "Shelf",
        "held_out",
        "put_defaults",
    ),
    "detectors.names": ("NameDetector",),
    "detectors.pipeline": ("Pipeline", "default_pipeline"),
    "detectors.simulator": ("Labelled", "access_traffic", "flow_traffic", "name_traffic", "takeover"),
    "detectors.recorded": ("Recorded", "device_after"),
    "detectors.worker": ("work",),
}
_HOME = {name: module for module, names in _ON_DEMAND.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
