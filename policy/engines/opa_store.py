"""What a real OPA is made to hold, and how each of its answers proves that it does.

Ours there are the modules below `portcullis/`, the top-level keys of our data, `data.portcullis_state`, which names the
state of the data and changes with it in one transaction, and the package `portcullis_answer`, which names the rules and
puts that state beside every answer. An OPA that was restarted, or that somebody else wrote to, cannot show both. One
OPA serves one gateway.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from opa_client import AsyncOpaClient
from opa_client.errors import DeletePolicyError, PatchDataError, RegoParseError

from policy.data import Path, pointer_to
from policy.engines.opa_wanted import EVERYTHING, State, Wanted
from policy.rego.reading import shortest
from policy.rego.values import UNDEFINED
from policy.revision import Revision

_OURS = "portcullis/"
_STATE = "portcullis_state"
_ANSWER = "portcullis_answer"

Patch = list[dict[str, Any]]


class NotOurs(Exception):
    """OPA holds rules that would change the meaning of ours, or lost ours while they were given to it."""


class OpaStore:
    """Brings OPA to a state. One push at a time."""

    def __init__(self, client: AsyncOpaClient, strict: bool):
        self.held: State | None = None  # what OPA has, as far as we know; None: give it everything
        self._client = client
        self._how = {"strict-builtin-errors": True} if strict else None
        self._name = secrets.token_hex(8)  # tells this process's states from anybody else's
        self._written: set[str] = set()
        self._open = False

    async def push(self, wanted: Wanted) -> None:
        """Make OPA hold what is wanted; what changes in the meantime is for the next push. Raises what the client
        raises, and NotOurs: then the next push gives everything.
        """
        if not self._open:
            await self._client.__aenter__()
            self._open = True
        before, self.held = self.held, None
        changed = {*wanted.changes()}
        if before is not None and before.revision == wanted.revision.id and EVERYTHING not in changed:
            with contextlib.suppress(
                PatchDataError
            ):  # what was to be changed is not there: it is not that OPA any more
                return await self._push_changes(changed, wanted)
        await self._push_all(wanted)
        return await self._push_changes({*wanted.changes()}, wanted)

    async def _push_changes(self, changed: set[Path], wanted: Wanted) -> None:
        changed = await self._removable(changed, wanted)
        if EVERYTHING in changed:
            return
        state = wanted.state  # from here to the request's body there is no wait, so that both are of one moment
        patch = [_now(path, wanted) for path in sorted(shortest(changed))]
        await self._patch([*patch, _add((_STATE,), self._mark(state))])
        self.held = state

    async def _removable(self, changed: set[Path], wanted: Wanted) -> set[Path]:
        """Make sure that OPA has what is to be removed: it refuses to remove what it has not, and in one patch it does
        not remove what was added as null. Returns what changed, by now.
        """
        there: set[Path] = set()
        while EVERYTHING not in changed:
            gone = {path for path in shortest(changed) if wanted.data.at(path) is UNDEFINED}
            if gone <= there:
                break
            await self._patch([_add(path, None) for path in sorted(gone - there)])
            there |= gone
            changed |= {*wanted.changes()}
        return changed

    async def ask(self, document: Any, entrypoint: str) -> Any:
        """An answer, with what OPA held when it gave it, for `proves`."""
        return await self._client.query_rule(document, f"{_ANSWER}/{_rule(entrypoint)}", query_params=self._how)

    def proves(self, answer: Any, state: State) -> bool:
        """Whether an answer was given by OPA holding this very state."""
        result = answer.get("result") if isinstance(answer, dict) else None
        held = result.get("held") if isinstance(result, dict) else None
        return bool(held == {"rules": self._rules(state.revision), "data": self._mark(state)})

    def _rules(self, revision: str) -> str:
        return f"{self._name}/{revision}"

    def _mark(self, state: State) -> dict[str, Any]:
        return {"engine": self._name, "revision": state.revision, "generation": state.generation}

    async def _push_all(self, wanted: Wanted) -> None:
        await self._patch([_add((_STATE,), {})])  # until all of it is there, no answer proves anything
        revision = wanted.revision
        await _in_some_order(
            partial(self._client.delete_policy, name) for name in await self._packages() if name.startswith(_OURS)
        )
        await _in_some_order(
            partial(self._put, f"{_OURS}{index}", source) for index, source in enumerate(revision.sources.values())
        )
        await self._put(f"{_OURS}answer", self._answers(revision))
        packages = await self._packages()
        await self._check(packages, revision.sources)
        taken = {path[0] for path in packages.values()}
        self._written |= set(wanted.data.document)
        for name in sorted(wanted.data.document):
            await self._patch([_add((name,), wanted.data.at((name,)))])
        for name in sorted((self._written | _read(revision)) - taken - set(wanted.data.document)):
            await self._patch([_add((name,), None)])
            await self._patch([_remove((name,))])

    async def _put(self, name: str, source: str) -> None:
        await self._client.update_policy_from_string(source, name, rego_compat=False)

    async def _patch(self, patch: Patch) -> None:
        await self._client.patch_data("", patch)

    def _answers(self, revision: Revision) -> str:
        """The module that is asked: a rule an entry point, undefined where that is."""
        lines = [f"package {_ANSWER}"]
        for entrypoint in revision.program.depends:
            rule = _rule(entrypoint)
            held = f'{{"rules": {json.dumps(self._rules(revision.id))}, "data": data.{_STATE}}}'
            lines += [f"{rule}.held := {held}", f"{rule}.value := data.{entrypoint.replace('/', '.')}"]
        return "\n\n".join(lines) + "\n"

    async def _packages(self) -> dict[str, tuple[str, ...]]:
        """Package path of each module that OPA has, by the module's name."""
        root = f"{self._client.root_url}/data/"
        found = await self._client.get_policies_info()
        return {name: tuple(one["path"].removeprefix(root).split("/")) for name, one in found.items()}

    async def _check(self, packages: Mapping[str, tuple[str, ...]], sources: Mapping[str, str]) -> None:
        """That OPA has our modules, and beside them none that adds to our packages: from a file, for one, of an older
        policy. The same module twice does no harm.
        """
        ours = {name: path for name, path in packages.items() if name.startswith(_OURS)}
        if len(ours) != len(sources) + 1:
            raise NotOurs("OPA lost modules while they were given to it")
        for name in packages.keys() - ours.keys():
            if any(_overlap(packages[name], path) for path in ours.values()):
                module = await self._client.get_policy(name)
                if module["result"]["raw"] not in sources.values():
                    raise NotOurs(f"OPA's own module {name} adds to package {'.'.join(packages[name])}")


async def _in_some_order(changes: Iterable[Callable[[], Awaitable[Any]]]) -> None:
    """OPA compiles after each change, and refuses a call of a function that is not there: so what it refuses is tried
    again after the others, for as long as that helps.
    """
    left = list(changes)
    while left:
        refused = []
        for change in left:
            try:
                await change()
            except (RegoParseError, DeletePolicyError) as error:
                refused.append(change)
                why = error
        if len(refused) == len(left):
            raise why
        left = refused


def _now(path: Path, wanted: Wanted) -> dict[str, Any]:
    """The operation that makes a path what it is in our document at this moment."""
    value = wanted.data.at(path)
    return _remove(path) if value is UNDEFINED else _add(path, value)


def _add(path: Path, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": pointer_to(path), "value": value}


def _remove(path: Path) -> dict[str, Any]:
    return {"op": "remove", "path": pointer_to(path)}


def _rule(entrypoint: str) -> str:
    return entrypoint.split("/")[1]


def _read(revision: Revision) -> set[str]:
    """Top-level names of the data that the rules read: what is not in our document is not to come from elsewhere."""
    paths = [path for paths in revision.program.depends.values() for path in paths]
    return {path[1] for path in paths if path[0] == "data" and len(path) > 1}


def _overlap(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    return a[: len(b)] == b[: len(a)]
