"""An XGBoost model with its card: UBJSON, verified before it is parsed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import xgboost
from numpy.typing import NDArray

from detectors.arrays import Array, Device
from detectors.models.calibration import probability
from detectors.models.card import FORMAT, Card, Schema
from detectors.models.refused import ModelRefused
from detectors.models.signing import Keys

MODEL, CARD, SIGNATURE = "model.ubj", "card.json", "card.sig"


@dataclass(frozen=True, slots=True)
class Model:
    """A trained ensemble, and what is known of it. Scoring never changes it."""

    booster: xgboost.Booster
    card: Card

    def score(self, matrix: Array) -> NDArray[np.float64]:
        """Calibrated probability for each row of [rows, features], on whichever device the matrix lies."""
        return probability(self.card.calibration, margins(self.booster, matrix))

    def contributions(self, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
        """TreeSHAP: what each feature added to each row's margin. [rows, features], without the bias."""
        rows = xgboost.DMatrix(matrix, nthread=1)
        parts: NDArray[np.float32] = self.booster.predict(rows, pred_contribs=True)
        return parts[:, :-1]

    def files(self, keys: Keys) -> dict[str, bytes]:
        """Each file of it, signed. Raises ModelRefused where there is no key to sign with."""
        files = self.unsigned()
        return files | {SIGNATURE: msgspec.json.encode(keys.sign("card", files[CARD])) + b"\n"}

    def unsigned(self) -> dict[str, bytes]:
        """The model and its card."""
        card = msgspec.json.format(msgspec.json.encode(self.card), indent=2) + b"\n"
        return {MODEL: raw(self.booster), CARD: card}


def load(folder: Path, schema: Schema, keys: Keys, device: Device = "cpu") -> Model:
    """Read a model that fits a schema.

    Raises ModelRefused if it is missing, unsigned, altered, signed by a stranger, unreadable or of another schema.
    """
    return _parsed(folder, schema, *verified(folder, keys), device)


def shipped(folder: Path, schema: Schema) -> Model:
    """Read a model that came with the program, and is believed as the program is: nobody signed it here.

    Raises ModelRefused if it is missing, damaged, unreadable or of another schema.
    """
    card = _card(folder)
    return _parsed(folder, schema, card, _body(folder, card), "cpu")


def shipped_card(folder: Path) -> Card:
    """The card alone of such a model. Raises ModelRefused."""
    return _card(folder)


def _parsed(folder: Path, schema: Schema, card: Card, body: bytes, device: Device) -> Model:
    refuse_other(folder, card, schema)
    try:
        booster = warm(xgboost.Booster(model_file=bytearray(body)), len(schema.features), device)
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise ModelRefused(f"{folder / MODEL}: no model of this schema: {error}") from error
    return Model(booster, card)


def verified(folder: Path, keys: Keys) -> tuple[Card, bytes]:
    """A card and its model's bytes, as somebody trusted signed them; not parsed yet. Raises ModelRefused."""
    signer(folder, keys)
    card = _card(folder)
    return card, _body(folder, card)


def _body(folder: Path, card: Card) -> bytes:
    body = _read(folder / MODEL)
    if hashlib.sha256(body).hexdigest() != card.sha256:  # no secret: both are public
        raise ModelRefused(f"{folder / MODEL}: altered, its SHA-256 is not the card's")
    return body


def signer(folder: Path, keys: Keys) -> str:
    """The id of the key that signed a card. Raises ModelRefused."""
    return keys.verify("card", _read(folder / CARD), _read(folder / SIGNATURE), folder / CARD)


def refuse_other(folder: Path, card: Card, schema: Schema) -> None:
    """Raises ModelRefused for a card of another schema, newer or older."""
    if card.schema != schema:
        is_, wanted = (f"{one.name} version {one.version}" for one in (card.schema, schema))
        same = " with other features" if is_ == wanted else ""
        raise ModelRefused(f"{folder / CARD}: of another schema: it is {is_}{same}, and {wanted} is read here")


def warm(booster: xgboost.Booster, features: int, device: Device) -> xgboost.Booster:
    """One thread, one device, and the first prediction done, which is the slow one."""
    booster.set_param({"nthread": 1, "device": "cuda" if device == "gpu" else "cpu"})
    booster.inplace_predict(np.zeros((1, features)), predict_type="margin", validate_features=False)
    booster.predict(xgboost.DMatrix(np.zeros((1, features)), nthread=1), pred_contribs=True)
    return booster


def margins(booster: xgboost.Booster, matrix: Array) -> NDArray[np.float64]:
    """The ensemble's log-odds for each row, in main memory."""
    values = booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
    return np.asarray(values.get() if hasattr(values, "get") else values, np.float64)


def raw(booster: xgboost.Booster) -> bytes:
    """The model as UBJSON."""
    return bytes(booster.save_raw("ubj"))


class _Format(msgspec.Struct, frozen=True):
    format: int


def _card(folder: Path) -> Card:
    path, body = folder / CARD, _read(folder / CARD)
    try:
        format_ = msgspec.json.decode(body, type=_Format).format
        if format_ != FORMAT:
            raise ModelRefused(f"{path}: a card of format {format_}, and {FORMAT} is read here")
        card = msgspec.json.decode(body, type=Card)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRefused(f"{path}: not a model card: {error}") from error
    if card.revision != card.seal():
        raise ModelRefused(f"{path}: altered, its revision does not fit")
    return card


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = "unsigned, there is no signature" if path.name == SIGNATURE else error.strerror
        raise ModelRefused(f"{path}: {what}") from error
