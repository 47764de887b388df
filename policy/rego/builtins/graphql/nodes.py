"""From data in the shape that OPA's parser gives documents (see `records`) back to documents.

As in OPA, every selection is read as a field: data has nothing that would tell a fragment from one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from graphql.language import DirectiveLocation, OperationType, ast

from policy.rego.builtins.graphql.records import DEFINITIONS, EXTENSIONS
from policy.rego.builtins.partial import mapping, string

Record = dict[Any, Any]
_NAME: Final = re.compile(r"[_A-Za-z][_0-9A-Za-z]*", re.ASCII)
_NUMBERS: Final = {1: re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII), 2: re.compile(r"-?\d[\d.eE+-]*", re.ASCII)}


def query(record: Record) -> ast.DocumentNode:
    """A document of operations and fragments. Raises ValueError."""
    return ast.DocumentNode(
        definitions=(*_each(_operation, record, "Operations"), *_each(_fragment, record, "Fragments"))
    )


def schema(record: Record) -> ast.DocumentNode:
    """A document of types, directives and entry points. Raises ValueError."""
    definitions = (
        *_each(_schema(ast.SchemaDefinitionNode), record, "Schema"),
        *_each(_schema(ast.SchemaExtensionNode), record, "SchemaExtension"),
        *_each(_directive_definition, record, "Directives"),
        *_each(_definition(DEFINITIONS), record, "Definitions"),
        *_each(_definition(EXTENSIONS), record, "Extensions"),
    )
    return ast.DocumentNode(definitions=definitions)


def _each(build: Callable[[Record], Any], record: Record, name: str) -> tuple[Any, ...]:
    return tuple(build(mapping(one)) for one in _list(record, name))


def _list(record: Record, name: str) -> list[Any]:
    held = record.get(name)
    if held is not None and type(held) is not list:
        raise ValueError(f"{name} is an array")
    return held or []


def _text(record: Record, name: str) -> str:
    held = record.get(name)
    return "" if held is None else string(held)


def _name(text: str) -> ast.NameNode:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text} is no name")
    return ast.NameNode(value=text)


def _optional(build: Callable[[Record], Any], record: Record, name: str) -> Any:
    held = record.get(name)
    return None if held is None else build(mapping(held))


def _operation(record: Record) -> ast.OperationDefinitionNode:
    return ast.OperationDefinitionNode(
        operation=OperationType(_text(record, "Operation")),
        name=_name(record["Name"]) if _text(record, "Name") else None,
        variable_definitions=_each(_variable, record, "VariableDefinitions"),
        directives=_each(_directive, record, "Directives"),
        selection_set=_selections(record),
    )


def _fragment(record: Record) -> ast.FragmentDefinitionNode:
    return ast.FragmentDefinitionNode(
        name=_name(_text(record, "Name")),
        variable_definitions=_each(_variable, record, "VariableDefinition"),
        type_condition=_named(_text(record, "TypeCondition")),
        directives=_each(_directive, record, "Directives"),
        selection_set=_selections(record),
    )


def _variable(record: Record) -> ast.VariableDefinitionNode:
    return ast.VariableDefinitionNode(
        variable=ast.VariableNode(name=_name(_text(record, "Variable"))),
        type=_type(mapping(record.get("Type"))),
        default_value=_optional(_value, record, "DefaultValue"),
        directives=_each(_directive, record, "Directives"),
    )


def _selections(record: Record) -> ast.SelectionSetNode:
    return ast.SelectionSetNode(selections=_each(_field, record, "SelectionSet"))


def _field(record: Record) -> ast.FieldNode:
    alias = _text(record, "Alias")
    return ast.FieldNode(
        name=_name(_text(record, "Name")),
        alias=_name(alias) if alias and alias != record["Name"] else None,
        arguments=_each(_argument, record, "Arguments"),
        directives=_each(_directive, record, "Directives"),
        selection_set=_selections(record) if _list(record, "SelectionSet") else None,
    )


def _argument(record: Record) -> ast.ArgumentNode:
    return ast.ArgumentNode(name=_name(_text(record, "Name")), value=_value(mapping(record.get("Value"))))


def _object_field(record: Record) -> ast.ObjectFieldNode:
    return ast.ObjectFieldNode(name=_name(_text(record, "Name")), value=_value(mapping(record.get("Value"))))


def _element(record: Record) -> ast.ValueNode:
    return _value(mapping(record.get("Value")))


def _directive(record: Record) -> ast.DirectiveNode:
    return ast.DirectiveNode(name=_name(_text(record, "Name")), arguments=_each(_argument, record, "Arguments"))


def _value(record: Record) -> ast.ValueNode:
    kind, raw = record.get("Kind", 0), _text(record, "Raw")
    if kind in _NUMBERS and not _NUMBERS[kind].fullmatch(raw):
        raise ValueError(f"{raw} is no number")
    match kind:
        case 0:
            return ast.VariableNode(name=_name(raw))
        case 1:
            return ast.IntValueNode(value=raw)
        case 2:
            return ast.FloatValueNode(value=raw)
        case 3 | 4:
            return ast.StringValueNode(value=raw, block=kind == 4)
        case 5:
            return ast.BooleanValueNode(value=raw == "true")
        case 6:
            return ast.NullValueNode()
        case 7:
            return ast.EnumValueNode(value=_name(raw).value)
        case 8:
            return ast.ListValueNode(values=_each(_element, record, "Children"))
        case 9:
            return ast.ObjectValueNode(fields=_each(_object_field, record, "Children"))
    raise ValueError("not a value")


def _type(record: Record) -> ast.TypeNode:
    name = _text(record, "NamedType")
    inner: Any = _named(name) if name else ast.ListTypeNode(type=_type(mapping(record.get("Elem"))))
    return ast.NonNullTypeNode(type=inner) if record.get("NonNull") is True else inner


def _named(text: str) -> ast.NamedTypeNode:
    return ast.NamedTypeNode(name=_name(text))


def _description(record: Record) -> ast.StringValueNode | None:
    text = _text(record, "Description")
    return ast.StringValueNode(value=text) if text else None


def _schema(kind: type[Any]) -> Callable[[Record], Any]:
    def build(record: Record) -> Any:
        described = {"description": _description(record)} if kind is ast.SchemaDefinitionNode else {}
        directives = _each(_directive, record, "Directives")
        return kind(
            **described, directives=directives, operation_types=_each(_operation_type, record, "OperationTypes")
        )

    return build


def _operation_type(record: Record) -> ast.OperationTypeDefinitionNode:
    operation = OperationType(_text(record, "Operation"))
    return ast.OperationTypeDefinitionNode(operation=operation, type=_named(_text(record, "Type")))


def _definition(kinds: dict[str, type[Any]]) -> Callable[[Record], Any]:
    def build(record: Record) -> Any:
        kind = kinds.get(_text(record, "Kind"))
        if kind is None:
            raise ValueError("an unknown kind of type")
        given = {
            "name": _name(_text(record, "Name")),
            "description": _description(record),
            "directives": _each(_directive, record, "Directives"),
            "interfaces": tuple(_named(string(one)) for one in _list(record, "Interfaces")),
            "fields": _each(_input if record["Kind"] == "INPUT_OBJECT" else _output, record, "Fields"),
            "types": tuple(_named(string(one)) for one in _list(record, "Types")),
            "values": _each(_enum_value, record, "EnumValues"),
        }
        return kind(**{name: held for name, held in given.items() if name in kind.keys})

    return build


def _output(record: Record) -> ast.FieldDefinitionNode:
    return ast.FieldDefinitionNode(
        name=_name(_text(record, "Name")),
        description=_description(record),
        arguments=_each(_input, record, "Arguments"),
        type=_type(mapping(record.get("Type"))),
        directives=_each(_directive, record, "Directives"),
    )


def _input(record: Record) -> ast.InputValueDefinitionNode:
    return ast.InputValueDefinitionNode(
        name=_name(_text(record, "Name")),
        description=_description(record),
        type=_type(mapping(record.get("Type"))),
        default_value=_optional(_value, record, "DefaultValue"),
        directives=_each(_directive, record, "Directives"),
    )


def _enum_value(record: Record) -> ast.EnumValueDefinitionNode:
    name, directives = _name(_text(record, "Name")), _each(_directive, record, "Directives")
    return ast.EnumValueDefinitionNode(name=name, description=_description(record), directives=directives)


def _directive_definition(record: Record) -> ast.DirectiveDefinitionNode:
    return ast.DirectiveDefinitionNode(
        name=_name(_text(record, "Name")),
        description=_description(record),
        arguments=_each(_input, record, "Arguments"),
        repeatable=record.get("IsRepeatable") is True,
        locations=tuple(_name(DirectiveLocation[string(one)].name) for one in _list(record, "Locations")),
    )
