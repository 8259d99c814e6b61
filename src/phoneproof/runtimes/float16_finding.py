"""What float16 results lose in the reference interpreter, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Float16Finding:
    """What one operation's float16 outputs lost, over all runs since the program was opened.

    values: numbers rounded. overflows: finite ones that became infinite. subnormals: results
    smaller than 2^-14 and not zero. vanished: numbers that became zero. largest: the largest
    finite magnitude before rounding.
    """

    operation: str
    type: str
    values: int = 0
    overflows: int = 0
    subnormals: int = 0
    vanished: int = 0
    largest: float = 0.0

    def __add__(self, other: Float16Finding) -> Float16Finding:
        return Float16Finding(
            operation=self.operation,
            type=self.type,
            values=self.values + other.values,
            overflows=self.overflows + other.overflows,
            subnormals=self.subnormals + other.subnormals,
            vanished=self.vanished + other.vanished,
            largest=max(self.largest, other.largest),
        )
