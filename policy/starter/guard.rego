# What the SOC adds to the guard: reasons to refuse a block, and reasons that a second person has to approve it.
# Whatever is said here, the guard's own limits stand: nothing here permits a block.
#
# input.block: id, target {kind, value}, created, expires, cause {reason, by, verdict, technique}
# input.radius: principals, known_principals, sessions, known_sessions, addresses, known_addresses
# input.now: Unix seconds
#
# Read from `data`, where it is there:
#   guard.watched[id]   principals and actors that are blocked only with a second person's approval, and why
package portcullis.guard

# A detector that names so much of the network is wrong more often than right.
widest_ipv4 := 24

widest_ipv6 := 56

hold contains sprintf("%s: %s", [input.block.target.value, why]) if {
	why := data.guard.watched[input.block.target.value]
}

hold contains "a detector asks for a wide range" if {
	by_detector
	input.block.target.kind == "range"
	length < widest
}

# A workload serves many: it is stopped by people.
hold contains "a detector asks for a workload" if {
	by_detector
	startswith(input.block.target.value, "workload:")
}

by_detector if startswith(input.block.cause.by, "detector:")

length := to_number(split(input.block.target.value, "/")[1])

widest := widest_ipv6 if contains(input.block.target.value, ":")

widest := widest_ipv4 if not contains(input.block.target.value, ":")
