"""Rego in process. The front end turns modules into a plan (OPA's intermediate representation), the verifier
refuses plans that are not safe, the compiler turns the rest into Python functions over Rego values; builtins are
Rego's own functions.
"""

from policy.rego.program import Program, compile_plan, compile_program
from policy.rego.values import UNDEFINED

__all__ = ["UNDEFINED", "Program", "compile_plan", "compile_program"]
