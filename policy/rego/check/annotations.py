"""Annotations are YAML in comments, `# METADATA` above: a typing error in one would quietly annotate nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

import msgspec
import yaml

from policy.rego.syntax.tree import Import, Module, Rule, place

_HEADING = "METADATA"
_YES, _NO = frozenset(("true", "yes", "on", "y")), frozenset(("false", "no", "off", "n"))


class Annotations(msgspec.Struct):
    """The fields that OPA knows; it takes others for nothing."""

    scope: Literal["", "rule", "document", "package", "subpackages"] = ""
    title: str = ""
    entrypoint: str = "false"
    description: str = ""
    organizations: list[str] = []
    related_resources: list[Any] = []
    authors: list[Any] = []
    schemas: list[dict[str, Any]] = []
    compile: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    labels: dict[str, Any] = {}


def misannotated(module: Module) -> Iterator[tuple[Module, int, str]]:
    """What is wrong with a module's annotations."""
    once: set[tuple[str, object]] = set()
    for block in _blocks(module):
        start = block[0][0]
        try:
            found = _read("\n".join(text.removeprefix("#").removeprefix(" ") for _, text in block[1:]))
        except (yaml.YAMLError, msgspec.ValidationError) as error:
            yield module, start, f"this annotation cannot be read: {_reason(error)}"
            continue
        message = _misplaced(module, start, found, once)
        if message:
            yield module, start, message


def _blocks(module: Module) -> Iterator[list[tuple[int, str]]]:
    """Comments from each heading on, as far as one line follows the other."""
    comments = [one for one in module.comments if module.text[one[0] - 1 : one[0]] in ("", "\n")]
    block: list[tuple[int, str]] = []
    for before, one in pairwise([(-2, ""), *comments]):
        heading = one[1].removeprefix("#").strip().startswith(_HEADING)
        follows = module.text[before[0] + len(before[1]) : one[0]] in ("\n", "\r\n")
        if block and (heading or not follows):
            yield block
            block = []
        if heading or block:
            block.append(one)
    if block:
        yield block


def _read(text: str) -> Annotations:
    if not text.strip():
        raise yaml.YAMLError(f"there is nothing below {_HEADING}")
    node = yaml.compose(text, Loader=yaml.BaseLoader)
    keys = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    if len(set(map(str, keys))) < len(keys):
        raise yaml.YAMLError("it has a key twice")
    found = msgspec.convert(yaml.load(text, Loader=yaml.BaseLoader), Annotations)  # noqa: S506 - texts only
    if found.entrypoint.lower() not in _YES | _NO:
        raise msgspec.ValidationError("`entrypoint` is true or false")
    return found


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _misplaced(module: Module, start: int, found: Annotations, once: set[tuple[str, object]]) -> str:
    below, entrypoint = _below(module, start), found.entrypoint.lower() in _YES
    of_rule = found.scope in ("rule", "document") or not found.scope
    if of_rule and not (isinstance(below, Rule) or (below is module and not found.scope)):
        return "this annotation is of a rule: write it right above one"
    if not of_rule and below is not module:
        return "this annotation is of a package: write it above `package`"
    if entrypoint and found.scope in ("rule", "subpackages"):
        return "only documents and packages are entry points: take out `entrypoint`, or change the scope"
    scope = found.scope or ("document" if entrypoint else "rule" if isinstance(below, Rule) else "package")
    owner = (scope, (below.head.name, *map(repr, below.head.parts)) if isinstance(below, Rule) else module.package)
    if scope != "rule" and owner in once:
        return f"there is an annotation of this {scope} already"
    once.add(owner)
    return ""


def _below(module: Module, start: int) -> Module | Import | Rule | None:
    """What follows on a later line. The package comes first, and everything else after it."""
    line = place(module.text, start)[0]
    if start < module.start:
        return module
    others: list[Import | Rule] = sorted([*module.imports, *module.rules], key=lambda one: one.start)
    return next((one for one in others if place(module.text, one.start)[0] > line), None)
