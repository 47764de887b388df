# What the bank does about a security event that somebody it trusts has signed (CAEP 1.0; OpenID Connect Back-Channel
# Logout 1.0): sessions that end or are judged again, tokens that count no more, risk and posture that decisions read.
#
# Read from `data` where it is there: risk[id].
package portcullis.signals

# No less than any token may still live: max_token_seconds and leeway_seconds of the issuers.
token_seconds := 86700

# For how long a risk stands that nobody takes back.
risk_seconds := 86400

signalled := {
	"cuts": cuts,
	"again": again,
	"revocations": revocations,
	"risks": risks,
	"devices": devices,
	"why": why,
}

type := input.event.type

claims := input.event.claims

# --- Whom it is about ------------------------------------------------------------------------------

# A simple subject has the one member "".
said(member) := object.get(input.event.subject, member, [])

sessions contains name if some name in said("session")

sessions contains name if {
	some name in said("")
	names_session(name)
}

machines contains name if some name in said("device")

machines contains name if {
	type == "device-compliance-change"
	some name in said("")
}

users contains name if some name in said("user")

users contains name if {
	type != "device-compliance-change"
	some name in said("")
	not names_session(name)
}

names_session(name) if name.format == "jwt_id"

# CAEP's own examples name a session that is revoked so.
names_session(name) if {
	type == "session-revoked"
	name.format == "opaque"
}

# With a session only that is meant (Back-Channel Logout section 2.4). Else a member is as wide as what it names: a user
# on one device, or at one application, is stopped everywhere. Who was stopped for nothing logs in again.
named := of_sessions if count(sessions) > 0

else := of_devices | of_users

of_sessions contains by_issuer("token", name, name.value) if {
	some name in sessions
	name.format == "jwt_id"
}

of_sessions contains by_issuer("login", name, name.value) if {
	some name in sessions
	name.format != "jwt_id"
}

of_devices contains {"kind": "device", "value": name.value} if some name in machines

of_users contains one if some one in keyed_users

# An agent is stopped for whomever it acts; who acts for a person is not that person, and goes on for others.
of_users contains {"kind": "actor", "value": name.value} if {
	some name in users
	startswith(name.value, "agent:")
}

of_users contains {"kind": "actor", "value": id} if {
	some name in users
	some id in input.principals
	id == concat(":", ["agent", name.value])
}

# Names that no token carries: an account, a number.
of_users contains {"kind": "principal", "value": id} if {
	count(users) > 0
	count(keyed_users) == 0
	some id in input.principals
	not startswith(id, "agent:")
}

keyed_users contains by_issuer("subject", name, bare(name.value)) if {
	some name in users
	name.format in {"iss_sub", "opaque"}
}

keyed_users contains {"kind": "email", "value": name.value} if {
	some name in users
	name.format == "email"
}

keyed_users contains {"kind": "principal", "value": concat(":", ["workload", name.value])} if {
	some name in users
	name.format == "uri"
	startswith(name.value, "spiffe://")
}

by_issuer(kind, name, value) := {"kind": kind, "value": sprintf("%s %s", [issuer(name), value])}

# Who has an id of ours is found by its name alone.
bare(value) := regex.replace(value, `^(person|workload|agent):`, "")

# A name without an issuer is one that the sender gave.
issuer(name) := name.issuer if name.issuer != ""

issuer(name) := input.event.issuer if name.issuer == ""

# --- What ends -------------------------------------------------------------------------------------

ends if type in {"session-revoked", "logout"}

# What was opened with a credential that counts no more: nobody says which sessions that were, so it is all of them.
ends if {
	type == "credential-change"
	claims.change_type in {"revoke", "delete"}
}

cuts contains one if {
	ends
	some one in named
}

revocations contains revocation(one) if {
	ends
	some one in named
}

revocation(one) := {
	"kind": one.kind,
	"value": one.value,
	"before": before,
	"ttl": token_seconds,
	"reason": sprintf("%s of %s", [type, input.event.issuer]),
}

# When it happened; what is issued later is none of it, whatever the sender's clock says.
before := min({happened, input.now})

happened := claims.event_timestamp

happened := input.event.issued if not claims.event_timestamp

# --- What is judged again --------------------------------------------------------------------------

again contains one if {
	judged_again
	some one in named
}

# What live sessions were opened with still says what it said: policy may want to know better.
judged_again if type == "token-claims-change"

judged_again if weaker

judged_again if {
	type == "device-compliance-change"
	not compliant
}

# The assurance that tokens claim is too high. Where nobody says which way it went, it fell.
weaker if {
	type == "assurance-level-change"
	not claims.change_direction == "increase"
}

# --- Posture and risk ------------------------------------------------------------------------------

devices contains {"id": name.value, "compliant": compliant} if {
	type == "device-compliance-change"
	some name in machines
}

compliant := claims.current_status == "compliant"

# The sender's level counts as it is, a lower one too.
risks contains risk(id, lower(claims.current_level)) if {
	type == "risk-level-change"
	claims.principal in {"USER", "SESSION"}
	some id in input.principals
}

risks contains risk(id, "high") if {
	weaker
	some id in input.principals
}

# Who takes an account over gives it a credential of their own; mostly it is its owner who does.
risks contains risk(id, "medium") if {
	type == "credential-change"
	claims.change_type in {"create", "update"}
	some id in input.principals
	not data.risk[id] == "high"
}

risk(id, level) := {
	"principal": id,
	"level": level,
	"ttl": risk_seconds,
	"reason": sprintf("%s of %s", [type, input.event.issuer]),
}

# --- Why -------------------------------------------------------------------------------------------

why := sprintf("%s of %s", [type, input.event.issuer]) if acts

why := sprintf("%s of %s: there is nothing to do", [type, input.event.issuer]) if not acts

acts if {
	some orders in [cuts, again, risks, devices]
	count(orders) > 0
}
