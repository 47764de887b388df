# What a token claims whose signature, issuer, audience, times and type are as they must be (RFC 9068 section 4).
# data.trusted: the issuer's key in PEM, which is faster here than a JWKS, and what else must be so.
package token

claims := payload if {
	startswith(input.attributes.request.http.headers.authorization, "Bearer ")
	encoded := substring(input.attributes.request.http.headers.authorization, 7, -1)
	[valid, header, payload] := io.jwt.decode_verify(encoded, data.trusted)
	valid
	header.typ == "at+jwt"
}
