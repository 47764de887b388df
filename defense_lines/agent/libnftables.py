"""libnftables in process, through ctypes: nft commands in, JSON answers out, one atomic transaction a call.

About 0.1 ms for one element, where spawning `nft` takes 4 ms. The commands are those of nft(8), and not JSON, which
knows no part of a second and takes longer to read. The answers are libnftables-json(5).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import msgspec

LIBRARY = "libnftables.so.1"
_OUTPUT_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON; what is not JSON goes in as nft commands all the same
_OUTPUT_TERSE = 1 << 11  # NFT_CTX_OUTPUT_TERSE; sets are listed without their elements, which are not even asked for

Answer = dict[str, Any]


class NftablesUnavailable(Exception):
    """This host has no libnftables; the message is fit for people."""


class NftError(Exception):
    """The kernel or libnftables refused a transaction; nothing of it was done."""


class NoSuchTable(NftError):
    """What was to be listed does not exist."""


def unavailable() -> str:
    """Why nftables cannot be driven on this host, or the empty string."""
    try:
        _library()
    except NftablesUnavailable as error:
        return str(error)
    return ""


class Nftables:
    """One libnftables context. Calls are serialised; another thread waits. Acts in the caller's network namespace."""

    def __init__(self, terse: bool = False) -> None:
        """`terse`: sets are listed without their elements."""
        self._library = _library()
        self._lock = threading.Lock()
        self._context: int | None = self._library.nft_ctx_new(0)
        if not self._context:
            raise NftablesUnavailable("nftables unavailable: no context (out of memory?)")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._library.nft_ctx_output_set_flags(self._context, _OUTPUT_JSON | (_OUTPUT_TERSE if terse else 0))

    def run(self, commands: Sequence[str]) -> list[Answer]:
        """Carry out the commands as one transaction and return what they listed, if anything.

        Raises NoSuchTable or NftError with libnftables's words; then the kernel is as it was.
        """
        buffer = "".join(f"{command}\n" for command in commands).encode()
        with self._lock:
            status = self._library.nft_run_cmd_from_buffer(self._context, buffer)
            output = self._library.nft_ctx_get_output_buffer(self._context)
            error = self._library.nft_ctx_get_error_buffer(self._context)
        if status != 0:
            raise _error(error.decode(errors="replace"))
        return answers(output)

    def close(self) -> None:
        """Free the context; the kernel keeps its tables."""
        with self._lock:
            if self._context:
                self._library.nft_ctx_free(self._context)
                self._context = None


def answers(output: bytes) -> list[Answer]:
    """What libnftables printed, object by object. Raises NftError if it is not its JSON."""
    if not output.strip():
        return []
    try:
        return msgspec.json.decode(output, type=dict[str, list[Answer]])["nftables"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise NftError(f"libnftables answered what is not its JSON: {error}") from error


def _error(words: str) -> NftError:
    line = next((line.strip() for line in words.splitlines() if line.strip()), "no reason given")
    reason = line.partition("Error: ")[2] or line
    return NoSuchTable(reason) if "No such file or directory" in reason else NftError(reason)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NftablesUnavailable(f"nftables unavailable: {LIBRARY} not found") from error
    context = ctypes.c_void_p
    library.nft_ctx_new.argtypes, library.nft_ctx_new.restype = [ctypes.c_uint32], context
    library.nft_ctx_free.argtypes, library.nft_ctx_free.restype = [context], None
    library.nft_ctx_buffer_output.argtypes = [context]
    library.nft_ctx_buffer_error.argtypes = [context]
    library.nft_ctx_output_set_flags.argtypes, library.nft_ctx_output_set_flags.restype = [context, ctypes.c_uint], None
    library.nft_run_cmd_from_buffer.argtypes = [context, ctypes.c_char_p]
    for read in (library.nft_ctx_get_output_buffer, library.nft_ctx_get_error_buffer):
        read.argtypes, read.restype = [context], ctypes.c_char_p
    return library
