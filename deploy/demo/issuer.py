"""The bank's OAuth issuer: RFC 9068 access tokens for the cast, and RFC 8693 exchange for those who act for others."""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.demo.cast import AUDIENCE, PERSONS, SCOPES, agent

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # RFC 8693 section 2.1
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
TOKEN_SECONDS = 600
SIGNING = 1  # place of the key that signs: after the last one and before the next one
Form = dict[str, str]
SECRET = "DEMO_ISSUER_SECRET"


class Refused(Exception):
    """An OAuth error (RFC 6749 section 5.2): its code, and words for the developer."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class Issuer:
    """Keys, and what may be said under them: the last one's, the one that signs, and the next one.

    A key is published before it signs, so that nobody who caches the set is surprised by it.
    """

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        self.secret = secret  # shared with the story: every login and client of the demo proves itself with it
        self.keys = [_new_key(), _new_key(), _new_key()]

    def rotate(self) -> str:
        """Sign with the next key from now on; its key id."""
        self.keys = [*self.keys[1:], _new_key()]
        return str(self.keys[SIGNING].kid)

    def grant(self, form: Form) -> dict[str, Any]:
        """Answer a token request. Raises Refused."""
        if not hmac.compare_digest(form.get("client_secret", ""), self.secret):
            raise Refused("invalid_client", "wrong secret")
        kind = form.get("grant_type")
        if kind == "password":
            return self._person(form.get("username", ""), form)
        if kind == "client_credentials":
            return self._token({"sub": form.get("client_id", ""), **_actor_claims(form)}, SCOPES)
        if kind == EXCHANGE:
            return self._exchange(form)
        raise Refused("unsupported_grant_type", f"{kind}")

    def _person(self, name: str, form: Form) -> dict[str, Any]:
        person = PERSONS.get(name)
        if person is None:
            raise Refused("invalid_grant", "no such person")
        said: dict[str, Any] = {"sub": name, "acr": form.get("acr_values", "pwd"), "auth_time": int(time.time())}
        said |= {"roles": list(person.roles), "customer": person.customer, "client_id": "demo-web"}
        if person.limit:
            said["limit"] = person.limit
        return self._token(said, SCOPES)

    def _exchange(self, form: Form) -> dict[str, Any]:
        subject, actor = self._read(form.get("subject_token")), self._read(form.get("actor_token"))
        who = agent(actor["sub"])
        if who is None or who.acts_for != subject["sub"]:
            raise Refused("invalid_target", f"{actor['sub']} may not act for {subject['sub']}")
        chain: dict[str, Any] = {"sub": actor["sub"]}
        if "act" in subject:
            chain["act"] = subject["act"]
        kept = {name: subject[name] for name in ("sub", "acr", "auth_time", "customer", "roles") if name in subject}
        said = kept | {"act": chain, "limit": who.limit, "client_id": actor["sub"]}
        return self._token(said, SCOPES) | {"issued_token_type": ACCESS_TOKEN}

    def _read(self, token: str | None) -> dict[str, Any]:
        try:
            read = jwt.decode(str(token), KeySet(list(self.keys)), algorithms=["ES256"])
            jwt.JWTClaimsRegistry(iss={"essential": True, "value": self.url}).validate(read.claims)
        except (JoseError, ValueError) as error:
            raise Refused("invalid_grant", f"token: {error}") from error
        return dict(read.claims)

    def _token(self, said: dict[str, Any], scope: str) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "iat": now, "exp": now + TOKEN_SECONDS}
        claims |= {"jti": secrets.token_urlsafe(12), "scope": scope} | said
        key = self.keys[SIGNING]
        token = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": key.kid}, claims, key)
        return {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "scope": scope}

    def metadata(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0, section 3."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "grant_types_supported": ["password", "client_credentials", EXCHANGE],
        }

    def app(self) -> Starlette:
        """The endpoints: discovery, keys, token, rotation."""

        async def discovery(_request: Request) -> Response:
            return JSONResponse(self.metadata())

        async def keys(_request: Request) -> Response:
            return JSONResponse(KeySet(list(self.keys)).as_dict(private=False))

        async def token(request: Request) -> Response:
            try:
                return JSONResponse(
                    self.grant(dict(parse_qsl((await request.body()).decode(errors="replace")))),
                    headers={"cache-control": "no-store"},
                )
            except Refused as refused:
                return JSONResponse({"error": refused.code, "error_description": str(refused)}, 400)

        async def rotate(request: Request) -> Response:
            if not hmac.compare_digest(request.headers.get("authorization", ""), f"Bearer {self.secret}"):
                return JSONResponse({"error": "forbidden"}, 403)
            return JSONResponse({"kid": self.rotate()})

        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", discovery),
                Route("/jwks", keys),
                Route("/token", token, methods=["POST"]),
                Route("/admin/rotate", rotate, methods=["POST"]),
            ]
        )


def _actor_claims(form: Form) -> dict[str, Any]:
    name = form.get("client_id", "")
    if agent(name) is None:
        raise Refused("invalid_client", "no such agent")
    return {"client_id": name}


def _new_key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)


async def serve(port: int, secret: str) -> None:
    """Serve on 127.0.0.1 until signalled."""
    issuer = Issuer(f"http://127.0.0.1:{port}", secret)
    settings = uvicorn.Config(issuer.app(), "127.0.0.1", port, log_level="warning", timeout_graceful_shutdown=1)
    await uvicorn.Server(settings).serve()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    asyncio.run(serve(options.parse_args().port, os.environ[SECRET]))
