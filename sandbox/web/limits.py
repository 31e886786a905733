"""Count what one address or person did lately, in this process, and refuse what is too much."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque

MOST_KEYS = 10_000
"""Keys remembered; beyond that the one that was quiet longest is forgotten."""


class Limit:
    """At most so many times in so many seconds, per key.

    Args:
        times: allowed within the window.
        seconds: length of the window.
    """

    def __init__(self, times: int, seconds: float) -> None:
        self.times, self.seconds = times, seconds
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def allows(self, key: str) -> bool:
        """Count one more for a key; False when that is too much, which is then not counted."""
        at = time.monotonic()
        with self._lock:
            seen = self._seen.setdefault(key, deque())
            self._seen.move_to_end(key)
            while len(self._seen) > MOST_KEYS:
                self._seen.popitem(last=False)
            while seen and at - seen[0] > self.seconds:
                seen.popleft()
            if len(seen) >= self.times:
                return False
            seen.append(at)
            return True
