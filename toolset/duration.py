"""Durations as Go writes them (``5m``, ``1h30m``, ``250ms``), which is how Kubernetes' users do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import durationpy
from marshmallow import ValidationError, fields


class Duration(fields.Field[timedelta]):
    """A duration from ``minimum`` to ``maximum``, for a marshmallow schema."""

    def __init__(self, *, minimum: timedelta, maximum: timedelta, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.minimum, self.maximum = minimum, maximum

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> timedelta:
        try:
            duration = durationpy.from_str(value) if isinstance(value, str) else None
        except (durationpy.DurationError, OverflowError):
            duration = None
        if not isinstance(duration, timedelta):
            raise ValidationError(f"{value!r:.40} is no duration: write it as 30s, 5m or 1h30m, in quotes")
        if not self.minimum <= duration <= self.maximum:
            lowest, highest = map(durationpy.to_str, (self.minimum, self.maximum))
            raise ValidationError(f"{value!r} is out of range: allowed are {lowest} to {highest}")
        return duration
