"""Who is believed about callers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.config.values import Branch, Integer


class ClaimNames(Branch):
    """Where an issuer's tokens say what RFC 9068 gives a name. A dot goes one object deeper."""

    subject: str = (
        "sub"  # unique and never given to another: Entra ID's is "oid", an introspected Keycloak's "username"
    )
    scopes: str = "scope"  # words, or a list of them: Entra ID and Okta write "scp"
    roles: str = "roles"  # a list; Keycloak writes "realm_access.roles"
    client: str = "client_id"  # Okta writes "cid", Entra ID "azp" or "appid"; "azp" counts where there is none
    jti: str = "jti"  # Entra ID writes "uti"


class Introspection(Branch):
    """How an issuer is asked about an opaque token (RFC 7662), and for how long its answer counts."""

    client_id: str
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    url: str | None = None  # none means what the issuer's metadata says
    jwts: bool = False  # ask about this issuer's JWTs too, which then need not say everything
    cache_seconds: Annotated[Integer, Field(ge=1, le=300)] = 30  # a revoked token is believed no longer than this
    refused_seconds: Annotated[Integer, Field(ge=1, le=60)] = 5
    max_requests: Annotated[Integer, Field(ge=1, le=256)] = 16  # at the same time


Algorithm = Literal["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "Ed25519"]


class Issuer(Branch):
    """One OAuth issuer of access tokens (RFC 9068)."""

    issuer: str
    jwks_url: str | None = None  # none means what the issuer's metadata says
    audience: str
    algorithms: tuple[Algorithm, ...] = ("ES256",)
    token_types: tuple[Literal["at+jwt", "JWT", ""], ...] = ("at+jwt",)  # the header's typ; "" where it has none
    claims: ClaimNames = ClaimNames()
    # Kinds of principals that it may name: a workload is a client by itself, never one of a trust domain; an agent is
    # named by `agent:`, as subject or in `act`.
    vouches_for: tuple[Literal["person", "workload", "agent"], ...] = ("person", "workload")
    leeway_seconds: Annotated[Integer, Field(ge=0, le=300)] = 10
    max_token_seconds: Annotated[Integer, Field(ge=1, le=604_800)] = 86_400  # that a token may still live
    keys_seconds: Annotated[Integer, Field(ge=10, le=86_400)] = 300  # that keys count while the issuer is unreachable
    introspection: Introspection | None = None  # none means that its opaque tokens are refused


class Dpop(Branch):
    """Proofs of possession (RFC 9449): which count, for how long, and how many are remembered meanwhile."""

    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("ES256", "EdDSA")
    max_age_seconds: Annotated[Integer, Field(ge=1, le=300)] = 60
    leeway_seconds: Annotated[Integer, Field(ge=0, le=60)] = 10  # between the client's clock and ours
    nonce: bool = False  # every proof must carry a nonce of ours
    nonce_seconds: Annotated[Integer, Field(ge=10, le=3600)] = 300  # a nonce holds for one to two times as long
    # Proofs remembered while they count; beyond it they are refused. 85 MB, and more than one core checks meanwhile.
    replay_entries: Annotated[Integer, Field(ge=1000, le=100_000_000)] = 1_000_000


class TrustDomain(Branch):
    """A SPIFFE trust domain, and where the authorities that vouch for its workloads are known from."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,255}$")]
    bundle: Path | None = None  # PEM or a SPIFFE bundle (JSON); with no bundle at all, edge.tls.client_ca vouches
    workload_api: Path | None = None  # an agent's Unix socket, asked for the bundle
    crl: Path | None = None  # revocation lists (PEM) of the bundle's authorities, and of those below


Authority = Annotated[str, Field(pattern=r"^([a-z0-9._-]{1,255}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?$")]

SignedComponent = Annotated[str, Field(pattern=r"^(@(method|scheme|path|query)|[a-z0-9-]{1,64})$")]


class HttpSignatures(Branch):
    """Agents that sign their requests (RFC 9421, as Web Bot Auth uses it): what a signature must cover, and when."""

    # Origins whose key directories count. No other is ever fetched, whatever a request says.
    directories: tuple[Annotated[str, Field(pattern=r"^https://[a-z0-9.-]{1,255}(:[0-9]{1,5})?$")], ...] = ()
    keep_seconds: Annotated[Integer, Field(ge=60, le=604_800)] = 3_600  # that keys count while a directory is away
    tag: Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,64}$")] = "web-bot-auth"
    # What must be covered beside @authority, where a request has it. For content-digest that is content, which must
    # then be read to be compared: its route has body_bytes. Agents that sign no more than Web Bot Auth asks want ().
    components: tuple[SignedComponent, ...] = (
        "@method",
        "@path",
        "@query",
        "content-digest",
        "authorization",
    )
    max_age_seconds: Annotated[Integer, Field(ge=1, le=3_600)] = 300  # from created
    leeway_seconds: Annotated[Integer, Field(ge=0, le=300)] = 10  # between the agent's clock and ours
    nonce: bool = True  # every signature must carry one, and none counts twice
    replay_entries: Annotated[Integer, Field(ge=1000, le=100_000_000)] = 1_000_000  # 85 MB; beyond it, refusals


class Identity(Branch):
    """Who may vouch for whom."""

    realm: Annotated[str, Field(pattern=r"^[!#-\[\]-~ ]{1,64}$")] = "portcullis"  # fit to stand in quotes
    ca: Path | None = None  # authorities of the issuers' and directories' servers, beside the system's
    issuers: tuple[Issuer, ...] = ()
    trust_domains: tuple[TrustDomain, ...] = ()  # SPIFFE trust domains whose workloads count
    max_chain: Annotated[Integer, Field(ge=0, le=16)] = 4  # actors in a delegation chain
    audience: str = ""  # what JWT-SVIDs must be meant for; empty means that none counts
    agents_required: bool = True  # an agent that is not registered is refused
    # Names by which callers reach us, in lower case: "bank.example", or "bank.example:8443" for a port of its own.
    # Proofs of possession and signatures count under these alone.
    authorities: tuple[Authority, ...] = ()
    dpop: Dpop | None = None  # none means that tokens bound to a key are refused
    signatures: HttpSignatures | None = None  # none means that nobody proves itself by signing requests
    scheme: Literal["https", "http"] = "https"  # by which callers reach us, whatever stands in front of the edge
    device_claim: str = "device_id"  # the claim that names the caller's device
    remembered: Annotated[Integer, Field(ge=1, le=10_000_000)] = 100_000  # verified tokens, 2 KB each

    @property
    def binds_content(self) -> bool:
        """Whether a signature must cover content, so that it has to be known whether a request has some."""
        return self.signatures is not None and "content-digest" in self.signatures.components
