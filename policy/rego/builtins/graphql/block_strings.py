"""Texts of GraphQL strings. In block strings OPA's parser counts the first line's indentation too, where the
specification leaves it out.
"""

from __future__ import annotations

from graphql import StringValueNode


def text(node: StringValueNode | None) -> str:
    """What a string says; "" for none."""
    if node is None:
        return ""
    if not node.block or not node.loc:
        return node.value
    return _unindented(node.loc.source.body[node.loc.start + 3 : node.loc.end - 3].replace('\\"""', '"""'))


def _unindented(raw: str) -> str:
    lines = raw.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    filled = [at for at, line in enumerate(lines) if line.strip(" \t")]
    if not filled:
        return ""
    common = min(len(lines[at]) - len(lines[at].lstrip(" \t")) for at in filled)
    kept = [lines[0], *(line[common:] for line in lines[1:])]
    return "\n".join(kept[filled[0] : filled[-1] + 1])
