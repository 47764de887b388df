# A hard policy: a day's payments are screened by comprehensions, regular expressions and nested loops.
package bench.hard

report := {
	"totals": totals,
	"watched": watched,
	"splits": splits,
	"circles": circles,
	"busiest": busiest,
}

accounts := {payment.from | some payment in input.payments}

# What each account pays in all.
totals[account] := sum([payment.amount | some payment in input.payments; payment.from == account]) if {
	some account in accounts
}

# Payments with a reference that somebody watches for.
watched contains {"payment": payment.id, "list": name} if {
	some payment in input.payments
	some name, pattern in data.patterns
	regex.match(pattern, payment.reference)
}

# Two payments within an hour that stay below what must be reported, and together do not.
splits contains [first.id, second.id] if {
	some i, first in input.payments
	some j, second in input.payments
	i < j
	first.from == second.from
	abs(second.time - first.time) <= 3600
	first.amount < data.reported
	second.amount < data.reported
	first.amount + second.amount >= data.reported
}

# Money that comes back by way of two others.
circles contains {first.from, second.from, third.from} if {
	some first in input.payments
	some second in input.payments
	second.from == first.to
	some third in input.payments
	third.from == second.to
	third.to == first.from
}

busiest contains account if {
	most := max([count([1 | some payment in input.payments; payment.from == one]) | some one in accounts])
	some account in accounts
	count([1 | some payment in input.payments; payment.from == account]) == most
}
