"""The documents say what is: every key, and an example that loads."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from console.cli import app
from gateway.config import Config
from gateway.configuration import parse

DOCS = Path(__file__).parents[2] / "docs"


def names(schema: dict[str, object], tree: dict[str, object]) -> set[str]:
    """Every name of a key in the JSON schema."""
    found: set[str] = set()
    for part in (schema, *tree.values()):
        assert isinstance(part, dict)
        found |= set(part.get("properties", {}))
    return found


def test_every_key_has_its_row() -> None:
    schema = Config.model_json_schema()
    rows = re.findall(r"^\| \*?`([\w.]+)`\*? ", (DOCS / "configuration.md").read_text(), re.MULTILINE)
    told = {name for row in rows for name in row.split(".")} - {"N", "NAME"}
    assert told == names(schema, schema["$defs"])


def test_the_example_loads() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "configuration.md").read_text(), re.DOTALL)
    assert parse(example.encode(), "example", {}).config.lines.nftables is not None


def test_every_command_is_in_the_operations_handbook() -> None:
    text = (DOCS / "operations.md").read_text()
    nouns = (
        "config check",
        "config reload",
        "policy check",
        "policy reload",
        "policy show",
        "policy eval",
        "policy data",
    )
    for noun in (*nouns, "audit verify", "agents list", "approvals", "events tail", "events import"):
        assert CliRunner().invoke(app, [*noun.split(), "--help"]).exit_code == 0
        assert f"portcullis {noun}" in text
