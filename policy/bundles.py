"""A bundle is what a policy is made from: Rego modules and a data document, read from files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from policy.problem import PolicyError, Problem
from policy.rego.values import from_python


@dataclass(frozen=True)
class Bundle:
    """Modules by file name, and the base document that they see as `data`."""

    sources: Mapping[str, str]
    data: Any

    @cached_property
    def revision(self) -> str:
        """Short SHA-256 of the content: 12 hex digits."""
        content = json.dumps([sorted(self.sources.items()), self.data], sort_keys=True, default=str)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def read_bundle(paths: Sequence[Path] = (), data_path: Path | None = None) -> Bundle:
    """Read modules from files, and from folders with all below them, less `*_test.rego`; none means the starter
    policy. `data_path` is a JSON or YAML object. Raises PolicyError if something cannot be read.
    """
    sources = dict(_modules(paths)) if paths else dict(_starter())
    if not sources:
        raise PolicyError([Problem(str(path), 0, 0, "no .rego file here") for path in paths])
    return Bundle(sources, read_data(data_path) if data_path else {})


def read_data(path: Path) -> dict[str, Any]:
    """Read a data document. Raises PolicyError."""
    text = _text(path)
    try:
        value = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Plain)  # noqa: S506 - safe
        document = from_python({} if value is None else value)
    except json.JSONDecodeError as error:
        raise PolicyError([Problem(str(path), error.lineno, error.colno, error.msg)]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise PolicyError([Problem(str(path), line, column, error.problem or "not YAML")]) from error
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise PolicyError([Problem(str(path), 0, 0, str(error))]) from error
    if not isinstance(document, dict):
        raise PolicyError([Problem(str(path), 1, 1, "the data document must be an object")])
    return document


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few lines of them make more values than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node, of which each is written once. Raises ComposerError."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not read here", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)


def _starter() -> Iterator[tuple[str, str]]:
    folder = files("policy") / "starter"
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.name.endswith(".rego"):
            yield f"starter/{entry.name}", entry.read_text(encoding="utf-8")


def _modules(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        found = sorted(path.rglob("*.rego")) if path.is_dir() else [path]
        for file in found:
            if not (path.is_dir() and file.name.endswith("_test.rego")):
                yield str(file), _text(file)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError([Problem(str(path), 0, 0, error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        raise PolicyError([Problem(str(path), 0, 0, f"not UTF-8: byte {error.start}")]) from error
