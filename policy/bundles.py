"""A bundle is what a policy is made from: Rego modules and a data document, read from files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import yaml

from policy.data.documents import Plain, decoded
from policy.problem import PolicyError, Problem
from policy.rego.syntax import package
from policy.rego.values import from_python

_SIGNALS = "starter/signals.rego"  # stands in where a bank has no such package of its own


@dataclass(frozen=True)
class Bundle:
    """Modules by file name, and the base document that they see as `data`, a JSON-like object."""

    sources: Mapping[str, str]
    data: Any
    digest: str = ""  # of the file that the document was read from: then it is the bundle's own, and need not be copied
    text: str = field(default="", repr=False, compare=False)  # of that file, for who hands the bundle on
    kind: str = ""  # that file's suffix: ".json", else it is YAML

    @cached_property
    def revision(self) -> str:
        """Short SHA-256 of the content: 12 hex digits."""
        data = self.digest or json.dumps(self.data, sort_keys=True, default=str)
        content = json.dumps([sorted(self.sources.items()), data])
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    sources: dict[str, str]
    digest: str
    text: str
    kind: str


def read_bundle(paths: Sequence[Path] = (), data_path: Path | None = None, held: Bundle | None = None) -> Bundle:
    """Read modules from files, and from folders with all below them, less `*_test.rego`; none means the starter
    policy, whose module for signals also counts where none of them has that package. `data_path` is a JSON or YAML
    object; where `held` was read from the same, it is not read again. Raises PolicyError if something cannot be read.
    """
    sources = dict(_modules(paths)) if paths else dict(_starter())
    if not sources:
        raise PolicyError([Problem(str(path), 0, 0, "no .rego file here") for path in paths])
    if "portcullis/signals" not in map(package, sources.values()):
        sources[_SIGNALS] = dict(_starter())[_SIGNALS]
    if data_path is None:
        return Bundle(sources, {})
    content = _content(data_path)
    digest = hashlib.sha256(content).hexdigest()
    text = _unicode(data_path, content)
    document = held.data if held is not None and held.digest == digest else _document(data_path, text)
    return Bundle(sources, document, digest, text, data_path.suffix)


def packed(bundle: Bundle) -> bytes:
    """A bundle that was read from files, as another process of ours reads it: the same revision comes of it."""
    return msgspec.msgpack.encode(_Packed(dict(bundle.sources), bundle.digest, bundle.text, bundle.kind))


def unpacked(content: bytes) -> Bundle:
    """The bundle in what `packed` made. Raises msgspec.DecodeError, and PolicyError for a document that is none."""
    read = msgspec.msgpack.decode(content, type=_Packed)
    document = _document(Path(f"data{read.kind}"), read.text) if read.digest else {}
    return Bundle(read.sources, document, read.digest)


def read_data(path: Path) -> dict[str, Any]:
    """Read a data document. Raises PolicyError."""
    return _document(path, _text(path))


def _document(path: Path, text: str) -> dict[str, Any]:
    try:
        if path.suffix == ".json":
            document = decoded(text)
        else:
            value = yaml.load(text, Loader=Plain)  # noqa: S506 - safe
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
    return _unicode(path, _content(path))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PolicyError([Problem(str(path), 0, 0, error.strerror or str(error))]) from error


def _unicode(path: Path, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise PolicyError([Problem(str(path), 0, 0, f"not UTF-8: byte {error.start}")]) from error
