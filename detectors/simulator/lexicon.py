"""Words and names that people gave, out of what is installed anyway: no list of our own, and no data set.

English from Python's own documentation, places from the time zone database, things from Unicode's symbols, companies
from scapy's copy of the IEEE's vendor list. Another release of one of them is another lexicon.
"""

from __future__ import annotations

import platform
import re
import unicodedata
from collections import Counter
from functools import cache
from importlib import metadata, resources
from pydoc_data.topics import topics

import scapy.libs.manuf

_WORD = re.compile(r"[a-z]{3,14}")
_COMPANY = re.compile(r"\t([^\t\n]+)$", re.MULTILINE)
_FORMS = re.compile(
    r"(?i)\b(inc|ltd|co|corp|corporation|company|gmbh|llc|limited|sa|ag|bv|ab|as|spa|srl|oy|kg|pty|plc|pvt|the|of|and)\b"
)

_SIGNS = (*range(0x2190, 0x2C00), *range(0x1F000, 0x1FB00))  # arrows to dingbats, and pictographs


def sources() -> dict[str, str]:
    """The libraries whose texts these are, with their versions."""
    libraries = {name: metadata.version(name) for name in ("scapy", "tzdata")}
    return libraries | {"python": platform.python_version(), "unicode": unicodedata.unidata_version}


@cache
def words() -> tuple[str, ...]:
    """Some thousand common words, most of them English, in alphabetical order."""
    prose = Counter(_WORD.findall(" ".join(topics.values()).lower()))
    things = {word for sign in _SIGNS for word in _WORD.findall(unicodedata.name(chr(sign), "").lower())}
    return tuple(sorted({word for word, count in prose.items() if count > 1} | things | set(_trades()) | set(places())))


@cache
def places() -> tuple[str, ...]:
    """Cities and countries, letters only."""
    folder = resources.files("tzdata") / "zoneinfo"
    zones = re.findall(r"(?m)^[^#].*/([A-Z][A-Za-z_]+)", (folder / "zone.tab").read_text("utf-8"))
    countries = re.findall(r"(?m)^[A-Z]{2}\t(.+)$", (folder / "iso3166.tab").read_text("utf-8"))
    return tuple(sorted({name for text in (*zones, *countries) if (name := _letters(text)) and len(name) < 15}))


@cache
def countries() -> tuple[str, ...]:
    """The ends of countries' names, two letters each (ISO 3166)."""
    table = (resources.files("tzdata") / "zoneinfo" / "iso3166.tab").read_text("utf-8")
    return tuple(code.lower() for code in re.findall(r"(?m)^([A-Z]{2})\t", table))


@cache
def brands() -> tuple[str, ...]:
    """What companies call themselves: the first word of each name, or all of a short one."""
    found = set()
    for name in _companies():
        parts = [_letters(part) for part in name.split()]
        found |= {one for one in (parts[0], "".join(parts)) if 2 < len(one) < 19} if parts else set()
    return tuple(sorted(found))


@cache
def _trades() -> tuple[str, ...]:
    """The words that many companies' names share: electronics, systems, solutions."""
    count = Counter(word for name in _companies() for word in map(_letters, name.split()[1:]) if len(word) > 2)
    return tuple(word for word, times in count.items() if times > 3)


@cache
def _companies() -> tuple[str, ...]:
    table = scapy.libs.manuf.DATA
    return tuple(sorted({_FORMS.sub(" ", name).strip() for name in _COMPANY.findall(table)}))


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())
