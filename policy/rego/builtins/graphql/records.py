"""GraphQL documents as data, in the shape that OPA's parser gives them: what is empty is left out, but for texts and
flags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from graphql.language import ast

from policy.rego.builtins.graphql.block_strings import text
from policy.rego.builtins.graphql.comments import before, closing, keyword, operation, start

Record = dict[str, Any]
_KINDS = ("SCALAR", "OBJECT", "INTERFACE", "UNION", "ENUM", "INPUT_OBJECT")
DEFINITIONS: dict[str, type[Any]] = dict(
    zip(
        _KINDS,
        (
            *(ast.ScalarTypeDefinitionNode, ast.ObjectTypeDefinitionNode, ast.InterfaceTypeDefinitionNode),
            *(ast.UnionTypeDefinitionNode, ast.EnumTypeDefinitionNode, ast.InputObjectTypeDefinitionNode),
        ),
        strict=True,
    )
)
EXTENSIONS: dict[str, type[Any]] = dict(
    zip(
        _KINDS,
        (
            *(ast.ScalarTypeExtensionNode, ast.ObjectTypeExtensionNode, ast.InterfaceTypeExtensionNode),
            *(ast.UnionTypeExtensionNode, ast.EnumTypeExtensionNode, ast.InputObjectTypeExtensionNode),
        ),
        strict=True,
    )
)
KIND_OF = {node: kind for kinds in (DEFINITIONS, EXTENSIONS) for kind, node in kinds.items()}


def query(document: ast.DocumentNode) -> Record:
    """A document of operations and fragments."""
    operations = [_operation(one) for one in document.definitions if isinstance(one, ast.OperationDefinitionNode)]
    fragments = [_fragment(one) for one in document.definitions if isinstance(one, ast.FragmentDefinitionNode)]
    return _some(Operations=operations, Fragments=fragments)


def schema(document: ast.DocumentNode) -> Record:
    """A document of types, directives and entry points."""
    given = document.definitions
    return _some(
        Schema=[_schema(one) for one in given if isinstance(one, ast.SchemaDefinitionNode)],
        SchemaExtension=[_schema(one) for one in given if isinstance(one, ast.SchemaExtensionNode)],
        Directives=[_directive_definition(one) for one in given if isinstance(one, ast.DirectiveDefinitionNode)],
        Definitions=[_definition(one) for one in given if type(one) in DEFINITIONS.values()],
        Extensions=[_definition(one) for one in given if type(one) in EXTENSIONS.values()],
        Comment=before(document.loc.end_token) if document.loc else None,
    )


def _some(**fields: Any) -> Record:
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _each(record: Callable[[Any], Record], nodes: Iterable[Any] | None) -> list[Record]:
    return [record(node) for node in nodes or ()]


def _name(node: Any) -> str:
    return node.name.value if node.name else ""


def _operation(node: ast.OperationDefinitionNode) -> Record:
    return _some(
        Operation=node.operation.value,
        Name=_name(node),
        VariableDefinitions=_each(_variable, node.variable_definitions),
        Directives=_each(_directive, node.directives),
        SelectionSet=_selections(node),
        Comment=before(operation(node)),
    )


def _variable(node: ast.VariableDefinitionNode) -> Record:
    return _some(
        Variable=_name(node.variable),
        Type=_type(node.type),
        DefaultValue=_value(node.default_value),
        Directives=_each(_directive, node.directives),
        Used=False,
        Comment=before(start(node)),
    )


def _fragment(node: ast.FragmentDefinitionNode) -> Record:
    return _some(
        Name=_name(node),
        VariableDefinition=_each(_variable, node.variable_definitions),
        TypeCondition=_name(node.type_condition),
        Directives=_each(_directive, node.directives),
        SelectionSet=_selections(node),
        Comment=before(start(node)),
    )


def _selections(node: Any) -> list[Record]:
    return _each(_selection, node.selection_set.selections if node.selection_set else ())


def _selection(node: Any) -> Record:
    directives, comment = _each(_directive, node.directives), before(start(node))
    if isinstance(node, ast.FragmentSpreadNode):
        if node.arguments:
            raise ValueError("a fragment with arguments")
        return _some(Name=_name(node), Directives=directives, Comment=comment)
    below = _selections(node)
    if isinstance(node, ast.InlineFragmentNode):
        condition = _name(node.type_condition) if node.type_condition else ""
        return _some(TypeCondition=condition, Directives=directives, SelectionSet=below, Comment=comment)
    return _some(
        Alias=node.alias.value if node.alias else _name(node),
        Name=_name(node),
        Arguments=_each(_argument, node.arguments),
        Directives=directives,
        SelectionSet=below,
        Comment=comment,
    )


def _argument(node: ast.ArgumentNode | ast.ObjectFieldNode) -> Record:
    return _some(Name=_name(node), Value=_value(node.value), Comment=before(start(node)))


def _directive(node: ast.DirectiveNode) -> Record:
    return _some(Name=_name(node), Arguments=_each(_argument, node.arguments), Location="")


def _value(node: ast.ValueNode | None) -> Record | None:
    comment = before(start(node))
    match node:
        case None:
            return None
        case ast.VariableNode():
            return _literal(0, _name(node))
        case ast.IntValueNode():
            return _literal(1, node.value)
        case ast.FloatValueNode():
            return _literal(2, node.value)
        case ast.StringValueNode():
            return _literal(4 if node.block else 3, text(node))
        case ast.BooleanValueNode():
            return _literal(5, "true" if node.value else "false")
        case ast.NullValueNode():
            return _literal(6, "null")
        case ast.EnumValueNode():
            return _literal(7, node.value)
        case ast.ListValueNode():
            return _literal(
                8, "", Children=[{"Name": "", "Value": _value(one)} for one in node.values], Comment=comment
            )
        case ast.ObjectValueNode():
            return _literal(9, "", Children=_each(_argument, node.fields), Comment=comment)
    raise ValueError("not a value")


def _literal(kind: int, raw: str, **more: Any) -> Record:
    return _some(Kind=kind, Raw=raw, ExpectedTypeHasDefault=False, **more)


def _type(node: ast.TypeNode) -> Record:
    match node:
        case ast.NonNullTypeNode():
            return {**_type(node.type), "NonNull": True}
        case ast.ListTypeNode():
            return {"NamedType": "", "Elem": _type(node.type), "NonNull": False}
    return {"NamedType": _name(node), "NonNull": False}


def _described(node: Any, name: Any) -> Record:
    """Description, and comments before it and after it, where the name or keyword stands."""
    return _some(
        Description=text(node.description),
        BeforeDescriptionComment=before(start(node.description)),
        AfterDescriptionComment=before(name),
    )


def _named(node: Any) -> Record:
    """Name and description of what has no keyword; an empty description counts as none."""
    record = _described(node, start(node.name)) | {"Name": _name(node)}
    return {name: held for name, held in record.items() if record["Description"] or not name.startswith("Before")}


def _undescribed(node: Any) -> Record:
    return _some(Description="", AfterDescriptionComment=before(start(node)))


def _schema(node: Any) -> Record:
    extension = isinstance(node, ast.SchemaExtensionNode)
    return _some(
        **(_undescribed(node) if extension else _described(node, keyword(node))),
        Directives=_each(_directive, node.directives),
        OperationTypes=_each(_operation_type, node.operation_types),
        EndOfDefinitionComment=before(closing(node)),
    )


def _operation_type(node: ast.OperationTypeDefinitionNode) -> Record:
    return _some(Operation=node.operation.value, Type=_name(node.type), Comment=before(start(node)))


def _definition(node: Any) -> Record:
    extension = type(node) in EXTENSIONS.values()
    return _some(
        Kind=KIND_OF[type(node)],
        **(_undescribed(node) if extension else _described(node, keyword(node))),
        Name=_name(node),
        Directives=_each(_directive, node.directives),
        Interfaces=[_name(one) for one in getattr(node, "interfaces", None) or ()],
        Fields=_each(_field, getattr(node, "fields", None)),
        Types=[_name(one) for one in getattr(node, "types", None) or ()],
        EnumValues=_each(_enum_value, getattr(node, "values", None)),
        BuiltIn=False,
        EndOfDefinitionComment=before(closing(node)),
    )


def _field(node: Any) -> Record:
    """A field of a type, or one of an input type, which has a default value and no arguments."""
    return _some(
        **_named(node),
        Arguments=_each(_field, getattr(node, "arguments", None)),
        DefaultValue=_value(getattr(node, "default_value", None)),
        Type=_type(node.type),
        Directives=_each(_directive, node.directives),
    )


def _enum_value(node: ast.EnumValueDefinitionNode) -> Record:
    return _some(**_named(node), Directives=_each(_directive, node.directives))


def _directive_definition(node: ast.DirectiveDefinitionNode) -> Record:
    return _some(
        **_described(node, keyword(node)),
        Name=_name(node),
        Arguments=_each(_field, node.arguments),
        Locations=[one.value for one in node.locations],
        IsRepeatable=node.repeatable,
    )
