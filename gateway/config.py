"""The configuration tree: frozen, unknown keys refused, secrets typed. Each part gets only its own branch."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_network
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError


def _no_boolean(value: object) -> object:
    # Python takes True for 1, and YAML takes yes, on and true for True.
    if isinstance(value, bool):
        raise PydanticCustomError("number", "should be a number, not yes or no")
    return value


Integer = Annotated[int, BeforeValidator(_no_boolean)]
Real = Annotated[float, BeforeValidator(_no_boolean)]
Port = Annotated[Integer, Field(ge=1, le=65535)]


def _range(text: str) -> str:
    network = ip_network(text)
    if not network.prefixlen:
        raise PydanticCustomError("range", "is everybody")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        raise PydanticCustomError("range", "must be written as IPv4")
    return str(network)


Range = Annotated[str, AfterValidator(_range)]  # of addresses, in CIDR notation


# What the edge and the gateway read requests by: without them nobody could prove anything, or bodies have no end.
_NEEDED = (
    *("authorization", "connection", "content-digest", "content-length", "dpop", "expect", "host", "signature"),
    *("signature-agent", "signature-input", "te", "transfer-encoding", "upgrade", "x-forwarded-for"),
)


def _stripped(text: str) -> str:
    name = text.lower()
    start, is_prefix = name.removesuffix("*"), name.endswith("*")
    for needed in _NEEDED:
        if needed == start or (is_prefix and needed.startswith(start)):
            raise PydanticCustomError("header", "would take {name} away", {"name": needed})
    return name


# A header's name, or the beginning of names before a `*`.
Stripped = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}\*?$"), AfterValidator(_stripped)]


class Branch(BaseModel):
    """A part of the tree."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(Branch):
    """The edge's certificate, and the authorities whose client certificates it accepts."""

    certificate: Path
    key: Path
    client_ca: Path | None = None  # clients may then show a certificate; none is refused for lack of one
    crl: Path | None = None  # revocation lists (PEM), one of each authority in a client's chain


class RateLimit(Branch):
    """How often one caller may ask: who acts, whomever it acts for."""

    requests_per_second: Annotated[Real, Field(ge=0.01, le=1_000_000)]  # in the long run
    burst: Annotated[Integer, Field(ge=1, le=1_000_000)]  # at once, after a while of nothing


class Edge(Branch):
    """Envoy: where it listens and how it reports."""

    address: str = "127.0.0.1"
    port: Port = 8443
    tls: Tls | None = None
    http3: bool = False  # on the same port over UDP too
    concurrency: Annotated[Integer, Field(ge=1, le=64)] = 1  # Envoy worker threads
    access_log_flush_ms: Annotated[Integer, Field(ge=1, le=5000)] = 50
    authorize_timeout_ms: Annotated[Integer, Field(ge=1, le=60000)] = 1000
    cache_seconds: Annotated[Real, Field(ge=0, le=60)] = 5.0  # that an answer may be given again; 0: judge each request
    cache_mb: Annotated[Integer, Field(ge=1, le=4096)] = 64  # of answers, for each worker thread
    rate_limit: RateLimit | None = None  # of each caller, over all routes that have none of their own
    max_headers_kb: Annotated[Integer, Field(ge=1, le=96)] = 60
    max_connections: Annotated[Integer, Field(ge=1, le=1_000_000)] = 50_000  # of callers at once; more are closed
    max_memory_mb: Annotated[Integer, Field(ge=64, le=1_048_576)] = 2048  # of Envoy; near it, nothing new is begun
    drain_seconds: Annotated[Integer, Field(ge=0, le=600)] = 5
    trusted_proxies: tuple[Range, ...] = ()  # HTTP proxies in front, whose X-Forwarded-For counts
    proxy_protocol_from: tuple[Range, ...] = ()  # balancers: they send PROXY headers, and nobody else may connect
    strip_headers: tuple[Stripped, ...] = ()  # that callers may not send, beside all that are known to claim something

    @model_validator(mode="after")
    def _one_way(self) -> Edge:
        # A balancer's own connections (PROXY LOCAL or UNKNOWN) carry what its callers wrote.
        for text, other in product(self.proxy_protocol_from, self.trusted_proxies):
            balancer, proxy = ip_network(text), ip_network(other)
            if balancer.version == proxy.version and balancer.overlaps(proxy):
                raise PydanticCustomError("proxies", "{one} and {other} overlap", {"one": text, "other": other})
        return self


class ServiceTls(Branch):
    """How a service proves itself to the edge, which it must, and how the edge does, where the service asks."""

    ca: Path  # authorities (PEM) that vouch for the service
    server_name: str | None = None  # a DNS name, address or URI that its certificate must have; none means its address
    certificate: Path | None = None
    key: Path | None = None


class GatewayProcesses(Branch):
    """How many processes judge."""

    workers: Annotated[Integer, Field(ge=1, le=64)] = 1  # the gateway itself, and the judges beside it


class Service(Branch):
    """One of the bank's services behind the edge."""

    address: str
    more_addresses: tuple[str, ...] = ()  # of the same service, on the same port
    port: Port
    tls: ServiceTls | None = None  # none means plain text
    max_connections: Annotated[Integer, Field(ge=1, le=1_000_000)] = 20_000  # over HTTP/1 each live stream has its own
    max_requests: Annotated[Integer, Field(ge=1, le=1_000_000)] = 20_000  # at once, live streams among them
    max_pending: Annotated[Integer, Field(ge=1, le=1_000_000)] = 4_096  # requests that wait for a connection
    protocol: Literal["http1", "http2", "grpc"] = "http1"  # policy sees every request to a grpc service as a CALL
    audience: str | None = None  # what tokens for it must be meant for; none means the issuer's own audience


class Route(Branch):
    """Which requests go to which service. The first route that matches wins."""

    prefix: str
    service: str
    stream: bool = False  # a live stream: tethered, judged for as long as it lives
    body_bytes: Annotated[Integer, Field(ge=0, le=1048576)] = 0  # body shown to policy, 0 for none; longer is 413
    max_body_kb: Annotated[Integer, Field(ge=1, le=65_536)] | None = None  # then the service gets whole requests alone
    # From a request's end to its answer's; sending it may take a minute more. Live streams have no such end.
    timeout_seconds: Annotated[Real, Field(gt=0, le=3600)] = 30.0
    rate_limit: RateLimit | None = None  # of each caller on this route, in place of the edge's


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


class OpaTls(Branch):
    """How OPA proves itself, which it must, and how we do, where it asks."""

    ca: Path | None = None  # none means the system's authorities
    certificate: Path | None = None
    key: Path | None = None


class OpaServer(Branch):
    """A real OPA to ask instead of the embedded engine."""

    host: str = "127.0.0.1"
    port: Port = 8181
    tls: OpaTls | None = None  # none means plain HTTP
    token: SecretStr | None = None
    timeout_ms: Annotated[Integer, Field(ge=1, le=60000)] = 250
    pool: Annotated[Integer, Field(ge=1, le=1024)] = 16  # connections
    failures: Annotated[Integer, Field(ge=1, le=1000)] = 5  # in a row, until it is left alone
    pause_ms: Annotated[Integer, Field(ge=1, le=60000)] = 1000  # for which it is


class PolicyLimits(Branch):
    """What one evaluation may take; one that takes more is stopped and refused."""

    max_steps: Annotated[Integer, Field(ge=1_000)] = 1_000_000
    max_milliseconds: Annotated[Integer, Field(ge=1, le=60000)] = 50


class PolicyOutside(Branch):
    """What policy may know of the world outside: answers that are written down here."""

    runtime: dict[str, Any] | None = None  # what opa.runtime() answers; none means a policy may not ask
    hosts: dict[str, tuple[str, ...]] | None = None  # addresses of each name that net.lookup_ip_addr knows; likewise


class Policy(Branch):
    """Where the Rego lies and which engine evaluates it."""

    engine: Literal["embedded", "opa"] = "embedded"
    paths: tuple[Path, ...] = ()  # .rego files and folders; empty means the starter policy
    data: Path | None = None  # a JSON or YAML document, seen as `data`
    frontend: Literal["auto", "regopy", "opa"] = "regopy"  # who plans the rules; auto: OPA where its binary is
    opa_path: Path | None = None  # OPA's binary; none means the one on PATH
    opa: OpaServer = OpaServer()
    limits: PolicyLimits = PolicyLimits()
    outside: PolicyOutside = PolicyOutside()
    strict_builtin_errors: bool = False  # a builtin's error is the policy's, and refuses; else it is undefined


class LocalSocket(Branch):
    """A Unix socket for others on this host."""

    path: Path | None = None  # none means one in run/ in the state folder, named after its branch
    group: str | None = None  # whose members may ask too; none means this uid and root alone


class MutualTls(Branch):
    """Both sides prove themselves."""

    certificate: Path
    key: Path
    client_ca: Path
    clients: tuple[str, ...] = ()  # DNS names and URIs, one of which a client's certificate has; none means any


class DecisionsTcp(Branch):
    """A port for other enforcement points in the network."""

    address: str = "127.0.0.1"
    port: Port = 8282
    tls: MutualTls


class Decisions(Branch):
    """The decision API (AuthZEN's and OPA's) for enforcement points that are not ours."""

    unix: LocalSocket | None = None
    tcp: DecisionsTcp | None = None
    token: SecretStr | None = None  # beside the socket's or the certificate's proof
    token_file: Path | None = None
    url: str | None = None  # what AuthZEN's metadata calls us
    paths: tuple[str, ...] = ("portcullis",)  # below which OPA's clients may ask, "" for everything
    max_body_kb: Annotated[Integer, Field(ge=1, le=1024)] = 256
    max_connections: Annotated[Integer, Field(ge=1, le=4096)] = 128
    max_evaluations: Annotated[Integer, Field(ge=1, le=10000)] = 100  # in one request
    request_seconds: Annotated[Real, Field(gt=0, le=60)] = 5.0  # from a request's first byte to its answer's last


class MeshTcp(Branch):
    """A port for other Envoys in the network."""

    address: str = "127.0.0.1"
    port: Port = 8283
    tls: MutualTls


class Mesh(Branch):
    """The bank's own Envoys, or Istio's: they ask over gRPC what our edge asks (ext_authz, ext_proc, access logs)."""

    unix: LocalSocket | None = None
    tcp: MeshTcp | None = None
    max_connections: Annotated[Integer, Field(ge=1, le=65_536)] = 1024  # to each socket; an Envoy has one a worker
    max_streams: Annotated[Integer, Field(ge=100, le=1_000_000)] = 10_000  # at once on one connection
    ping_seconds: Annotated[Real, Field(gt=0, le=60)] = 5.0  # after which who says nothing is asked, and then cut
    idle_seconds: Annotated[Real, Field(gt=0, le=86_400)] = 900.0  # without a stream, until a connection ends


class Broker(Branch):
    """An MQTT 5 broker."""

    host: str = "127.0.0.1"
    port: Port = 1883
    username: str | None = None
    password: SecretStr | None = None


class MqttSource(Branch):
    """Endpoint and branch agents that report over MQTT."""

    broker: Broker = Broker()
    topic: str = "portcullis/telemetry/#"


class Telemetry(Branch):
    """Where events come from, beside the edge's own access log."""

    eve: tuple[Path, ...] = ()  # Suricata EVE JSON files to follow
    zeek: tuple[Path, ...] = ()  # Zeek logs to follow, TSV or JSON
    mqtt: MqttSource | None = None
    queue_events: Annotated[Integer, Field(ge=1000)] = 200_000  # beyond it the noisiest source is shed


class Detectors(Branch):
    """What judges events, in a process of its own."""

    models: Path | None = None  # folder of trained models; none means the default ones
    device: Literal["cpu", "gpu"] = "cpu"


class Guard(Branch):
    """What may never be blocked, and how much may be."""

    never_block_addresses: tuple[str, ...] = ("127.0.0.0/8", "::1/128")  # addresses and ranges
    never_block_principals: tuple[str, ...] = ()
    max_ttl_seconds: Annotated[Integer, Field(ge=1)] = 86_400
    blocks_per_minute: Annotated[Integer, Field(ge=1)] = 60  # by each cause's author
    blast_radius_share: Annotated[Real, Field(gt=0, le=1)] = 0.2  # of the last hour's good principals
    blast_radius_count: Annotated[Integer, Field(ge=1)] = 3  # good principals that may be hit whatever the share


class NftablesLine(Branch):
    """The host firewall line: a process of its own that holds CAP_NET_ADMIN alone."""

    table: str = "portcullis"


class OpenC2Line(Branch):
    """OpenC2 SLPF consumers behind an MQTT 5 broker."""

    broker: Broker = Broker()
    actuator: str = "slpf"  # commands go to oc2/cmd/ap/ACTUATOR
    timeout_seconds: Annotated[Real, Field(gt=0, le=60)] = 2.0


class Lines(Branch):
    """Which defense lines there are; the edge always is one."""

    nftables: NftablesLine | None = None
    openc2: OpenC2Line | None = None


class Transactions(Branch):
    """The tokens by which services behind the edge learn who asks, and the keys that sign them."""

    issuer: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")] = "urn:portcullis:gateway"  # our name in them
    life_seconds: Annotated[Integer, Field(ge=2, le=300)] = 15  # each is used again for half of it
    remembered_mb: Annotated[Integer, Field(ge=1, le=4096)] = 128  # tokens to use again; the oldest makes room
    key_seconds: Annotated[Integer, Field(ge=7200, le=31_536_000)] = 86_400  # for which a key signs
    publish_ahead_seconds: Annotated[Integer, Field(ge=60, le=3600)] = 900  # a key is published before it signs


class TokenService(Branch):
    """Exchanges a person's token for a narrower one for her agent (RFC 8693)."""

    issuer: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]  # our name in them
    audiences: dict[str, tuple[str, ...]]  # what a token for each audience may be narrowed to
    life_seconds: Annotated[Integer, Field(ge=10, le=3600)] = 300
    max_chain: Annotated[Integer, Field(ge=1, le=16)] = 4  # actors in the chain of what we issue


class Transmitter(Branch):
    """One transmitter of security events (SSF 1.0), and how its events come to us."""

    issuer: str
    audience: str  # whom its events name for us
    jwks_url: str | None = None  # none means what its metadata says
    algorithms: tuple[Algorithm, ...] = ("ES256", "RS256")
    # "push" and "poll": we set its stream up; "unmanaged": its own administrator did, and it pushes.
    delivery: Literal["push", "poll", "unmanaged"] = "push"
    token: SecretStr | None = None  # with which we manage the stream and poll
    token_file: Path | None = None
    push_token: SecretStr | None = None  # what it must show when it pushes; none means that its signature is enough
    push_token_file: Path | None = None
    events: tuple[str, ...] = ()  # types asked for; empty means all of CAEP's
    leeway_seconds: Annotated[Integer, Field(ge=0, le=300)] = 10  # between its clock and ours
    max_age_seconds: Annotated[Integer, Field(ge=60, le=2_592_000)] = 86_400  # an older event is refused
    keys_seconds: Annotated[Integer, Field(ge=10, le=86_400)] = 300  # that keys count while it is unreachable


class Logout(Branch):
    """An issuer of `identity.issuers` that tells us when somebody logs out (OIDC Back-Channel Logout 1.0)."""

    issuer: str
    client_id: str  # who we are to it: the logout token's audience
    token_types: tuple[Literal["logout+jwt", "JWT", ""], ...] = ("logout+jwt",)  # the header's typ; "" for none


class Signals(Branch):
    """Who tells us that something changed, while streams live."""

    url: str | None = None  # where transmitters reach us, without a path; needed where one pushes by our word
    transmitters: tuple[Transmitter, ...] = ()
    logout: tuple[Logout, ...] = ()
    # Tokens of each sender remembered, so that none counts twice; beyond it they are refused. 85 MB when full.
    replay_entries: Annotated[Integer, Field(ge=1000, le=100_000_000)] = 1_000_000


SignalsEvent = Literal["session-revoked", "risk-level-change", "device-compliance-change"]


class SignalsReceiver(Branch):
    """One of the bank's systems that may hear of our cuts (SSF 1.0)."""

    id: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]  # by which it is identified
    audience: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]  # its name in what it is sent
    events: Annotated[tuple[SignalsEvent, ...], Field(min_length=1)] = (
        "session-revoked",
        "risk-level-change",
        "device-compliance-change",
    )
    push_prefixes: tuple[str, ...] = ()  # below which it may have events pushed; none means that it polls
    max_waiting: Annotated[Integer, Field(ge=1, le=1_000_000)] = 10_000  # events in each stream; then it is paused


class SignalsTransmitter(Branch):
    """Tells the bank's other systems of our cuts (SSF 1.0, CAEP 1.0)."""

    issuer: str  # an https:// address without path: the edge's own, as receivers reach it
    receivers: Annotated[tuple[SignalsReceiver, ...], Field(min_length=1)]
    default_subjects: Literal["ALL", "NONE"] = "ALL"  # that a new stream is about


class LiveSessions(Branch):
    """Streams that live: after how long they are judged again though nothing happened."""

    max_age_seconds: Annotated[Integer, Field(ge=1, le=86_400)] = 300
    clock_seconds: Annotated[Integer, Field(ge=1, le=86_400)] = 5  # where the decision read the time
    revocations: Annotated[Integer, Field(ge=1000, le=100_000_000)] = 1_000_000  # kept; beyond it none is acknowledged


class Config(Branch):
    """The whole tree."""

    state: Path = Path(".portcullis/state")  # ledger, sockets, keys; one `up` at a time
    edge: Edge = Edge()
    gateway: GatewayProcesses = GatewayProcesses()
    services: dict[str, Service]
    routes: tuple[Route, ...]
    identity: Identity = Identity()
    policy: Policy = Policy()
    transactions: Transactions = Transactions()
    token_service: TokenService | None = None  # none means that we issue no tokens to callers
    signals_transmitter: SignalsTransmitter | None = None  # none means that nobody is told of our cuts
    sessions: LiveSessions = LiveSessions()
    decisions: Decisions | None = None  # none means that nobody else may ask
    mesh: Mesh | None = None  # none means that no other Envoy may ask
    signals: Signals = Signals()
    telemetry: Telemetry = Telemetry()
    detectors: Detectors = Detectors()
    guard: Guard = Guard()
    lines: Lines = Lines()
    metrics_port: Port | None = None  # /metrics, /healthz and /readyz on 127.0.0.1; none means Unix socket only
