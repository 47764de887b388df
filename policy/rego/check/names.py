"""What each name stands for: a rule, an import, a document, a builtin, or a variable of its rule.

Modules are changed in place: a rule or an import becomes a reference from `data` or `input`, a function's name one
variable with dots in it, and a variable that is declared a name that no other scope has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count

from policy.rego.check.walk import ROOTS, children, declarations, pattern, variables
from policy.rego.syntax.tree import (
    Absent,
    Array,
    Assign,
    Builtin,
    Call,
    Comprehension,
    Every,
    Expr,
    Module,
    Object,
    Ref,
    Rule,
    Scalar,
    Set,
    Some,
    SomeIn,
    Template,
    Term,
    Unify,
    Var,
    With,
)

Path = tuple[str, ...]
Fault = tuple[int, str]  # where, in characters, and what is wrong


def resolve(modules: Collection[Module], builtins: Collection[str]) -> Iterator[tuple[Module, int, str]]:
    """Resolve every name; what cannot be is told."""
    rules: dict[Path, set[str]] = {}
    for module in modules:
        rules.setdefault(module.package, set()).update(rule.head.name for rule in module.rules)
    for module in modules:
        yield from ((module, *fault) for fault in _taken(module, builtins))
        known = _globals(module, rules[module.package])
        for rule in module.rules:
            for branch in rule.branches():
                reader = _Scopes(known, builtins)
                reader.rule(branch)
                yield from ((module, *fault) for fault in reader.faults)


def _globals(module: Module, rules: Iterable[str]) -> dict[str, Path]:
    here = {name: ("data", *module.package, name) for name in rules}
    return here | {one.name: one.path for one in module.imports if one.path[0] in ROOTS}


def _taken(module: Module, builtins: Collection[str]) -> Iterator[Fault]:
    """Names of rules and imports that are somebody else's."""
    imported: set[str] = set()
    for one in module.imports:
        if one.name in imported:
            yield one.start, f"`{one.name}` is imported twice: give one of them another name, `as …`"
        imported.add(one.name)
    for rule in module.rules:
        if rule.head.name in ROOTS:
            yield rule.start, f"`{rule.head.name}` is a document: give the rule another name"
        if _dotted(Ref(rule.start, Var(rule.start, rule.head.name), rule.head.parts)) in builtins and rule.is_bare():
            yield rule.start, "a call stands in the body of a rule: write `name if …` before it"


class _Scopes:
    """Variables of one rule. Each body has a scope: of what each name that occurred in it became, and how."""

    def __init__(self, known: Mapping[str, Path], builtins: Collection[str]):
        self.faults: list[Fault] = []
        self._globals = known
        self._builtins = builtins
        self._fresh = count()
        self._declared: list[set[str]] = []  # names that a body declares anywhere, and so hides
        self._scopes: list[dict[str, tuple[str, str]]] = [{}]
        self._some: dict[str, Var] = {}  # declared by `some` and `every`, by what they became
        self._used: set[str] = set()

    def rule(self, rule: Rule) -> None:
        """Resolve a rule or one of its branches."""
        head = rule.head
        arguments = head.arguments or []
        self._declared = [{one.name for term in arguments for one in pattern(term)}, declarations(rule.body)]
        for term in arguments:
            self._argument(term)
        self._body(rule.body)
        head.parts = [self._term(one) for one in head.parts]
        head.contains = self._term(head.contains) if head.contains else None
        head.value = self._term(head.value) if head.value else None
        for name, var in self._some.items():
            if name not in self._used:
                self._fault(var.start, f"`{var.name}` is declared and nothing uses it: take it out, or write `_`")

    def _fault(self, start: int, message: str) -> None:
        self.faults.append((start, message))

    # --- Declarations ---------------------------------------------------------------------------

    def _argument(self, term: Term) -> None:
        match term:
            case Var(name=name) if name in ROOTS:
                self._fault(term.start, f"`{name}` is a document: give the argument another name")
            case Var(name=name):
                term.name = self._scopes[-1].setdefault(name, (self._new(name), "an argument"))[0]
            case Call():
                self._fault(term.start, "an argument is a name, a constant or a pattern: compute it in the body")
            case Ref(head=Var(name=name)):
                self._fault(term.start, f"unsafe variable `{name}`: an argument is a name, a constant or a pattern")
            case Object(pairs=pairs):
                for _, value in pairs:
                    self._argument(value)
            case Comprehension():
                self._term(term)
            case _:
                for one in children(term):
                    self._argument(one)

    def _new(self, name: str) -> str:
        return f"{name}${next(self._fresh)}"

    def _declare(self, var: Var, how: str) -> None:
        """Make a variable of this body."""
        before = self._scopes[-1].get(var.name)
        if before:
            self._fault(var.start, f"`{var.name}` is {before[1]} already, above here: give one of them another name")
        else:
            self._scopes[-1][var.name] = (self._new(var.name), how)
        self._rename(var)

    def _rename(self, var: Var) -> None:
        for scope in reversed(self._scopes):
            if var.name in scope:
                var.name = scope[var.name][0]
                return

    # --- Bodies ---------------------------------------------------------------------------------

    def _body(self, body: list[Expr]) -> None:
        for one in body:
            self._expression(one)

    def _expression(self, one: Expr) -> None:
        match one.what:
            case Assign():
                self._assign(one)
                return
            case Some(names=names):
                for var in names:
                    self._some_name(var)
            case SomeIn():
                self._some_in(one.what)
            case Every():
                self._every(one.what)
            case Unify(left=left, right=right):
                one.what.left, one.what.right = self._term(left), self._term(right)
            case Absent():
                pass
            case what:
                one.what = self._term(what)
        self._withs(one.withs)

    def _assign(self, one: Expr) -> None:
        assert isinstance(one.what, Assign)  # noqa: S101 - for the type checker
        if one.negated:
            self._fault(one.start, "`:=` under `not` gives nothing a value: compare with `==`")
        one.what.right = self._term(one.what.right)
        self._withs(one.withs)
        self._assigned(one.what.left)

    def _assigned(self, term: Term) -> None:
        match term:
            case Var(name=name) if name in ROOTS:
                self._fault(term.start, f"`{name}` is a document: give the variable another name")
            case Var():
                self._declare(term, "assigned")
            case Array(items=items):
                for item in items:
                    self._assigned(item)
            case Object(pairs=pairs):
                term.pairs = [(self._term(key), value) for key, value in pairs]
                for _, value in pairs:
                    self._assigned(value)
            case _:
                self._fault(term.start, "only names, and patterns of names, can be assigned: compare with `==`")

    def _some_name(self, var: Var) -> None:
        if var.name in ROOTS:
            self._fault(var.start, f"unsafe variable: `{var.name}` is a document and cannot be declared")
            return
        shown = Var(var.start, var.name)
        self._declare(var, "declared")
        self._some[var.name] = shown

    def _some_in(self, what: SomeIn) -> None:
        bound = [one for term in (what.key, what.value) if term for one in pattern(term)]
        inside = {one.name for one in variables(what.domain)}
        for var in bound:
            if var.name in inside and var.name not in ROOTS:
                self._fault(var.start, f"`{var.name}` is what its own domain is made from: give one another name")
                return
        for var in bound:
            if var.name not in ROOTS:
                self._declare(Var(var.start, var.name), "declared")
        what.domain = self._term(what.domain)
        what.key = self._term(what.key) if what.key else None
        what.value = self._term(what.value)

    def _every(self, what: Every) -> None:
        what.domain = self._term(what.domain)
        self._scopes.append({})
        self._declared.append({one.name for one in (what.key, what.value) if one})
        for var in (what.key, what.value):
            if var and not var.name.endswith("$"):
                self._some_name(var)
        self._body(what.body)
        self._scopes.pop()
        self._declared.pop()

    def _withs(self, withs: list[With]) -> None:
        for one in withs:
            one.target, one.value = self._function(one.target), self._replacement(one.value)

    def _replacement(self, value: Term) -> Term:
        return self._function(value) if isinstance(value, (Var, Ref)) else self._term(value)

    # --- Terms ----------------------------------------------------------------------------------

    def _term(self, term: Term) -> Term:
        match term:
            case Var():
                return self._name(term)
            case Ref():
                head = self._term(term.head)
                parts = [self._term(one) for one in term.parts]
                if isinstance(head, Ref):
                    return Ref(term.start, head.head, [*head.parts, *parts])
                return Ref(term.start, head, parts)
            case Call():
                term.function = self._called(term)
                term.arguments = [self._term(one) for one in term.arguments]
            case Array() | Set():
                term.items = [self._term(one) for one in term.items]
            case Object():
                term.pairs = [(self._term(key), self._term(value)) for key, value in term.pairs]
            case Comprehension():
                self._comprehension(term)
            case Template():
                self._body(term.parts)
        return term

    def _comprehension(self, term: Comprehension) -> None:
        self._scopes.append({})
        self._declared.append(declarations(term.body))
        self._body(term.body)
        term.head = [self._term(one) for one in term.head]
        self._scopes.pop()
        self._declared.pop()

    def _name(self, var: Var) -> Term:
        if not self._hidden(var.name):
            if path := self._globals.get(var.name):
                return _reference(var.start, path)
            if var.name in ROOTS:
                return Ref(var.start, var, [])
        if not any(var.name in scope for scope in self._scopes):
            self._scopes[-1][var.name] = (var.name, "used")
        self._rename(var)
        self._used.add(var.name)
        return var

    def _hidden(self, name: str) -> bool:
        return any(name in names for names in self._declared)

    def _called(self, call: Call) -> Term:
        function = self._function(call.function)
        head = function.head if isinstance(function, Ref) else function
        if isinstance(head, Var) and "$" in head.name:
            shown = head.name.partition("$")[0]
            self._fault(call.start, f"`{shown}` is a variable here: give that another name, or call something else")
        return function

    def _function(self, term: Term) -> Term:
        """What may be a function: a builtin, or a reference to a rule."""
        name = _dotted(term)
        if not name or self._hidden(name.partition(".")[0]) or name.partition(".")[0] in self._globals:
            return self._term(term)
        return Builtin(term.start, name) if name in self._builtins else self._term(term)


def _dotted(term: Term) -> str:
    match term:
        case Var(name=name):
            return name
        case Ref(head=Var(name=name), parts=parts) if all(_is_text(one) for one in parts):
            return ".".join((name, *(str(one.value) for one in parts if isinstance(one, Scalar))))
    return ""


def _is_text(term: Term) -> bool:
    return isinstance(term, Scalar) and isinstance(term.value, str)


def _reference(start: int, path: Path) -> Ref:
    return Ref(start, Var(start, path[0]), [Scalar(start, one, one) for one in path[1:]])
