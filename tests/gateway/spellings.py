"""Spellings of a path that nobody may see: by rule, and a list by hand. Data, for the edge and for services alone.

`{s}` stands for the service's name. Each is the target of a request as it goes over the wire (latin-1), so that not
all of them are paths, or URIs. What they say is `/{s}/admin/secret` to some server or other.
"""

from __future__ import annotations

from itertools import product

_DOTS = (
    *("..", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%252e%252e", "%25%32%65%25%32%65", "%%32%65%%32%65", "%c0%ae%c0%ae"),
    *("%c0%2e%c0%2e", "%e0%80%ae%e0%80%ae", "%f0%80%80%ae%f0%80%80%ae", "\xc0\xae\xc0\xae", "%uff0e%uff0e"),
    *("%u002e%u002e", "%ef%bc%8e%ef%bc%8e", "\xef\xbc\x8e\xef\xbc\x8e", "%e2%80%a5", "\x85\x85", "..;", "..;x=1"),
    *("..%3b", "%2e%2e;", "..%00", "..\0", "..%0a", "..%0d", "..%09", "..\t", ".. ", "..%20", "..+", "...", "...."),
    *("..%2e", "..\x7f", "..%7f", ".\\.", "..%ff", "..\xff", "..%", "..%2", "..#", "..%23", "..%3f"),
)
_SLASHES = (
    *("/", "//", "///", "/./", "/%2e/", "/.//", "//./", "%2f", "%2F", "%252f", "%252F", "%25%32%66", "%%32%66", "\\"),
    *("\\\\", "/\\", "\\/", "%5c", "%5C", "%255c", "%c0%af", "%C0%AF", "\xc0\xaf", "%e0%80%af", "%f0%80%80%af"),
    *("%c1%9c", "%c0%2f", "%u2215", "%u002f", "%ef%bc%8f", "\xef\xbc\x8f", "%e2%88%95", "%e2%81%84", "/;/", "/;x/"),
    *("/;x=1/", ";/", ";x/", "/.;/", "/%3b/", "/%00/", "/\0/", "/%20/", "/ /", "/%09/", "/\t/", "/%0a/", "/%0d%0a/"),
    *("/x/../", "/x/%2e%2e/", "/x/..;/", "/x//../", "/%", "/%/", "/?/", "/#/", "/%3f/", "/%23/"),
)
_ENDS = (
    *("", "/", "//", "/.", "/./", "/..", "/x/..", "/%2e", ".", "..", "%2e", "%00", "\0", "%00.html"),
    *("%00/public/file", ";", ";/", ";jsessionid=1", "/;", "/..;/", "%20", " ", "+", "%09", "\t", "%0a", "%0d%0a"),
    *("\\", "%5c", "/\\", "?", "?x", "?/../public/file", "??", "#", "#x", "#/../public/file", "%23", "%3f"),
    *("%3F/../public", "&", "~", ".json", "::$DATA", ":$i30:$INDEX_ALLOCATION", "%ff", "\xff", "%c3%28", "%", "%2"),
    *("%zz", "*", "%2a", "\x7f", "|"),
)
_LETTERS = {
    "a": (
        "%61",
        "%2561",
        "%c1%a1",
        "%e0%81%a1",
        "\xc1\xa1",
        "%u0061",
        "%ef%bd%81",
        "\xef\xbd\x81",
        "%c2%aa",
        "A",
        "%41",
    ),
    "d": ("%64", "%2564", "%c1%a4", "%u0064", "%ef%bd%84", "D", "%44"),
    "m": ("%6d", "%6D", "%256d", "%c1%ad", "%u006d", "%ef%bd%8d", "M", "%4d"),
    "i": ("%69", "%2569", "%c1%a9", "%u0069", "%ef%bd%89", "I", "%49", "%c4%b1", "%c4%b0", "\xc4\xb1"),
    "n": ("%6e", "%6E", "%256e", "%c1%ae", "%u006e", "%ef%bd%8e", "N", "%4e"),
}
_IN_BETWEEN = (
    *map(chr, (*range(1, 33), 127, 128, 160, 173, 255)),
    *("%00", "%08", "%7f", "%ad", "%c2%ad", "%e2%80%8b", "%ef%bb%bf", "%cc%80", "%", "\\", "%5c", ";", "+"),
)
_SCHEMES = (
    *("http://bank.example", "https://bank.example", "HTTP://BANK.EXAMPLE", "http://evil.example", "http://127.0.0.1"),
    *("http://user@bank.example", "http://user:pw@bank.example:80", "http://bank.example:80"),
    *("http://bank.example.:1", "http://", "http:/", "http:", "https:///", "//bank.example", "///bank.example"),
    *("file://", "file:///", "ws://a", "gopher://a", "http://[::1]", "http://bank.example\\@evil.example"),
    *("http://bank.example%2f", "http://a b", "http://a#", "http://bank.example?", "http://bank.example#"),
    *("bank.example", "bank.example:80", "http://%62ank.example"),
)
_BY_HAND = (
    *("*", "", " ", "/", ".", "..", "?", "#", "%", "%2f", "admin/secret", "{s}/admin/secret", "./{s}/admin/secret"),
    *("/{s}/public/file?/../../admin/secret", "/{s}/public/file#/../../admin/secret", "/{s}/public?/../admin/secret"),
    *("/{s}/public/file%3f/../../admin/secret", "/{s}/public/file%23/../../admin/secret", "/../{s}/admin/secret"),
    *("/../../../../{s}/admin/secret", "/%2e%2e/{s}/admin/secret", "/./{s}/admin/secret", "/.//{s}//admin//secret"),
    *("/nginx/../{s}/admin/secret", "/go/..%2f{s}/admin/secret", "/go/%2e%2e/{s}/admin/secret"),
    *("/go;/../{s}/admin/secret", "/{s}/live/../admin/secret", "/{s}/live/..%2fadmin/secret"),
    *("/{s}/live/%2e%2e/admin/secret", "/{s}/live//../admin/secret", "/{s}/echo/../admin/secret"),
    *("/{s}/admin/../admin/secret", "/{s}/admin/secret/../secret", "/{s}/public/../admin", "/{s}/ADMIN/secret"),
    *("/{S}/admin/secret", "/{s}/Admin/Secret", "/{s}/admin/SECRET", "/%7bs%7d/../{s}/admin/secret"),
    *("/.well-known/portcullis/jwks.json/../../../{s}/admin/secret", "/.well-known/../{s}/admin/secret"),
    "/.well-known/portcullis/token/../../../{s}/admin/secret",
    *("/.well-known/portcullis/jwks.json/..%2f..%2f{s}/admin/secret", "/{s}/public/file /{s}/admin/secret"),
    *("/{s}/public/file\t/{s}/admin/secret", "/{s}/public/..\r/admin/secret"),
    *("/{s}/public/file HTTP/1.1 /{s}/admin/secret", "\t/{s}/admin/secret", " /{s}/admin/secret"),
    *("\\{s}\\admin\\secret", "/{s}/" + "./" * 5_000 + "admin/secret", "/{s}/" + "a/../" * 3_000 + "admin/secret"),
    *("/{s}/" + "/" * 20_000 + "admin/secret", "/{s}/" + "%2e/" * 5_000 + "admin/secret"),
    *("/{s}/public/" + "../" * 5_000 + "{s}/admin/secret", "/{s}/public/" + "..%2f" * 3_000 + "{s}/admin/secret"),
    *("/{s}/" + "a" * 40_000 + "/../admin/secret", "/{s}/admin/secret?" + "a" * 40_000),
    *("/{s}/admin/" + "a" * 70_000 + "/../secret", "/{s}/admin/secret/" + "../secret/" * 2_000),
)


def targets(service: str) -> list[str]:
    """All of them, for one service, without repetition."""
    return [each.replace("{s}", service).replace("{S}", service.upper()) for each in dict.fromkeys(_targets())]


def _targets() -> list[str]:
    dots = (f"/{{s}}/public/{up}{then}admin/secret" for up, then in product(_DOTS, _SLASHES))
    between = (f"/{{s}}{first}admin{then}secret" for first, then in product(_SLASHES, _SLASHES))
    ends = (f"/{{s}}/{path}{end}" for path, end in product(("admin/secret", "admin", "public/../admin/secret"), _ENDS))
    schemes = (
        f"{scheme}{path}" for scheme, path in product(_SCHEMES, ("/{s}/admin/secret", "/{s}/public/../admin/secret"))
    )
    return [*dots, *between, *ends, *schemes, *_letters(), *_in_between(), *_BY_HAND]


def _letters() -> list[str]:
    """`admin`, with one letter otherwise, or all of them."""
    one = [f"/{{s}}/{'admin'.replace(letter, other)}/secret" for letter, all_ in _LETTERS.items() for other in all_]
    kinds = [[spelt[min(kind, len(spelt) - 1)] for spelt in _LETTERS.values()] for kind in range(6)]
    return [*one, *(f"/{{s}}/{''.join(letters)}/secret" for letters in kinds)]


def _in_between() -> list[str]:
    """What some servers leave out, or cut the rest off at, in several places."""
    shapes = (
        *("/{s}/ad%min/secret", "/{s}/%admin/secret", "/{s}/admin%/secret", "/{s}/public/.%./admin/secret"),
        *("/{s}/public/..%/admin/secret", "%/{s}/admin/secret", "/{s}%/admin/secret", "/{s}/admin/secret%"),
    )
    return [shape.replace("%", one) for shape, one in product(shapes, _IN_BETWEEN)]


# Headers by which something else than the target might say what is asked for.
ELSEWHERE = tuple(
    f"{name}: {value}"
    for name, value in product(
        (
            *(
                "x-original-url",
                "x-rewrite-url",
                "x-original-uri",
                "x-forwarded-path",
                "x-forwarded-prefix",
                "x-forwarded-uri",
            ),
            *(
                "x-envoy-original-path",
                "x-http-method-override",
                "x-http-path-override",
                "x-accel-redirect",
                "x-sendfile",
            ),
            *("x-forwarded-host", "x-host", "forwarded", "destination", "referer", "content-location", ":path"),
        ),
        ("/{s}/admin/secret", "bank.example/{s}/admin/secret", "/admin/secret"),
    )
)
HOSTS = (
    *("bank.example/{s}/admin/secret", "bank.example/{s}/admin/secret?", "bank.example/{s}/admin/secret#"),
    *("/{s}/admin/secret", "bank.example:80/{s}/admin/secret?", "evil.example", "", "a@b", "bank.example:{s}", "[::1"),
    *("bank.example\t", "a b", "bank.example\\{s}\\admin", "bank.example%2f{s}%2fadmin%2fsecret%3f", ".."),
    *("../{s}/admin/secret", "?", "#", "*", "http://bank.example/{s}/admin/secret", "bank.example,evil.example"),
    *("\xff", "\0", "127.0.0.1:1", "a" * 10_000),
)
