"""The data that policy reads: a revision's own document with live values over it, changed by path or JSON patch."""

from policy.data.json_patch import PatchError
from policy.data.json_pointer import Path, path_of, pointer_to
from policy.data.release import release
from policy.data.store import DataStore, Journal

__all__ = ["DataStore", "Journal", "PatchError", "Path", "path_of", "pointer_to", "release"]
