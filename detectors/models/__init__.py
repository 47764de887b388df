"""What turns features into a score. A model is an ensemble of trees with a calibration; its card says what it reads,
what it was made from, how well it did on traffic it never saw, and seals all of it with a hash.
"""

from detectors.models.card import Card, Evaluation, Schema
from detectors.models.model import Model, ModelRefused, load
from detectors.models.training import ACCESS, FLOW, held_out, train_access, train_all, train_flow

__all__ = [
    "ACCESS",
    "FLOW",
    "Card",
    "Evaluation",
    "Model",
    "ModelRefused",
    "Schema",
    "held_out",
    "load",
    "train_access",
    "train_all",
    "train_flow",
]
