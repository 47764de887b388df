"""Builtins are Rego's own functions, one family a file, each a table of name and Python function.

A builtin takes Rego values and returns one, or `UNDEFINED` where OPA has a (non-strict) error. It must not change its
arguments. What is not in `BUILTINS` is refused when a policy is loaded.
"""

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from policy.rego.builtins import (
    aggregates,
    arithmetic,
    arrays,
    certificates,
    cidr,
    clock,
    comparison,
    crypto,
    documents,
    encodings,
    glob_overlap,
    globs,
    graphql,
    graphs,
    modules,
    numbers,
    objects,
    private_keys,
    random,
    reflection,
    regexes,
    schemas,
    sets,
    sprintf,
    strings,
    templates,
    tokens,
    types,
    units,
    urls,
    versions,
    yaml_documents,
)
from policy.rego.values import RegoSet

Builtin = Callable[..., Any]

_FAMILIES: tuple[ModuleType, ...] = (
    *(comparison, arithmetic, numbers, units, aggregates, arrays, objects, documents, sets, types, graphs, versions),
    *(strings, templates, sprintf, regexes, globs, glob_overlap, cidr, clock, encodings, yaml_documents, urls, random),
    *(crypto, tokens, certificates, private_keys, schemas, graphql, modules, reflection),
)
BUILTINS: Mapping[str, Builtin] = {name: function for family in _FAMILIES for name, function in family.BUILTINS.items()}
IMPURE: Mapping[str, str] = {  # "clock" or "random": builtins whose first argument is the evaluation's memory
    name: kind for family in _FAMILIES for name, kind in getattr(family, "IMPURE", {}).items()
}
VALUELESS: Mapping[str, Callable[[Any], bool]] = {  # what has no value there, and yet is no error
    "max": lambda value: type(value) in (list, RegoSet) and not value,
    "min": lambda value: type(value) in (list, RegoSet) and not value,
    "uuid.parse": lambda value: type(value) is str,
}
ARITIES: Mapping[str, int] = {
    name: len(inspect.signature(function).parameters) - (name in IMPURE) for name, function in BUILTINS.items()
}

__all__ = ["ARITIES", "BUILTINS", "IMPURE", "VALUELESS", "Builtin"]
