"""Loads the configuration: file and environment in, one checked tree out, each value with its origin."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from gateway.config import Config
from gateway.crosschecks import Problem, contradictions, missing_files
from gateway.yaml_document import InvalidDocument, Key, read_document

PREFIX = "PORTCULLIS__"
MASK = "********"


class ConfigurationError(Exception):
    """The configuration's author must act: one line a problem, each naming where and which key."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The tree, and where each value that is no default came from ("FILE:LINE" or "environment NAME")."""

    config: Config
    origins: Mapping[Key, str]


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective value, fit to be shown: secrets are masked."""

    key: str
    value: Any
    origin: str


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read the file once, lay the environment over it, check everything. Raises ConfigurationError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror or error}"]) from error
    loaded = parse(data, str(path), environ)
    _refuse(missing_files(loaded.config), loaded.origins, str(path))
    return loaded


def parse(data: bytes, name: str, environ: Mapping[str, str]) -> Loaded:
    """As `load`, without a look at the disk; `name` stands for the file in errors. Raises ConfigurationError."""
    try:
        document = read_document(data)
    except InvalidDocument as error:
        raise ConfigurationError([f"{name}:{error.line}: {error.what}"]) from error
    values, origins = document.values, {key: f"{name}:{line}" for key, line in document.lines.items()}
    for variable in _overrides(environ):
        branch = _from_environment(variable, environ[variable])
        values = _overlay(values, branch)
        origins |= dict.fromkeys(_keys(branch), f"environment {variable}")
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        _refuse(_problems(error), origins, name)
        raise  # not reached: a validation error always has a problem
    _refuse(contradictions(config), origins, name)
    return Loaded(config, origins)


def effective(loaded: Loaded) -> list[Setting]:
    """Every value in force, with its origin, in the order of the tree."""
    return [
        Setting(_dotted(key), value, loaded.origins.get(key, "default")) for key, value in _leaves(loaded.config, ())
    ]


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that reads the same tree and needs none of its secrets: each is masked in place.

    Raises ConfigurationError where the environment does not load either.
    """
    return {**environ, **{variable: _without_secrets(variable, environ[variable]) for variable in _overrides(environ)}}


class _Environment(Config, BaseSettings):
    """The same tree, as pydantic-settings reads it from variables like PORTCULLIS__EDGE__PORT."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)


def _overrides(environ: Mapping[str, str]) -> list[str]:
    # A variable for a whole branch comes before those inside it, so that the more exact one wins.
    names = (name for name in environ if name.upper().startswith(PREFIX))
    return sorted(names, key=lambda name: (name.count("__"), name))


def _from_environment(variable: str, text: str) -> dict[str, Any]:
    # One variable at a time: then an error can name it, and the values it set are known to be its own.
    source = EnvSettingsSource(_Environment)
    source.env_vars = {variable.lower(): text}
    try:
        branch = source()
    except (SettingsError, RecursionError) as error:
        raise ConfigurationError([f"environment {variable}: must be JSON"]) from error
    if not branch:
        raise ConfigurationError([f"environment {variable}: unknown key{_guess(_top(variable), Config)}"])
    return branch


def _without_secrets(variable: str, text: str) -> str:
    branch = _from_environment(variable, text)
    masked: Any = _masked(branch, ())
    if masked == branch:
        return text
    for step in variable[len(PREFIX) :].lower().split("__"):
        masked = masked[step]
    return masked if isinstance(masked, str) else json.dumps(masked)


def _masked(value: Any, key: Key) -> Any:
    if isinstance(value, dict):
        return {name: _masked(child, (*key, name)) for name, child in value.items()}
    if isinstance(value, list):
        return [_masked(child, (*key, index)) for index, child in enumerate(value)]
    return MASK if _is_secret(key) else value


def _is_secret(key: Key) -> bool:
    model = _branch(key[:-1])
    field = model.model_fields.get(str(key[-1])) if model else None
    return field is not None and SecretStr in (field.annotation, *get_args(field.annotation))


def _top(variable: str) -> str:
    return variable[len(PREFIX) :].lower().split("__")[0]


def _overlay(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _keys(value: Any, key: Key = ()) -> Iterator[Key]:
    if key:
        yield key
    if isinstance(value, dict):
        children: Iterable[tuple[str | int, Any]] = value.items()
    else:
        children = enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield from _keys(child, (*key, name))


def _refuse(problems: Iterable[Problem], origins: Mapping[Key, str], name: str) -> None:
    told = [f"{_place(key, origins, name)}: {_dotted(key)}: {what}" for key, what in problems]
    if told:
        raise ConfigurationError(told)


def _place(key: Key, origins: Mapping[Key, str], name: str) -> str:
    # What is not written has no line of its own: then that of the nearest branch around it.
    around = (key[:length] for length in range(len(key), 0, -1))
    return next((origins[near] for near in around if near in origins), f"{name}:1")


def _problems(error: ValidationError) -> Iterator[Problem]:
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        key: Key = found["loc"]
        if found["type"] == "extra_forbidden":
            yield key, f"unknown key{_guess(str(key[-1]), _branch(key[:-1]))}"
        elif found["type"] == "missing":
            yield key, "is required"
        else:
            yield key, found["msg"].removeprefix("Input ")


def _guess(name: str, branch: type[BaseModel] | None) -> str:
    known = difflib.get_close_matches(name, branch.model_fields if branch else (), n=1)
    return f"; did you mean {known[0]!r}?" if known else ""


def _branch(key: Key) -> type[BaseModel] | None:
    """The model that holds this key's children. Steps that are no field are names or places in a collection."""
    model: type[BaseModel] | None = Config
    for step in key:
        field = model.model_fields.get(str(step)) if model else None
        model = _model_in(field.annotation) if field else model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(part) for part in get_args(annotation))
    return next((model for model in inner if model), None)


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    if isinstance(value, BaseModel):
        children: list[tuple[str | int, Any]] = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, dict):
        children = list(value.items())
    else:
        children = list(enumerate(value)) if isinstance(value, tuple) else []
    if children:
        yield from itertools.chain.from_iterable(_leaves(child, (*key, name)) for name, child in children)
    else:
        yield key, _shown(value)


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple):
        return []
    return str(value) if isinstance(value, Path) else value


def _dotted(key: Key) -> str:
    return ".".join(str(step) for step in key) or "(all)"
