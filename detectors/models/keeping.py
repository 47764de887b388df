"""Changes a shelf: puts revisions on it, and one in force. One change at a time; each is whole or did not happen.

A revision is written beside its place and renamed; what is in force is one file, replaced in one step. Whatever kills
the process between two steps, a reader finds the shelf as it was or as it was to be.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import msgspec
import structlog

from detectors.models import durable
from detectors.models.comparison import Comparison
from detectors.models.history import History
from detectors.models.model import Model
from detectors.models.places import schema_of
from detectors.models.refused import ModelRefused
from detectors.models.shelf import Shelf
from detectors.models.signing import found_key

KEPT = 20  # revisions of a schema; the oldest makes room, but none that is in force or can be gone back to
_log = structlog.get_logger()


def found(shelf: Shelf) -> None:
    """Make the shelf, with a key of its own, where there is none. Raises OSError, ModelRefused."""
    with changing(shelf):
        pass


def add(shelf: Shelf, model: Model) -> str:
    """Put a model on the shelf and tell its revision; one that lies there intact is left alone.

    Raises ModelRefused, OSError: then nothing was added.
    """
    revision = model.card.revision
    with changing(shelf):
        files = model.files(shelf.keys)
        if not _intact(shelf, revision):
            place = shelf.places.revision(revision)
            shutil.rmtree(place, ignore_errors=True)
            _make_room(shelf, schema_of(revision))
            _stage(place, files)
    return revision


def promote(
    shelf: Shelf, revision: str, *, time: float, by: str, reason: str, force: bool = False, dry_run: bool = False
) -> History:
    """Put a revision in force, and tell the history as it is then.

    Raises ModelRefused where it is in force already, may not be used, or was not evaluated as no worse than what is in
    force now and is not forced; OSError. Then nothing has changed.
    """
    with nullcontext() if dry_run else changing(shelf):
        before = shelf.history(schema_of(revision))
        shelf.load(revision)
        if revision == before.in_force:
            raise ModelRefused(f"{revision}: is in force")
        why_not = unproven(shelf, revision, before)
        if why_not and not force:
            raise ModelRefused(f"{revision}: {why_not}")
        after = before.promoted(revision, time, by, reason, forced=bool(why_not))
        return after if dry_run else _put_in_force(shelf, after)


def roll_back(shelf: Shelf, schema: str, *, time: float, by: str, reason: str, dry_run: bool = False) -> History:
    """Put what was in force before in force again. Raises ModelRefused where there is nothing; OSError."""
    with nullcontext() if dry_run else changing(shelf):
        before = shelf.history(schema)
        if not before.previous:
            raise ModelRefused(f"{schema}: no model was in force before {before.in_force or 'any'}")
        shelf.load(before.previous)
        after = before.rolled_back(time, by, reason)
        return after if dry_run else _put_in_force(shelf, after)


def record(shelf: Shelf, comparison: Comparison) -> None:
    """Keep how a revision did, for its promotion. Raises ModelRefused, OSError."""
    with changing(shelf):
        path = shelf.places.evaluation(comparison.revision)
        durable.put(path, shelf.keys.seal("evaluation", msgspec.json.encode(comparison)))


def unproven(shelf: Shelf, revision: str, history: History) -> str:
    """Why a revision is not known to be no worse than what is in force; empty if it is. Raises ModelRefused."""
    told = shelf.evaluation(revision)
    if told is None:
        return "was not evaluated"
    if told.against != history.in_force:
        return f"was evaluated against {told.against or 'nothing'}, and {history.in_force or 'nothing'} is in force"
    return "; ".join(told.worse)


def set_aside(shelf: Shelf, schema: str) -> None:
    """Take a history that cannot be believed out of the way, for somebody to look at. Raises OSError."""
    path = shelf.places.history(schema)
    with changing(shelf), suppress(FileNotFoundError):
        durable.move(path, path.with_suffix(".refused"))


@contextmanager
def changing(shelf: Shelf) -> Iterator[None]:
    """Hold the shelf, which is made on first use with a key of its own. Waits for who else changes it.

    Raises OSError where the folder cannot be written, ModelRefused where its key may not be used.
    """
    places = shelf.places
    places.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not places.key.exists():
            found_key(places.key, places.public_key)
        yield
    finally:
        os.close(lock)


def _put_in_force(shelf: Shelf, history: History) -> History:
    durable.put(shelf.places.history(history.schema), shelf.keys.seal("history", msgspec.json.encode(history)))
    return history


def _stage(place: Path, files: dict[str, bytes]) -> None:
    """All files of a folder or none. Only one stages at a time: what lies there is of one who died."""
    staged = place.parent / "next"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(mode=0o755, parents=True)
    try:
        for name, data in files.items():
            durable.write(staged / name, data)
        durable.sync_folder(staged)
        durable.move(staged, place)
    except OSError:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def _intact(shelf: Shelf, revision: str) -> bool:
    with suppress(ModelRefused):
        shelf.card(revision)
        return True
    return False


def _make_room(shelf: Shelf, schema: str) -> None:
    """Remove the oldest, so that one more is within KEPT. Where what is in force cannot be told, nothing is removed."""
    for gone in shelf.places.room(schema).glob("*.gone"):  # of one who died meanwhile
        shutil.rmtree(gone, ignore_errors=True)
    try:
        needed = shelf.history(schema).standing
    except ModelRefused:
        return
    revisions = sorted(shelf.places.revisions(schema), key=shelf.places.created)
    spare = [revision for revision in revisions if revision not in needed]
    for revision in spare[: max(0, len(revisions) - KEPT + 1)]:
        place = shelf.places.revision(revision)
        place.rename(gone := place.with_name(f"{revision}.gone"))  # it is there whole, or it is not there
        shutil.rmtree(gone, ignore_errors=True)
        _log.info("model_removed", revision=revision, kept=KEPT)
