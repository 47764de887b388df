"""Whether types make a schema, and whether a query fits one, through `graphql-core`. As in OPA, types may extend what
is defined nowhere, and there need be no entry point.
"""

from __future__ import annotations

from typing import Any, Final

from graphql import GraphQLError, GraphQLSchema, build_ast_schema, parse, validate, validate_schema
from graphql.language import ast
from graphql.validation import UniqueDirectivesPerLocationRule, specified_rules
from graphql.validation.specified_rules import specified_sdl_rules
from graphql.validation.validate import validate_sdl

from policy.rego.builtins.graphql.records import DEFINITIONS, EXTENSIONS, KIND_OF

_DIRECTIVES: Final = frozenset({"include", "skip", "deprecated", "specifiedBy", "defer", "oneOf"})
_SCALARS: Final = frozenset({"Int", "Float", "String", "Boolean", "ID"})
_DEFER: Final = parse(
    "directive @defer(if: Boolean = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT", no_location=True
).definitions
_RULES: Final = tuple(rule for rule in specified_rules if "Stream" not in rule.__name__)
_OTHER_RULES: Final = frozenset(
    {"UniqueOperationTypesRule", "UniqueArgumentDefinitionNamesRule", "UniqueArgumentNamesRule"}
    | {"UniqueInputFieldNamesRule", "UniqueDirectivesPerLocationRule"}
)


class _UniqueDirectives(UniqueDirectivesPerLocationRule):
    """Directives are not repeated, but for those of a type: its extensions have their own."""

    def enter(self, node: Any, *_: Any) -> None:
        if type(node) not in KIND_OF:
            super().enter(node, *_)


_SCHEMA_RULES: Final = (*(rule for rule in specified_sdl_rules if rule.__name__ not in _OTHER_RULES), _UniqueDirectives)
_NOT_ASKED: Final = (  # parts of messages about what OPA's parser lets pass
    *("root type must be", "All root types must be different", "must define one or more member types"),
    *(
        "cannot be deprecated",
        "is not deprecated",
        "has invalid default value",
        "OneOf input field",
        "can only implement",
    ),
    *("default value of input object field", "must include 1 or more locations"),
)


def schema(document: ast.DocumentNode) -> GraphQLSchema:
    """The schema of a document. Raises ValueError if it makes none."""
    whole = _completed(document)
    errors = validate_sdl(whole, rules=_SCHEMA_RULES)
    if not errors:
        try:
            built = build_ast_schema(whole, assume_valid_sdl=True)
            errors = [one for one in validate_schema(built) if not any(part in one.message for part in _NOT_ASKED)]
        except (GraphQLError, TypeError) as error:
            raise ValueError(str(error)) from error
    if errors:
        raise ValueError(errors[0].message)
    return build_ast_schema(whole, assume_valid=True, assume_valid_sdl=True)


def fits(schema: GraphQLSchema, document: ast.DocumentNode) -> bool:
    """Whether a query is valid. Variables of fragments count for nothing, as in OPA."""
    plain = ast.DocumentNode(definitions=tuple(map(_without_variables, document.definitions)))
    return not validate(schema, plain, rules=_RULES, max_errors=1, allow_empty_selection_sets=False)


def _without_variables(node: Any) -> Any:
    if not isinstance(node, ast.FragmentDefinitionNode) or not node.variable_definitions:
        return node
    given = {name: getattr(node, name) for name in node.keys if name != "variable_definitions"}
    return ast.FragmentDefinitionNode(**given)


def _completed(document: ast.DocumentNode) -> ast.DocumentNode:
    """With a definition for each type that is only extended, and with what every schema has."""
    given: tuple[Any, ...] = document.definitions
    defined = {one.name.value for one in given if type(one) in DEFINITIONS.values()}
    if defined & _SCALARS:
        raise ValueError("a scalar that every schema has is declared again")
    whole: list[Any] = []
    named: set[str] = set()  # directives
    for one in given:
        if isinstance(one, ast.DirectiveDefinitionNode) and one.name.value in _DIRECTIVES & named:
            continue  # the first one counts
        if type(one) not in EXTENSIONS.values():
            whole.append(one)
            named |= {one.name.value} if isinstance(one, ast.DirectiveDefinitionNode) else set()
        elif one.name.value not in defined:
            defined.add(one.name.value)
            whole.append(_definition(one))
        elif one.name.value not in _SCALARS:
            whole.append(one)
    return ast.DocumentNode(definitions=(*whole, *(() if "defer" in named else _DEFER)))


def _definition(extension: Any) -> Any:
    kind = DEFINITIONS[KIND_OF[type(extension)]]
    return kind(**{name: getattr(extension, name) for name in kind.keys if name in extension.keys})
