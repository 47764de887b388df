"""The policy decision point: the one door through which everybody asks. It never raises, and nothing passes that it
did not allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog
from prometheus_client import REGISTRY, Counter
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from detectors import Verdict
from policy.answer import decision_id, read_answer
from policy.block import BlockPolicy
from policy.bundles import Bundle
from policy.data import DataStore
from policy.decision import AccessRequest, Decision, Effect
from policy.engines import EmbeddedEngine, Engine, OpaServer, PolicyUnavailable
from policy.guarded import Guarded, read_guarded
from policy.question import access_input, guard_input, response_input, signals_input
from policy.rego import UNDEFINED
from policy.rego.reading import Trace
from policy.rego.values import LimitExceeded
from policy.response import Response, read_response
from policy.revision import ACCESS, AS_EVER, GUARD, RESPONSE, SIGNALS, Compiling, Revision, compile_bundle
from policy.signalled import Signalled, read_signalled

log = structlog.get_logger()

_COUNTS: dict[Effect, int] = {"allow": 0, "deny": 0, "step_up": 0}
_ERRORS = Counter("portcullis_policy_errors_total", "Questions that policy failed to answer", ("question", "fault"))


class _Decisions(Collector):
    """Shows the counts when they are looked at: a counter that locks takes a tenth of a decision's time."""

    def collect(self) -> Iterator[Metric]:
        """One sample an effect."""
        family = CounterMetricFamily("portcullis_policy_decisions", "Access decisions, by effect", labels=("effect",))
        for effect, count in _COUNTS.items():
            family.add_metric((effect,), count)
        yield family


REGISTRY.register(_Decisions())


class Pdp:
    """Asks one engine. `decide` is for an engine in this process; `ask` is for any."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._embedded = engine if isinstance(engine, EmbeddedEngine) else None

    @property
    def immediate(self) -> bool:
        """Whether `decide` can answer."""
        return self._embedded is not None

    @property
    def revision(self) -> str:
        """Id of the live revision."""
        return self._engine.revision.id

    @property
    def data(self) -> DataStore:
        """The live data."""
        return self._engine.data

    @property
    def rules(self) -> tuple[tuple[str, ...], ...]:
        """Paths below `data` of the live revision's rules."""
        return self._engine.revision.program.rules

    def decide(self, request: AccessRequest) -> Decision:
        """Decide at once; only where `immediate`. Any failure is a denial with reason "policy_error", or
        "policy_limit" where the policy took more than it may.
        """
        try:
            if self._embedded is None:
                raise PolicyUnavailable("this engine does not answer at once")
            answer, trace = self._embedded.decide(access_input(request), request.time)
            return _decision(self._embedded.revision, answer, trace)
        except Exception as error:
            return _failed(self._engine.revision, error)

    async def ask(self, request: AccessRequest) -> Decision:
        """Decide with any engine. A failure is a denial: "policy_unavailable" where the engine cannot be reached,
        else "policy_error".
        """
        if self._embedded is not None:
            return self.decide(request)
        try:
            answer = await self._engine.ask(ACCESS, access_input(request), request.time)
            revision = self._engine.revision  # read now: what answered is what is live
            return _decision(revision, answer, [*revision.program.depends[ACCESS]])
        except Exception as error:
            return _failed(self._engine.revision, error)

    def evaluate(self, path: Sequence[Any], document: Any, now: float) -> Any:
        """What lies at a path below `data`, as Rego values: a rule's value, a package, base documents, or `UNDEFINED`.
        `document` is the input, or `UNDEFINED`. It may be part of the live document: copy what you keep. Raises
        EvaluationError where policy contradicts itself or goes beyond its limits.
        """
        return self._engine.evaluate(path, document, now)

    async def respond(self, verdict: Verdict, principal: str, now: float) -> Response:
        """What to do about a verdict; `principal` is the identity behind its subject, empty if unknown. A failure is
        to do nothing, loudly.
        """
        try:
            return read_response(await self._engine.ask(RESPONSE, response_input(verdict, principal, now), now))
        except Exception as error:
            reason = _fault(error)
            _ERRORS.labels("response", reason).inc()
            log.error("response policy failed", verdict=verdict.id, fault=reason, error=str(error))
            return Response(why=reason)

    def guarded(self, block: BlockPolicy, radius: Mapping[str, int], now: float) -> Guarded:
        """What the SOC's rules say of a block and whom it would hit, in this process at once, whatever engine decides.
        A failure is to hold the block: it neither passes unseen nor is lost.
        """
        try:
            document = guard_input(block, radius, now)
            return read_guarded(*(self.evaluate((*GUARD, rule), document, now) for rule in ("deny", "hold")))
        except Exception as error:
            reason = _fault(error)
            _ERRORS.labels("guard", reason).inc()
            log.error("guard policy failed", block=block.id, fault=reason, error=str(error))
            return Guarded(hold=(f"the guard's policy failed: {reason}",))

    async def signalled(self, event: Mapping[str, Any], principals: Sequence[str], now: float) -> Signalled:
        """What to do about a security event at `now` (Unix seconds); `principals` are those whom its subject matches. A
        failure of the policy, one that says nothing too, has `failed`: nobody has judged the event.
        """
        try:
            answer = await self._engine.ask(SIGNALS, signals_input(event, principals, now), now)
            if answer is not UNDEFINED:
                return read_signalled(answer)
            reason, error = "no_rule", "no signals rule applies"
        except Exception as fault:
            reason, error = _fault(fault), str(fault)
        _ERRORS.labels("signals", reason).inc()
        log.error("signals policy failed", signal=event.get("jti"), fault=reason, error=error)
        return Signalled(why=reason, failed=True)

    def activate(self, revision: Revision) -> None:
        """Put a revision live, as a whole; live data such as risk stays."""
        self._engine.activate(revision)
        log.info("policy revision is live", revision=revision.id)

    def put_data(self, path: tuple[str, ...], value: Any) -> None:
        """Write live data, seen by the next decision. Raises TypeError if it is not JSON, ValueError without path."""
        self._engine.put_data(path, value)

    def remove_data(self, path: tuple[str, ...]) -> None:
        """Take live data away; what the revision's own document says there shows again."""
        self._engine.remove_data(path)

    def patch_data(self, operations: Any) -> None:
        """Apply a JSON patch (RFC 6902), decoded, to live data, as a whole or not at all. Raises PatchError."""
        self._engine.patch_data(operations)

    async def aclose(self) -> None:
        """Give up the engine's connections."""
        await self._engine.aclose()


def pdp_of(revision: Revision) -> Pdp:
    """A PDP that evaluates a compiled revision in this process; the revision's document becomes its own."""
    return Pdp(EmbeddedEngine(revision))


def embedded_pdp(bundle: Bundle, how: Compiling = AS_EVER, before: Revision | None = None) -> Pdp:
    """A PDP that evaluates in this process. Compiles, as `compile_bundle` does: call it in a thread. Raises
    PolicyError.
    """
    return Pdp(EmbeddedEngine(compile_bundle(bundle, how, before)))


def opa_pdp(bundle: Bundle, server: OpaServer, how: Compiling = AS_EVER) -> Pdp:
    """A PDP that gives the bundle to a real OPA and asks it. Compiles, so as to verify and to know what decisions
    depend on, and reads TLS files: call it in a thread. Raises PolicyError; OSError for files that cannot be used.
    """
    from policy.engines.opa import OpaEngine  # its client takes 0.4 s to import, of every gateway's start

    return Pdp(OpaEngine(compile_bundle(bundle, how), server, strict=how.strict))


def _decision(revision: Revision, answer: Any, trace: Trace) -> Decision:
    if answer is UNDEFINED:
        _ERRORS.labels("access", "no_rule").inc()
        return _made(revision, "deny", ("no_rule",), {}, trace)
    return _made(revision, *read_answer(answer), trace)


def _made(
    revision: Revision, effect: Effect, reasons: tuple[str, ...], obligations: dict[str, Any], trace: Trace
) -> Decision:
    _COUNTS[effect] += 1
    return Decision(
        id=decision_id(),
        effect=effect,
        reasons=reasons,
        revision=revision.id,
        obligations=obligations,
        reading=revision.program.reading(trace),
    )


def _failed(revision: Revision, error: Exception) -> Decision:
    reason = _fault(error)
    _ERRORS.labels("access", reason).inc()
    log.error("access policy failed", fault=reason, revision=revision.id, error=str(error))
    return _made(revision, "deny", (reason,), {}, [("input",), ("data",)])


def _fault(error: Exception) -> str:
    if isinstance(error, LimitExceeded):
        return "policy_limit"
    return "policy_unavailable" if isinstance(error, PolicyUnavailable) else "policy_error"
