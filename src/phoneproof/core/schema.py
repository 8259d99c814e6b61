"""Base of the types whose JSON is published."""

from __future__ import annotations

import msgspec


class SchemaType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Immutable; unknown fields are refused. Subclasses add ``kw_only=True``."""
