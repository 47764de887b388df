"""The models that Portcullis starts with: from its own simulator, in force from the first start on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from detectors.models import keeping
from detectors.models.card import Card
from detectors.models.history import History
from detectors.models.model import Model
from detectors.models.progress import Progress, quiet
from detectors.models.refused import ModelRefused
from detectors.models.shelf import Shelf
from detectors.models.tasks import TASKS, Task
from detectors.models.traffic import simulated
from detectors.models.training import train
from detectors.simulator import VERSION

OURS = "portcullis"  # who promotes default models, in the history
_log = structlog.get_logger()


def train_all(
    folder: Path, seed: int = 1, progress: Progress | None = None, trusted: Sequence[Ed25519PublicKey] = ()
) -> dict[str, Model]:
    """A model in force for every schema, by name, on the shelf in a folder.

    What an operator promoted stays; so does a default model of this seed and simulator. Where nothing is in force, or
    what is may not be used, the default is trained and put in force, on record. Raises OSError, ModelRefused.
    """
    tell, shelf, models = progress or quiet, Shelf(folder, trusted), {}
    for place, (name, task) in enumerate(TASKS.items()):
        within = _within(tell, place, len(TASKS))
        models[name] = _kept(shelf, task, seed) or _default(shelf, task, seed, within)
        within(f"{name}: ready", 1.0)
    return models


def _kept(shelf: Shelf, task: Task, seed: int) -> Model | None:
    """What is in force, if it may be used and is not a default of another seed or simulator."""
    name = task.schema.name
    try:
        history, model = shelf.history(name), shelf.in_force(task.schema)
    except ModelRefused as refused:
        known = shelf.stamp(name) is not None
        (_log.error if known else _log.info)("no_model_in_force", why=str(refused), answer="the default one")
        return None
    return model if history.by != OURS or _is_of(model.card, seed) else None


def _default(shelf: Shelf, task: Task, seed: int, tell: Progress) -> Model:
    """The default model, from the shelf if it lies there, else trained; in force."""
    keeping.found(shelf)  # one that cannot be written is said before the training, not after it
    history = _history(shelf, task.schema.name)
    model = _found(shelf, task, seed) or train(task, seed, simulated(task, seed), tell)
    revision = keeping.add(shelf, model)
    if revision != history.in_force:
        reason = f"the default model of seed {seed}, simulator {VERSION}"
        keeping.promote(shelf, revision, time=time.time(), by=OURS, reason=reason, force=True)
    return model


def _history(shelf: Shelf, schema: str) -> History:
    """What is on record; a record that may not be believed is set aside, and a new one begun."""
    try:
        return shelf.history(schema)
    except ModelRefused as refused:
        _log.error("history_set_aside", why=str(refused))
        keeping.set_aside(shelf, schema)
        return History(schema)


def _found(shelf: Shelf, task: Task, seed: int) -> Model | None:
    """A default model that was trained before: after an upgrade and a downgrade, for one."""
    for entry in reversed(shelf.entries((task.schema.name,))):
        if entry.card and _is_of(entry.card, seed):
            return shelf.load(entry.revision)
    return None


def _is_of(card: Card, seed: int) -> bool:
    lineage = card.lineage
    return (lineage.seed, lineage.simulator, lineage.files) == (seed, VERSION, ())


def _within(tell: Progress, place: int, count: int) -> Progress:
    return lambda what, share: tell(what, (place + share) / count)
