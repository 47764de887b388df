"""A revision is a policy that may go live: verified, compiled, immutable, named by its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy.bundles import Bundle
from policy.opa_check import find_opa, opa_check
from policy.problem import PolicyError, Problem
from policy.rego import Program, compile_program
from policy.rego.values import from_python

ACCESS = "portcullis/access/decision"
RESPONSE = "portcullis/response/response"


@dataclass(frozen=True, slots=True)
class Revision:
    """Compiled rules with the document they came with."""

    id: str
    program: Program
    data: Any
    sources: Mapping[str, str]


def compile_bundle(bundle: Bundle) -> Revision:
    """Verify and compile a bundle; OPA looks at it too, where there is one. Takes milliseconds to seconds and starts
    processes: call it in a thread. Raises PolicyError.
    """
    program = compile_program(bundle.sources, (ACCESS, RESPONSE))
    opa = find_opa()
    if problems := opa_check(opa, bundle.sources) if opa else []:
        raise PolicyError(problems)
    if not program.has_rule(ACCESS):
        file = next(iter(bundle.sources), "")
        raise PolicyError([Problem(file, 0, 0, "no module has the rule data.portcullis.access.decision")])
    return Revision(bundle.revision, program, _document(bundle.data), bundle.sources)


def _document(data: Any) -> Any:
    try:
        return from_python({} if data is None else data)
    except TypeError as error:
        raise PolicyError([Problem("data", 0, 0, str(error))]) from error
