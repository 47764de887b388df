# Who may do what at the bank.
#
# A request is denied if any `deny` rule gives a reason, and allowed only if some `grants` rule gives one.
# What neither grants nor denies has no rule, and is refused.
#
# Read from `data`, each part only where it is there:
#   accounts[number].owner          whose account it is
#   principals[id]                  a record: {"status": "active", "roles": ["adviser"], "limit": 1000}
#   roles[name]                     what a role may: {"permissions": ["accounts:read"], "limit": 1000}
#   risk[id]                        "high" asks for more, or denies
#
# An agent that the bank has registered is held to what its record lists: input.principal.agent.tools and .amounts.
package portcullis.access

strong_authentication := "urn:bank:strong"

# Seconds for which a strong authentication counts.
strong_authentication_age := 300

# Of payments that name no currency.
own_currency := "EUR"

decision := {"effect": "deny", "reasons": deny} if count(deny) > 0

else := {
	"effect": "step_up",
	"reasons": ["high_risk"],
	"obligations": {"acr_values": strong_authentication, "max_age": strong_authentication_age},
} if {
	count(grants) > 0
	step_up
}

else := {"effect": "allow", "reasons": grants} if count(grants) > 0

# --- What is asked ---------------------------------------------------------------------------------

# GET /accounts/1001 and /accounts/1001/statements
account := input.segments[1] if {
	input.action == "GET"
	input.segments[0] == "accounts"
	count(input.segments) <= 3
}

# GET /streams/accounts/1001
account := input.segments[2] if {
	input.action == "GET"
	input.segments[0] == "streams"
	input.segments[1] == "accounts"
}

payment if {
	input.action == "POST"
	input.path == "/payments"
}

ledger_call if {
	input.action == "CALL"
	input.path in {"/bank.Ledger/Balance", "/bank.Ledger/Watch"}
}

scope_needed := "accounts:read" if account

scope_needed := "payments:write" if payment

scope_needed := "ledger:read" if ledger_call

# As the tools of a registered agent are named.
tool_needed := "accounts.read" if account

tool_needed := "payments.create" if payment

tool_needed := "ledger.read" if ledger_call

# --- Who asks --------------------------------------------------------------------------------------

acted_by_agent if input.principal.actors[0].kind == "agent"

# The record of the agent that acts now, where it is registered.
registered := input.principal.agent if count(input.principal.agent) > 0

# A role is a person's own: no agent holds it for them.
person if {
	input.principal.kind == "person"
	not acted_by_agent
}

# The bank's own workloads, by certificate, read any account; nobody acts for them.
bank_workload if {
	account
	input.principal.kind == "workload"
	startswith(input.principal.id, "workload:spiffe://bank.example/")
	count(input.principal.actors) == 0
}

record := data.principals[input.principal.id]

# Roles that may do what is asked: those that the token carries, and those of the record.
permitting contains role if {
	person
	some role in input.principal.roles
	scope_needed in data.roles[role].permissions
}

permitting contains role if {
	person
	some role in record.roles
	scope_needed in data.roles[role].permissions
}

permitted if count(permitting) > 0

# Pays from customers' accounts.
teller if {
	person
	"teller" in input.principal.roles
}

teller if permitted

# --- Reasons to allow ------------------------------------------------------------------------------

grants contains "own_account" if own_account

grants contains "bank_workload" if bank_workload

grants contains "role" if {
	account
	not own_account
	permitted
}

grants contains "own_payment" if {
	payment
	pays_from_own_account
}

grants contains "teller_payment" if {
	payment
	not pays_from_own_account
	teller
	data.accounts[input.body.from]
}

grants contains "ledger" if ledger_call

# --- Reasons to deny -------------------------------------------------------------------------------

deny contains "missing_scope" if {
	scope_needed
	not scope_needed in input.principal.scopes
	not bank_workload
}

deny contains "not_your_account" if {
	account
	count(grants) == 0
}

deny contains "not_your_account" if {
	payment
	not pays_from_own_account
	not teller
}

deny contains "bad_amount" if {
	payment
	not amount_is_positive
}

# An agent pays within its own limit, and a teller within theirs; no limit means nothing.
deny contains "over_limit" if {
	payment
	has_limit
	not within_limit
}

# A record's limit holds whatever else allows more, the subject's and that of who acts now.
deny contains "over_limit" if {
	payment
	some id in [input.principal.id, input.principal.actor]
	exceeds(data.principals[id].limit)
}

# What its record does not list, a registered agent may not use, nor move.
deny contains "tool_not_registered" if {
	tool_needed
	registered
	not tool_needed in registered.tools
}

deny contains "over_registered_amount" if {
	payment
	registered
	not within_registered_amount
}

# A record that says anything but "active": suspended, closed, under investigation.
deny contains "not_active" if record.status != "active"

deny contains "not_active" if {
	some actor in input.principal.actors
	data.principals[actor.id].status != "active"
}

# An agent acts for somebody, or not at all.
deny contains "no_delegation" if input.principal.kind == "agent"

deny contains "agent_at_risk" if {
	some actor in input.principal.actors
	actor.kind == "agent"
	data.risk[actor.id] == "high"
}

own_account if data.accounts[account].owner == input.principal.id

pays_from_own_account if data.accounts[input.body.from].owner == input.principal.id

amount_is_positive if {
	is_number(input.body.amount)
	input.body.amount > 0
}

has_limit if acted_by_agent

has_limit if {
	not pays_from_own_account
	teller
}

within_limit if within(input.principal.attributes.limit)

within_limit if {
	some role in permitting
	within(data.roles[role].limit)
}

within(limit) if {
	is_number(limit)
	input.body.amount <= limit
}

exceeds(limit) if not within(limit)

within_registered_amount if within(registered.amounts[input.body.currency])

within_registered_amount if {
	not input.body.currency
	within(registered.amounts[own_currency])
}

# --- Reasons to ask for a stronger authentication --------------------------------------------------

step_up if {
	payment
	high_risk
	not strongly_authenticated
}

high_risk if data.risk[input.principal.id] == "high"

high_risk if {
	some actor in input.principal.actors
	data.risk[actor.id] == "high"
}

strongly_authenticated if {
	input.principal.assurance == strong_authentication
	input.time - input.principal.authenticated <= strong_authentication_age
}
