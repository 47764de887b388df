"""What a shelf, a model or its data are refused with."""

from __future__ import annotations


class ModelRefused(Exception):
    """A model, or a shelf's own record, that may not be used; the message names the file and the reason."""


class DataRefused(Exception):
    """Labelled data that nothing can be learnt or measured from; the message names the file and the reason."""
