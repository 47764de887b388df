"""The state that a judge decides on: the gateway's, once more, in the same classes."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Mapping

from gateway.agents import Registry, Vetting
from gateway.blocklist import Blocklist
from gateway.config import Config, Service
from gateway.devices import Devices
from gateway.identification import audiences_of, identifier_of
from gateway.identity import Proofs, Refusal
from gateway.identity.jwk import PublicKey
from gateway.revocations import Revocations
from gateway.sessions import RecentCuts, Sessions
from gateway.transactions import KeyRing, Minter
from gateway.workers import operation as told
from gateway.workers.operation import Begin, Operation
from gateway.workers.wire import bundle_in, bundles_in, keys_in, ring_in
from policy import UNDEFINED, Principal, Revision, decode_json, pdp_of


class _Nobodys:
    """Keys that agents sign with: a judge checks no signature, for only one process may say what was seen before."""

    def at(self, now: float) -> Mapping[str, PublicKey]:
        return {}


class _Unasked:
    """What an issuer has said of its opaque tokens: the gateway knows, and answers."""

    def known(self, token: str, now: float) -> Principal | Refusal | None:
        return None


class Replica:
    """Made from what begins the stream and a compiled revision; then it takes operations, in their order."""

    def __init__(self, config: Config, begin: Begin, revision: Revision) -> None:
        identity = config.identity
        self.pdp = pdp_of(revision)
        self.blocklist = Blocklist(Sessions())
        self.revocations = Revocations(identity.device_claim, sys.maxsize)  # the gateway bounds them
        self.agents = Registry()
        self.devices = Devices(identity.device_claim)
        self.recent = RecentCuts()
        vetting = Vetting(self.agents, identity.agents_required, identity.realm)
        proofs = Proofs(identity, _Nobodys(), begin.secret, begin.born)
        asked = {issuer.issuer: _Unasked() for issuer in identity.issuers if issuer.introspection is not None}
        self.identifier = identifier_of(config, vetting, proofs, asked)
        self.minter = Minter(config.transactions, KeyRing(()), lambda: secrets.token_hex(16))
        self._issuers, self._own = identity.issuers, config.token_service
        self._ready: dict[str, Revision] = {}  # compiled, and not live

    def prepared(self, revision: Revision) -> None:
        """It may go live."""
        self._ready[revision.id] = revision

    def put_services(self, services: Mapping[str, Service]) -> None:
        """Tokens may be meant for these services now, and for no others."""
        self.identifier.put_audiences(audiences_of(self._issuers, self._own, services))

    def expire(self) -> None:
        """Forget what time has ended; nobody reads it in any case."""
        self.blocklist.expire()
        self.revocations.expire(time.time())

    def apply(self, operation: Operation) -> None:  # noqa: C901 - one case a kind
        """Make a change of the gateway's here. Raises ValueError, KeyError for one that cannot be made."""
        match operation:
            case told.Enforced(blocks):
                self.blocklist.enforce(blocks)
            case told.Lifted(blocks):
                self.blocklist.lift(blocks)
            case told.Revoked(revocations):
                for revocation in revocations:
                    self.revocations.put(revocation)
            case told.AgentsStand(agents):
                for agent in agents:
                    self.agents.put(agent)
            case told.PosturesLearnt(known):
                for device, posture in known:
                    self.devices.learn(device, posture)
            case told.DataPut(path, value):
                self.pdp.data.put(path, decode_json(value))
            case told.DataRemoved(path):
                self.pdp.data.remove(path)
            case told.DataPatched(operations):
                self.pdp.data.patch(decode_json(operations))
            case told.DataLive(live):
                laid = ((path, UNDEFINED if text is None else decode_json(text), kept) for path, text, kept in live)
                self.pdp.data.lay(laid)
            case told.IssuerKeys(issuer, keys, missing):
                self.identifier.put_keys(issuer, keys_in(keys, missing))
            case told.Trusted(bundles, vouching):
                vouch = None if vouching is None else [bundle_in(one) for one in vouching.values()]
                self.identifier.put_bundles(bundles_in(bundles), vouch)
            case told.Ring(keys):
                self.minter.put_ring(ring_in(keys))
            case told.CutsKept(cuts):
                for each in cuts:
                    self.recent.keep((*each.digests, *each.actors), each.until, each.cut)
            case told.Activate(revision):
                self.pdp.activate(self._ready.pop(revision))
                self._ready.clear()
            case _:
                raise ValueError(f"{type(operation).__name__} changes no state")
