# What a token claims, whoever wrote it: for an OPA behind something else that has verified it.
package token

claims := payload if {
	startswith(input.attributes.request.http.headers.authorization, "Bearer ")
	[_, payload, _] := io.jwt.decode(substring(input.attributes.request.http.headers.authorization, 7, -1))
}
