"""The clock, and all that happens when it moves. It moves only when told to."""
import heapq
import itertools
from collections.abc import Callable

# What happens first of all that is due at one instant.
INSIDE, AUCTION, PUBLISH, EXPIRE, SESSION, ANSWER, OPEN = range(7)


class Timeline:
    """Things to do, each at its time; `between` is called when the time or the kind of thing changes."""

    def __init__(self, now: int, between: Callable[[], None] = lambda: None) -> None:
        self.now = now
        self._between = between
        self._waiting: list[tuple[int, int, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def at(self, when: int, kind: int, do: Callable[[], None]) -> None:
        """What is due already is done at once."""
        if when <= self.now:
            do()
            return
        heapq.heappush(self._waiting, (when, kind, next(self._number), do))

    def run_until(self, end: int) -> int:
        """Does everything that is due until `end`, in order, and says how much that was."""
        done = 0
        while self._waiting and self._waiting[0][0] <= end:
            when, kind, _, do = heapq.heappop(self._waiting)
            self.now = max(self.now, when)
            do()
            done += 1
            if not self._waiting or self._waiting[0][:2] != (when, kind):
                self._between()
        self.now = max(self.now, end)
        return done

    @property
    def next(self) -> int | None:
        return self._waiting[0][0] if self._waiting else None
