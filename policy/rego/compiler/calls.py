"""Writes calls of rules and builtins: kept in the memory, from the cache, as a test, strictly."""

from __future__ import annotations

from policy.rego.compiler.body import Body, not_false
from policy.rego.compiler.expressions import TESTS, local
from policy.rego.plan import Call, CallDynamic, Statement
from policy.rego.verify import DOCUMENT_ARGUMENTS, place


class Calls(Body):
    """Calls of one function."""

    def _only_tested(self, call: Call, following: Statement) -> bool:
        """Whether all that matters of a call is that its result, a boolean or nothing, is not false."""
        return (
            not_false(following, call.result)
            and (call.func in TESTS or call.func in self._source.booleans)
            and not (self._source.strict and call.func in TESTS)
        )

    def _test(self, call: Call) -> None:
        if call.func in TESTS and self._locals.read(call.result) == 1:
            self._leave_if(f"not {self._values.condition(call)}")
            return
        self._result(call)
        self._leave_if(f"{local(call.result)} is not True")

    def _not_tested(self, call: Call) -> None:
        if call.func in TESTS and self._locals.read(call.result) == 1:
            self._leave_if(self._values.condition(call))
            return
        self._result(call)
        self._leave_if(f"{local(call.result)} is True")

    def _call(self, call: Call | CallDynamic) -> None:
        if self._result(call):
            self._leave_if(f"{local(call.result)} is U")

    def _result(self, call: Call | CallDynamic) -> bool:
        """Put a call's result into its local; whether it may be undefined."""
        target = local(call.result)
        rule = self._plan.functions.get(call.func) if isinstance(call, Call) else None
        if rule is not None and len(rule.params) != len(call.args):
            self._lines.add(f"{target} = U")  # OPA plans a function as a rule where it plans all of a package
            return True
        args = [self._values.operand(one) for one in call.args]
        if isinstance(call, CallDynamic):
            steps = "".join(f"{self._values.operand(one)}, " for one in call.path)
            self._lines.add(f"{target} = dynamic(({steps}), {', '.join(args[:DOCUMENT_ARGUMENTS])}, m)")
            return True
        if call.func in self._source.slots:
            self._kept(call.func, target, args)
        elif self._values.counts(call):
            self._count(call, target, args[0])
            return False
        else:
            self._lines.add(f"{target} = {self._values.called(call, args)}")
            self._strict(call, target)
        return not self._values.certain(call)

    def _count(self, call: Call, target: str, name: str) -> None:
        """The number of elements, which of an array needs no call."""
        self._lines.add(f"if type({name}) is list:")
        with self._lines.deeper():
            self._lines.add(f"{target} = len({name})")
        self._lines.add("else:")
        with self._lines.deeper():
            self._lines.add(f"{target} = {self._values.called(call, [name])}")
            self._strict(call, target)
            self._leave_if(f"{target} is U")

    def _kept(self, func: str, target: str, args: list[str]) -> None:
        name, slot = self._source.names[func], self._source.slots[func]
        made = f"{name}({', '.join(args)}, m)"
        if func in self._source.cached:
            made = f"cached({self._source.cached[func]}, {name}, {', '.join(args)}, m)"
        self._lines.add(f"{target} = m[{slot}]", f"if {target} is W:")
        with self._lines.deeper():
            self._lines.add(f"{target} = m[{slot}] = {made}")

    def _strict(self, call: Call, target: str) -> None:
        if self._source.strict and call.func not in self._source.names:
            at = ":".join(map(str, place(self._plan, self._function, call)))
            args = ", ".join(map(repr, (call.func, at)))
            given = "".join(f", {self._values.operand(one)}" for one in call.args)
            self._lines.add(f"if {target} is U: failed({args}{given})")
