# What the bank does about a verdict: blocks for a time, and risk that access decisions read.
package portcullis.response

# Seconds that a block stands, and that a raised risk lasts.
block_seconds := 3600

risk_seconds := 3600

credential_dumping := "T1003"

password_guessing := "T1110"

response := {"blocks": blocks, "risks": risks, "why": why} if {
	hostile
	count(blocks) + count(risks) > 0
}

hostile if input.verdict.score >= input.verdict.threshold

why := sprintf("%s judged %s %s hostile (%s)", [
	input.verdict.detector,
	input.verdict.kind,
	input.verdict.subject,
	input.verdict.technique,
])

reason := input.verdict.evidence[0] if count(input.verdict.evidence) > 0

reason := input.verdict.technique if count(input.verdict.evidence) == 0

# --- An actor was taken over: it is stopped, wherever it comes from; its owner is not ------------------

actor_attacks if {
	input.verdict.detector == "access"
	input.verdict.kind == "actor"
}

blocks contains block("actor", input.verdict.subject) if actor_attacks

blocks contains block("address", input.verdict.address) if {
	actor_attacks
	input.verdict.address != ""
}

blocks contains block("session", input.verdict.session) if {
	actor_attacks
	input.verdict.session != ""
}

risks contains high_risk(input.verdict.subject) if actor_attacks

# --- A person behaves like no person: their payments ask for a stronger authentication ----------------

risks contains high_risk(input.verdict.subject) if {
	input.verdict.detector == "access"
	input.verdict.kind == "principal"
}

# --- Credentials were dumped on somebody's machine: they are a victim, so risk rises and nothing is blocked

risks contains high_risk(victim) if {
	input.verdict.detector == "endpoint"
	startswith(input.verdict.technique, credential_dumping)
	victim != ""
}

victim := input.verdict.subject if input.verdict.kind == "principal"

victim := input.principal if input.verdict.kind != "principal"

# --- A sensor or the flow model names an address ---------------------------------------------------

blocks contains block("address", input.verdict.subject) if {
	input.verdict.detector in {"alert", "flow"}
	input.verdict.kind == "address"
}

# --- Of pairs, who guesses passwords is blocked. Who has a beacon or sends data away is a victim, whom a block would cut
# off from its work: that verdict is for people, its evidence names the peer. So is lateral movement: an administrator's
# first day at a new site looks the same.

blocks contains block("address", input.verdict.subject) if {
	input.verdict.detector == "pair"
	input.verdict.kind == "address"
	startswith(input.verdict.technique, password_guessing)
}

block(kind, value) := {"kind": kind, "value": value, "ttl": block_seconds, "reason": reason}

high_risk(principal) := {"principal": principal, "level": "high", "ttl": risk_seconds, "reason": reason}
