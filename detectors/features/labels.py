"""Domain names as arrays of letters: the label that somebody registered, and what stands around it.

What an algorithm makes is the registered label (`kvbdfwtq` in `www.kvbdfwtq.co.uk`); what its owner puts before it
says little, what stands after it is bought. A name that nobody registers is not judged: one label alone, `arpa`, and
the ends that RFC 6761, RFC 6762 and RFC 9476 keep for other uses, or that are used so inside networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH = 63  # letters of a label at most (RFC 1035, section 2.3.4)
LETTERS = 39  # 0 none, 1 to 26 a to z, 27 to 36 digits, 37 hyphen, 38 any other byte
Codes = NDArray[np.uint8]

_CODE = np.full(256, 38, np.uint8)
_CODE[ord("a") : ord("z") + 1] = np.arange(1, 27)
_CODE[ord("A") : ord("Z") + 1] = np.arange(1, 27)
_CODE[ord("0") : ord("9") + 1] = np.arange(27, 37)
_CODE[ord("-")] = 37
_INSIDE_TEXT = "arpa local localhost localdomain lan home internal intranet corp private test example invalid onion alt"
_INSIDE = frozenset(_INSIDE_TEXT.split())
# Second labels under which countries sell third ones; whatever is two letters long there is taken for one, too
_SECOND_TEXT = "com net org gov edu mil nom gob gouv info web blog school govt asso firm sch plc ltd nhs"
_SECOND = frozenset(_SECOND_TEXT.split())
# Where everybody gets a label under somebody else's name: dynamic DNS and free hosting
_SHARED_TEXT = (
    "ddns.net dyndns.org dyndns.info dyndns.biz dyndns.tv dyndns-home.com dyndns.ws dnsalias.com dnsalias.net "
    "dnsdojo.com dynalias.com dynalias.net dynalias.org dynserv.com homeip.net homelinux.com homelinux.org "
    "homeunix.com homeftp.net is-a-geek.com mooo.com yi.org no-ip.org no-ip.biz no-ip.info no-ip.com hopto.org "
    "zapto.org sytes.net myftp.org myftp.biz servebeer.com serveftp.com servegame.com servehttp.com redirectme.net "
    "bounceme.net duckdns.org dynu.net dynu.com freeddns.org dnsd.me changeip.com changeip.net chickenkiller.com "
    "strangled.net us.to afraid.org dy.fi 3322.org f3322.net 8800.org 2288.org 9966.org 8866.org blogspot.com "
    "sa.com uk.com us.com eu.com de.com gb.net br.com cn.com ru.com za.com jp.net uk.net "
    "wordpress.com github.io herokuapp.com appspot.com azurewebsites.net weebly.com tumblr.com"
)
SHARED = frozenset(_SHARED_TEXT.split())


@dataclass(frozen=True, slots=True)
class Labels:
    """What a table of names has to say; n names."""

    letters: Codes  # [n, WIDTH] codes of the registered label, 0 behind its end
    length: NDArray[np.int64]  # [n] letters of it; 0 for a name that is not judged
    end: tuple[str, ...]  # what it was registered under: "com", "co.uk", "ddns.net"
    depth: NDArray[np.int64]  # [n] labels before the registered one

    def __len__(self) -> int:
        return len(self.end)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Labels:
        """Some of the names."""
        places = np.arange(len(self))[rows]
        ends = tuple(self.end[place] for place in places.tolist())
        return Labels(self.letters[places], self.length[places], ends, self.depth[places])


def labels(names: Sequence[str]) -> Labels:
    """Take names apart. Nothing raises: what is no name has length 0."""
    parts = [_parts(name) for name in names]
    letters, length = codes([label for _, label, _ in parts])
    depth = np.fromiter((before for before, _, _ in parts), np.int64, len(parts))
    return Labels(letters, length, tuple(end for _, _, end in parts), depth)


def registered(name: str) -> str:
    """The name that somebody registered, `kvbdfwtq.co.uk`; empty where nobody did."""
    _, label, end = _parts(name)
    return f"{label}.{end}" if label else ""


def codes(texts: Sequence[str]) -> tuple[Codes, NDArray[np.int64]]:
    """Texts as letters, [n, WIDTH], and their lengths; what is longer is cut."""
    raw = [text.encode("utf-8", "surrogatepass")[:WIDTH] for text in texts]
    length = np.fromiter(map(len, raw), np.int64, len(raw))
    letters = np.zeros((len(raw), WIDTH), np.uint8)
    letters[np.arange(WIDTH) < length[:, None]] = _CODE[np.frombuffer(bytearray().join(raw), np.uint8)]
    return letters, length


def _parts(name: str) -> tuple[int, str, str]:
    """Labels before the registered one, it, and its end."""
    found = name.lower().removesuffix(".").split(".")
    if len(found) < 2 or found[-1] in _INSIDE or found[-1].isdigit() or "" in found:
        return 0, "", ""
    ends = 2 if len(found) > 2 and _sold_below(found[-2], found[-1]) else 1
    return len(found) - ends - 1, found[-ends - 1], ".".join(found[-ends:])


def _sold_below(second: str, top: str) -> bool:
    return f"{second}.{top}" in SHARED or (len(top) == 2 and (len(second) == 2 or second in _SECOND))
