"""The compiler writes Python source from a plan: one function a rule, readable, with the Rego line beside it.

A block is a `while True:` that runs once; `break` leaves it where something is undefined. The body of a scan is a
`for` loop, and `continue` goes on to the next element. Locals keep the plan's numbers. `U` is undefined. `m` is the
evaluation's memory (policy/rego/memory.py): the time, the trace of what was read, then the document paths that many
rules read, then the values of rules that are asked for repeatedly, `W` while they wait. `t` is the trace: a number
stands for a set of paths known at load, a tuple is one path with the keys it was read with.
"""

from policy.rego.compiler.source import Source, write_source

__all__ = ["Source", "write_source"]
