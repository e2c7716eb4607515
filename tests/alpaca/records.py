"""Every request and every frame that came or went, for assertions."""
import asyncio
import re
from typing import Any


class Records:
    """Numbered from 1. `changed` wakes whoever waits for something to be recorded."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    def add(self, **facts: Any) -> dict[str, Any]:
        record = {"n": len(self.all) + 1, **facts}
        self.all.append(record)
        self.wake()
        return record

    def wake(self) -> None:
        self._changed.set()

    def find(self, wanted: dict[str, str], since: int = 0) -> list[dict[str, Any]]:
        """Those after number `since` in which each named fact, as text, contains a regular expression."""
        def fits(record: dict[str, Any]) -> bool:
            return all(re.search(pattern, str(record.get(name, ""))) for name, pattern in wanted.items())
        return [record for record in self.all[since:] if fits(record)]

    async def wait(self, wanted: dict[str, str], count: int, since: int, timeout: float) -> list[dict[str, Any]]:
        """As `find`, once there are so many, or the time (of the wall clock) is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while len(found := self.find(wanted, since)) < count and loop.time() < end:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), end - loop.time())
            except TimeoutError:
                break
        return found
