"""Rego's source: tokens, a tree, and the parser that makes one of the other."""

from policy.rego.syntax.rules import package, parse
from policy.rego.syntax.terms import Unsupported
from policy.rego.syntax.tokens import Malformed

__all__ = ["Malformed", "Unsupported", "package", "parse"]
