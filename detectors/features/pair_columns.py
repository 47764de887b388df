"""What a model reads of a pair, column by column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.arrays import Array, Arrays
from detectors.features.cadence import NAMES as GAPS
from detectors.features.pairing import IS_REMOTE
from detectors.features.places import INSIDE
from detectors.features.sources import COUNTED as OF_SOURCE
from detectors.features.sources import SCALES as SOURCE_SCALES

SCALES = (600.0, 7200.0, 86400.0)  # seconds
RHYTHM = 21_600.0  # seconds
COUNTED = ("flows", "failed", "sent", "received", "lasted")
_EACH = 1  # the scale of means
_PORTS = {
    "web": (80, 443, 8080, 8443),
    "infrastructure": (53, 67, 68, 88, 123, 137, 138, 161, 162, 389, 464, 514, 636, 853, 3268, 5353),
    "mail": (25, 110, 143, 465, 587, 993, 995),
    "stores": (1433, 1521, 2049, 3260, 3306, 5432, 5672, 6379, 9042, 9092, 9200, 27017),
}
_IS = {name: np.isin(np.arange(1 << 16), ports) for name, ports in _PORTS.items()}
_OTHER = ~(IS_REMOTE | np.logical_or.reduce(list(_IS.values())))
_CLASSES = np.stack([IS_REMOTE, *_IS.values(), _OTHER], axis=1).astype(np.float32)  # of each port

NAMES: tuple[str, ...] = (
    *(f"{what}_{scale:g}s" for scale in SCALES for what in ("flows", "failed_share", "sent", "received")),
    "sent_each",
    "received_each",
    "lasted_each",
    "sent_ratio",  # ln of bytes sent for a byte received, over a day
    *GAPS,
    "change_gap",
    "change_sent",
    "change_received",
    "change_lasted",
    "contacts",
    "lived",
    "presence",  # share of the stretches of ten minutes since its first flow in which it had one
    "port_remote",
    *(f"port_{name}" for name in _IS),
    "port_other",
    "peer_inside",
    "peer_asked",  # by so many sources
    "source_inside",
    "source_beyond",  # ln of what the pair sent in ten minutes for a byte that its source sent in the day before
    "source_lived",  # this and what follows: of pairs over remote ports alone
    *(f"source_{what}_{scale:g}s" for scale in SOURCE_SCALES for what in ("new_remote", "remote_failed")),
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the state holds of G pairs."""

    sums: Array  # [G, scales, COUNTED]
    rhythm: Array  # [G, GAPS]
    changes: Array  # [G, 4] of gap, sent, received, length; -1 where there is none yet
    contacts: Array  # flows so far
    lived: Array  # seconds from the first to the latest
    presence: Array  # 0 to 1
    port: Array
    peer: tuple[Array, Array]  # asked by how many, where
    source: tuple[Array, Array, Array]  # [G, scales, OF_SOURCE] sums, seconds, inside


def columns(known: Known, arrays: Arrays) -> Array:
    """[G, NAMES], 32 bits. Sums are given as ln(1 + sum)."""
    xp = arrays.xp
    sums, logs = known.sums, xp.log1p(known.sums)
    flows = xp.maximum(sums[:, :, 0], xp.float32(1e-6))
    failed = sums[:, :, 1] / flows
    windows = xp.stack([logs[:, :, 0], failed, logs[:, :, 2], logs[:, :, 3]], axis=2).reshape(
        len(sums), 4 * len(SCALES)
    )
    each = xp.log1p(sums[:, _EACH, 2:5] / flows[:, _EACH, None])
    parts = [windows, each, (logs[:, -1, 2] - logs[:, -1, 3])[:, None], known.rhythm, known.changes]
    times = xp.stack([xp.log1p(known.contacts), xp.log1p(xp.maximum(known.lived, 0.0)), known.presence], axis=1)
    classes = xp.asarray(_CLASSES)[known.port & 0xFFFF]
    table = xp.empty((len(sums), len(NAMES)), xp.float32)
    at = 0
    for part in (*parts, times, classes, _company(known, logs, arrays)):
        table[:, at : at + part.shape[1]] = part
        at += part.shape[1]
    return table


def _company(known: Known, logs: Array, arrays: Arrays) -> Array:
    """What the pair is beside its peer's other callers and its source's other peers."""
    xp = arrays.xp
    asked, where = known.peer
    sums, lived, inside = known.source
    remote, tried, failed, sent = (sums[:, :, OF_SOURCE.index(name)] for name in OF_SOURCE)
    before = xp.log1p(xp.maximum(sent[:, -1] - sent[:, 0], sent[:, -1] * xp.float32(0.02)))
    shares = failed / xp.maximum(tried, xp.float32(1e-3))
    around = xp.stack([xp.log1p(remote), shares], axis=2).reshape(len(sums), 2 * len(SOURCE_SCALES))
    asked = xp.log1p(xp.minimum(asked, xp.float32(1e6)))
    alone = [where == INSIDE, asked, inside, logs[:, 0, 2] - before]
    lived = xp.log1p(xp.maximum(lived, 0.0))[:, None]
    is_remote = xp.asarray(_CLASSES)[known.port & 0xFFFF][:, :1]
    company = xp.stack([one.astype(xp.float32) for one in alone], axis=1)
    return xp.concatenate([company, lived * is_remote, around * is_remote], axis=1)


def telling(table: Array) -> Array:
    """[G] of which pairs there is enough to be judged: some flows, a large upload, or a source that goes around."""
    contacts, sent, remote, around = (
        table[:, NAMES.index(name)] for name in ("contacts", "sent_600s", "port_remote", "source_new_remote_7200s")
    )
    return (contacts > _CONTACTS) | (sent > _SENT) | ((remote > 0) & (around > _AROUND))


def may_tell(contacts: Array, sent: Array, port: Array, arrays: Arrays) -> Array:
    """[G] all the pairs that `telling` may name, and a few more, by flows, bytes sent in ten minutes, and port."""
    remote = arrays.xp.asarray(IS_REMOTE)[port & 0xFFFF]
    return remote | (contacts > np.expm1(_CONTACTS) - 1) | (sent > np.expm1(_SENT) / 2)


_CONTACTS, _SENT, _AROUND = (float(np.log1p(number)) for number in (7.5, 5e6, 2.5))
