"""The JSON Schema of what policy sees, for who writes policy and for other enforcement points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from policy.question import VERSION


def access_input_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of `input` in an access decision, in the version that this gateway speaks."""
    path = Path(__file__).parent / "schemas" / f"access-input.{VERSION}.json"
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema
