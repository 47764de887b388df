"""What random policies are made of: for each kind of phrase, what it may be. `<kind>` stands for a phrase of that kind.

In a phrase, `<body>` is one or more conditions; `<^kind>` sees the variables that the body binds, `<kind>` does not.
`<own1>` is a new variable for the body alone, `<new1>` one for what follows too. The first phrase of each kind is the
plainest; at the end of their budget phrases are made of those that hold no other.
"""

from __future__ import annotations

import json

NUMBERS = (
    *("0", "1", "2", "3", "-1", "10", "1.0", "1e2", "100", "0.1", "0.30000000000000004", "2.50", "1.5", "-0", "-0.0"),
    *("9007199254740993", "9223372036854775808", "123456789012345678901234567890", "0.1234567890123456789", "1e400"),
)
TEXTS = tuple(
    json.dumps(text)
    for text in ("a", "b", "c", "", "ab", "A", "1", "10", "a/b", "é", "e\u0301", "\U0001f600", "\uffff", "x y")
)
BITS = ("1", "true", "0", "false", "1.0")
PLAIN = ("0", "1", "1.0", "true", "false", "null", '"a"', '"b"', "[]", "{}", "[0, 1]", '{"a": 1}')
SCALARS = ("null", "true", "false", *NUMBERS, *TEXTS)

_DOCUMENTS = ("input.a", "input.b", "input.c", "data.a", "data.b", "data.c", "input", "input[<any>]", "data.a[<any>]")
_COMPARED = tuple(f"<any> {sign} <any>" for sign in ("==", "!=", "<", "<=", ">", ">="))

PHRASES: dict[str, tuple[str, ...]] = {
    "number": (
        *NUMBERS,
        *(f"(<number> {sign} <number>)" for sign in "+-*/%"),
        *("count(<collection>)", "count(<text>)", "sum(<numbers>)", "product(<numbers>)", "max(<collection>)"),
        *("min(<collection>)", "abs(<number>)", "round(<number>)", "ceil(<number>)", "floor(<number>)"),
        *("to_number(<scalar>)", "indexof(<text>, <text>)", "strings.count(<text>, <text>)"),
        *("bits.and(<number>, <number>)", "bits.or(<number>, <number>)", "bits.xor(<number>, <number>)"),
        "bits.negate(<number>)",
    ),
    "numbers": (
        "[]",
        "[<number>, <number>, <number>]",
        "{<number>, <number>}",
        "numbers.range(<digit>, <digit>)",
        "<array>",
    ),
    "bit": BITS,
    "plain": PLAIN,
    "key": TEXTS,
    "digit": ("0", "1", "2", "5", "-1", "10"),
    "text": (
        *TEXTS,
        *("concat(<text>, <collection>)", "sprintf(<format>, [<any>, <any>])", "lower(<text>)", "upper(<text>)"),
        *("trim(<text>, <text>)", "trim_left(<text>, <text>)", "trim_suffix(<text>, <text>)", "trim_space(<text>)"),
        *("substring(<text>, <digit>, <digit>)", "replace(<text>, <text>, <text>)", "format_int(<number>, 10)"),
        *("json.marshal(<any>)", "type_name(<any>)", "strings.reverse(<text>)", "base64.encode(<text>)"),
        *('$"{<any>}-{<text>}"', "urlquery.encode(<text>)", "hex.encode(<text>)", "trim_prefix(<text>, <text>)"),
    ),
    "format": ('"%v %v"', '"%d %s"', '"%v"', '"%5.2f|%x"', '"%s %q"', '"%-4d|%04d"', '"%v %v %v"', '"%t %e"'),
    "boolean": (
        *("true", "false", *_COMPARED, *_COMPARED, "<any> in <collection>", "<any>, <any> in <collection>"),
        *("startswith(<text>, <text>)", "endswith(<text>, <text>)", "contains(<text>, <text>)", "is_string(<any>)"),
        *("is_number(<any>)", "is_array(<any>)", "is_object(<any>)", "is_set(<any>)", "is_null(<any>)"),
        *("object.subset(<any>, <any>)", "regex.match(<pattern>, <text>)", "glob.match(<glob>, [], <text>)"),
        *("json.is_valid(<text>)", "is_boolean(<any>)"),
        *("strings.any_prefix_match(<collection>, <collection>)",),
    ),
    "pattern": ('"a"', '"^a.*"', '"[a-c]+"', '"^\\\\d+$"', '"(a|b)c?"', '"."'),
    "glob": ('"a"', '"*"', '"a*"', '"?"', '"{a,b}"', '"[a-c]"'),
    "array": (
        *("[]", "[<any>]", "[<any>, <any>]", "[<any>, <any>, <any>]", "[<^any> | <body>]", "array.reverse(<array>)"),
        *("array.concat(<array>, <array>)", "array.slice(<array>, <digit>, <digit>)", "sort(<collection>)"),
        *("split(<text>, <text>)", "numbers.range(<digit>, <digit>)", "regex.find_n(<pattern>, <text>, <digit>)"),
        "array.flatten(<array>)",
    ),
    "object": (
        *("{}", '{"a": <any>}', "{<scalar>: <any>, <text>: <any>}", "{<any>: <any>}", "{<^any>: <^any> | <body>}"),
        *("object.union(<object>, <object>)", "object.remove(<object>, <collection>)"),
        *("object.filter(<object>, <collection>)", "object.union_n([<object>, <object>])"),
        *('json.filter(<object>, ["a", "b/c"])', 'json.remove(<object>, ["a/b", "c"])'),
        'json.patch(<object>, [{"op": "add", "path": <text>, "value": <any>}])',
    ),
    "set": (
        *("set()", "{<any>}", "{<any>, <any>}", "{<any>, <any>, <any>}", "{<^any> | <body>}", "(<set> | <set>)"),
        *("(<set> & <set>)", "(<set> - <set>)", "union({<set>, <set>})", "intersection({<set>, <set>})"),
        "object.keys(<object>)",
    ),
    "collection": ("[]", "<array>", "<object>", "<set>"),
    "scalar": SCALARS,
    "any": (
        *("<scalar>", "<plain>", "<plain>", "<document>", "<document>", "<array>", "<object>", "<set>", "<number>"),
        *("<text>", "<boolean>", "object.get(<object>, <any>, <any>)", "object.get(<object>, [<any>, <any>], <any>)"),
        *("json.unmarshal(<text>)", "<object>[<any>]", "<array>[<digit>]", "<set>[<any>]"),
    ),
    "document": _DOCUMENTS,
    "condition": (
        *("<boolean>", "<boolean>", "<any>", "<new1> := <any>", "<new1> := <any>", "some <new1> in <collection>"),
        *("some <new1> in <document>", "some <new1>, <new2> in <document>", "some <new1>, <new2> in <collection>"),
        *("some <new1>\n<document>[<new1>]", "some <new1>, <new2>\n<document>[<new1>][<new2>]"),
        *("some <new1>\n<document>[<new1>] == <any>", "<new1> := <document>[_]", "<new1> := <document>[_].a"),
        *(
            "every <own1> in <collection> { <own1> != <any> }",
            "every <own1> in <document> { is_number(<own1>)\n<body> }",
        ),
        *("every <own1>, <own2> in <document> { [<own1>, <own2>] != <any>\n<body> }", "<document>[_] == <any>"),
        *(
            "not <boolean>",
            "not <any>",
            "not <document>",
            "not <document> == <bit>",
            "not <bit> in <document>",
            "<any> = <any>",
            "some [<new1>, <scalar>] in <collection>",
        ),
        *("[<new1>, <any>, <new2>] = <document>", '{"a": <new1>} = <document>', "[<new1>, <any>] = [<any>, <new2>]"),
        *(
            "walk(<any>, [<new1>, <new2>])",
            "some <new1>\n<new2> := <set>[<new1>]",
            "some <new1>\n<new2> := <array>[<new1>]",
        ),
        *("<boolean> with input as <any>", "<new1> := <any> with input.a as <any>", "<any> with data.a as <any>"),
        *("<any> with data.b.c as <any>", "<new1> := <any> with count as <number>", "not <any> with input.b as <any>"),
        *("<new1> := <any> with input as <any> with data.c as <any>", "<new1> := input.a with input.a as <any>"),
        *("<document>[_] == <bit>", "<any> == <bit>", "<bit> in <collection>", "[<any>, <document>] != [<bit>, <bit>]"),
        *("<new1> := input with input.a.b as <any>", "<new1> := data.a with data.a.b as <any>"),
    ),
    # What a rule of each kind may be defined by; `@` is its name.
    "complete rule": (
        *("@ := <^any> if { <body> }", "@ := <any>", "@ if { <body> }", "@ := <^scalar> if { <body> }"),
        *("@ := <^any> if { <body> } else := <scalar>", "@ := <any> if { <body> } else := <scalar> if <boolean>"),
    ),
    "set rule": ("@ contains <^any> if { <body> }", "@ contains <any>", "@ contains <scalar> if { <body> }"),
    "object rule": (
        *("@[<new1>] := <^any> if { some <new1> in <collection>\n<body> }", "@[<scalar>] := <^any> if { <body> }"),
        *("@[<new1>] := <new2> if some <new1>, <new2> in <document>", "@.a := <^any> if { <body> }"),
    ),
    "nested rule": (  # keys are texts: see what is known of others
        *("@.b[<new1>].c := <^any> if { <new1> = <any>\n<body> }", "@.c[<key>] contains <^any> if { <body> }"),
        *("@.b.a[<new1>][<new2>] if { some <new1>, <new2> in <document>\n<body> }", "@.a := <^any> if { <body> }"),
    ),
    "function rule": (
        *("@(<own1>, <own2>) := <^any> if { <body> }", "@(<own1>, <scalar>) := <^any> if { <body> }"),
        *("@([<own1>, <own2>], _) := <^any> if { <body> }", '@({"a": <own1>}, <own2>) := <^any> if { <body> }'),
        *("@(<own1>, <own2>) if { <body> }", "@(<own1>, <own1>) := <^any> if { <body> }"),
        "@(<own1>, <own2>) := <^any> if { <body> } else := <scalar>",
    ),
}

_CALL = "@(<any>, <any>)"
_RULE = {
    "any": ("@",),
    "document": ("@",),
    "condition": (
        *("@", "<new1> := @[_]", "some <new1>\n@[<new1>] == <any>", "<any> with @ as <any>"),
        *("<new1> := @ with input.a as <any>", "<new1> := @ with input as <document> with data.b as <plain>"),
    ),
}
# What reads a rule of each kind, or puts something in its place; `@` is the rule.
READINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "complete rule": _RULE,
    "set rule": {**_RULE, "set": ("@",)},
    "object rule": {**_RULE, "object": ("@",)},
    "nested rule": {**_RULE, "object": ("@",)},
    "function rule": {"any": (_CALL,), "condition": (_CALL, f"not {_CALL}")},
}
# The same for rules of another package alone.
READINGS_ELSEWHERE: dict[str, tuple[str, ...]] = {"document": ("data.lib[<any>]", "data.lib")}
MOCKS: dict[str, tuple[str, ...]] = {
    "condition": (
        "<new1> := <any> with @ as <plain>",
        f"<new1> := {_CALL} with @ as <plain>",
        f"{_CALL} with @ as <any>",
    )
}
