"""The JSON Schema of what policy sees, for who writes policy and for other enforcement points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from policy.question import SIGNALS_VERSION, VERSION


def access_input_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of `input` in an access decision, in the version that this gateway speaks."""
    return _schema(f"access-input.{VERSION}.json")


def signals_input_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of `input` where the signals policy is asked about a security event."""
    return _schema(f"signals-input.{SIGNALS_VERSION}.json")


def _schema(name: str) -> dict[str, Any]:
    path = Path(__file__).parent / "schemas" / name
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema
