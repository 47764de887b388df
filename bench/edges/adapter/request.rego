# The starter policy's decision on what Envoy tells OPA's plugin. Beside it lies a module `token`, which says what the
# caller's token claims. `with` is faster here than a starter policy that is written for this document.
package envoy.authz

default allow := false

allow if data.portcullis.access.decision.effect == "allow" with input as asked

http := input.attributes.request.http

# Of a person who asks with a token, and acts for herself: nobody else is measured.
asked := {
	"action": action,
	"path": http.path,
	"segments": input.parsed_path,
	"principal": {
		"id": data.token.claims.sub,
		"kind": "person",
		"roles": object.get(data.token.claims, "roles", []),
		"scopes": split(object.get(data.token.claims, "scope", ""), " "),
		"actors": [],
	},
}

# As the gateway calls every request to a gRPC service.
action := "CALL" if startswith(http.path, "/bank.Ledger/")

else := http.method
