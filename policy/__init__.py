"""What is allowed. A principal asks; the PDP answers an access request with a decision; verdicts become block
policies. Rules are Rego, read from bundles and compiled into revisions that change as a whole; a problem is what is
wrong with one. A response is the policy's answer to a verdict: block orders and risk changes; signalled is its answer
to a security event.
"""

from policy.answer import decision_id
from policy.block import BlockPolicy, Cause, InvalidTarget, Target, TargetKind
from policy.bundles import Bundle, packed, read_bundle, unpacked
from policy.data import DataStore, Journal, PatchError, path_of, pointer_to, release
from policy.decision import AccessRequest, Decision, Effect
from policy.engines import OpaServer, OpaTls, PolicyUnavailable
from policy.explain import Evaluation, Rule, evaluate, rules_of
from policy.guarded import Guarded
from policy.pdp import Pdp, embedded_pdp, opa_pdp, pdp_of
from policy.principal import Actor, Principal, PrincipalKind
from policy.problem import PolicyError, Problem
from policy.question import too_deep
from policy.rego.builtins.outside import Outside
from policy.rego.json_text import decode as decode_json
from policy.rego.json_text import encode as encode_json
from policy.rego.limits import Limits
from policy.rego.reading import Path as ReadPath
from policy.rego.reading import overlap
from policy.rego.values import UNDEFINED, EvaluationError, RegoSet
from policy.response import BlockOrder, Response, RiskChange
from policy.revision import Compiling, Revision, compile_bundle
from policy.schema import access_input_schema, signals_input_schema
from policy.signalled import DeviceChange, Named, NamedKind, RevocationOrder, RevokedKind, Signalled

__all__ = [
    "UNDEFINED",
    "AccessRequest",
    "Actor",
    "BlockOrder",
    "BlockPolicy",
    "Bundle",
    "Cause",
    "Compiling",
    "DataStore",
    "Decision",
    "DeviceChange",
    "Effect",
    "Evaluation",
    "EvaluationError",
    "Guarded",
    "InvalidTarget",
    "Journal",
    "Limits",
    "Named",
    "NamedKind",
    "OpaServer",
    "OpaTls",
    "Outside",
    "PatchError",
    "Pdp",
    "PolicyError",
    "PolicyUnavailable",
    "Principal",
    "PrincipalKind",
    "Problem",
    "ReadPath",
    "RegoSet",
    "Response",
    "Revision",
    "RevocationOrder",
    "RevokedKind",
    "RiskChange",
    "Rule",
    "Signalled",
    "Target",
    "TargetKind",
    "access_input_schema",
    "compile_bundle",
    "decision_id",
    "decode_json",
    "embedded_pdp",
    "encode_json",
    "evaluate",
    "opa_pdp",
    "overlap",
    "packed",
    "path_of",
    "pdp_of",
    "pointer_to",
    "read_bundle",
    "release",
    "rules_of",
    "signals_input_schema",
    "too_deep",
    "unpacked",
]
