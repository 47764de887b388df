"""A revision is a policy that may go live: verified, compiled, immutable, named by its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from policy.bundles import Bundle
from policy.opa_check import find_opa, opa_check
from policy.problem import PolicyError, Problem
from policy.rego import Program, compile_program
from policy.rego.builtins.outside import Outside
from policy.rego.limits import Limits
from policy.rego.values import from_python

ACCESS = "portcullis/access/decision"
RESPONSE = "portcullis/response/response"
SIGNALS = "portcullis/signals/signalled"
GUARD = ("portcullis", "guard")  # its rules are `deny` and `hold`
ENTRYPOINTS = (ACCESS, RESPONSE, SIGNALS)


@dataclass(frozen=True, slots=True)
class Revision:
    """Compiled rules with the document they came with."""

    id: str
    program: Program
    data: Any
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Compiling:
    """How rules are compiled. `front`: who plans them; "auto" is OPA where its binary is, at `opa` or on PATH."""

    front: Literal["regopy", "opa", "auto"] = "regopy"
    opa: Path | None = None
    strict: bool = False  # an error of a builtin ends the evaluation, where it otherwise is undefined
    limits: Limits = field(default_factory=Limits)
    outside: Outside = field(default_factory=Outside)


AS_EVER = Compiling()


def compile_bundle(bundle: Bundle, how: Compiling = AS_EVER, before: Revision | None = None) -> Revision:
    """Verify and compile a bundle; OPA looks at it too, where there is one. Takes milliseconds to seconds and starts
    processes: call it in a thread. `before` was compiled in the same way: its rules are taken where the sources are the
    same. Raises PolicyError.
    """
    if before is not None and before.sources == bundle.sources:
        return Revision(bundle.revision, before.program, _document(bundle), bundle.sources)
    opa = how.opa or find_opa()
    program = compile_program(
        bundle.sources,
        ENTRYPOINTS,
        opa=_front(how, opa),
        strict=how.strict,
        limits=how.limits,
        outside=how.outside,
        hot=(ACCESS,),
    )
    if problems := opa_check(opa, bundle.sources) if opa else []:
        raise PolicyError(problems)
    if not program.has_rule(ACCESS):
        file = next(iter(bundle.sources), "")
        raise PolicyError([Problem(file, 0, 0, "no module has the rule data.portcullis.access.decision")])
    return Revision(bundle.revision, program, _document(bundle), bundle.sources)


def _front(how: Compiling, opa: Path | None) -> Path | None:
    """OPA's binary, where it plans."""
    if how.front == "opa" and opa is None:
        raise PolicyError(
            [Problem("policy.frontend", 0, 0, "OPA is to plan, and is neither at policy.opa_path nor on PATH")]
        )
    return None if how.front == "regopy" else opa


def _document(bundle: Bundle) -> Any:
    if bundle.digest:
        return bundle.data
    try:
        document = from_python({} if bundle.data is None else bundle.data)
    except TypeError as error:
        raise PolicyError([Problem("data", 0, 0, str(error))]) from error
    if type(document) is not dict:
        raise PolicyError([Problem("data", 0, 0, "the data document must be an object")])
    return document
