# What the bank does about a verdict: blocks for a time, and risk that access decisions read.
package portcullis.response

# Seconds that a block stands, and that a raised risk lasts.
block_seconds := 3600

risk_seconds := 3600

# Confidence from which it counts who uses an address or a host. It raises a risk, it never blocks: it is a guess.
sure := 0.8

# Commands that ask around: an administrator's, too.
discovery := {"T1018", "T1033", "T1046", "T1087"}

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

# --- Steps of an attack on somebody's machine: they are a victim, so risk rises and nothing is blocked ----

risks contains risk(victim, endpoint_level) if {
	input.verdict.detector == "endpoint"
	victim != ""
}

endpoint_level := "medium" if technique in discovery

endpoint_level := "high" if not technique in discovery

technique := split(input.verdict.technique, ".")[0]

victim := input.verdict.subject if input.verdict.kind == "principal"

victim := input.principal if {
	input.verdict.kind != "principal"
	input.principal != ""
}

victim := who_uses_it if {
	input.verdict.kind != "principal"
	input.principal == ""
}

who_uses_it := input.verdict.behind if input.verdict.confidence >= sure

# --- A machine asks for names that an algorithm made: whoever uses it is at risk. The address is not blocked, for it
# may be the resolver that asks for everybody ---------------------------------------------------------

risks contains high_risk(who_uses_it) if {
	input.verdict.detector == "name"
	who_uses_it != ""
}

# --- Stages of an attack add up ------------------------------------------------------------------------

risks contains high_risk(input.verdict.subject) if {
	input.verdict.detector == "correlation"
	input.verdict.kind in {"principal", "actor"}
	input.verdict.confidence >= sure
}

blocks contains block("address", input.verdict.subject) if {
	input.verdict.detector == "correlation"
	input.verdict.kind == "address"
}

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

high_risk(principal) := risk(principal, "high")

risk(principal, level) := {"principal": principal, "level": level, "ttl": risk_seconds, "reason": reason}
