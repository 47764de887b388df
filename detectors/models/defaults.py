"""The models that Portcullis comes with, learnt from its own simulator: in force from the first start on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from detectors.models import keeping
from detectors.models.history import History
from detectors.models.model import Model, shipped, shipped_card
from detectors.models.refused import ModelRefused
from detectors.models.shelf import Shelf
from detectors.models.tasks import TASKS, Task

TRAINED = Path(__file__).parent / "trained"  # `make models` writes it
OURS = "portcullis"  # who promotes default models, in the history
_log = structlog.get_logger()


def put_defaults(folder: Path, trusted: Sequence[Ed25519PublicKey] = ()) -> dict[str, Model]:
    """A model in force for every schema, by name, on the shelf in a folder.

    What an operator promoted stays. Where nothing is in force, or what is may not be used or is the default of another
    version, the default is put in force, on record. Raises OSError, ModelRefused.
    """
    shelf = Shelf(folder, trusted)
    return {name: _kept(shelf, task) or _put(shelf, task) for name, task in TASKS.items()}


def default(task: Task) -> Model:
    """The default model of a task. Raises ModelRefused where the installation is damaged."""
    return shipped(TRAINED / task.schema.name, task.schema)


def _kept(shelf: Shelf, task: Task) -> Model | None:
    """What is in force, if it may be used and is not the default of another version."""
    name = task.schema.name
    try:
        history, model = shelf.history(name), shelf.in_force(task.schema)
    except ModelRefused as refused:
        known = shelf.stamp(name) is not None
        (_log.error if known else _log.info)("no_model_in_force", why=str(refused), answer="the default one")
        return None
    return model if history.by != OURS or model.card.revision == shipped_card(TRAINED / name).revision else None


def _put(shelf: Shelf, task: Task) -> Model:
    keeping.found(shelf)
    history, model = _history(shelf, task.schema.name), default(task)
    revision = keeping.add(shelf, model)
    if revision != history.in_force:
        keeping.promote(shelf, revision, time=time.time(), by=OURS, reason="the default model", force=True)
    return model


def _history(shelf: Shelf, schema: str) -> History:
    """What is on record; a record that may not be believed is set aside, and a new one begun."""
    try:
        return shelf.history(schema)
    except ModelRefused as refused:
        _log.error("history_set_aside", why=str(refused))
        keeping.set_aside(shelf, schema)
        return History(schema)
