"""What a test tells the fake, and asks it: /_fake/… in JSON."""
import asyncio
import re
from typing import Any

from aiohttp import web

from market import ANY, MINUTES
from server import Fake
from settings import Settings
from times import new_york_date, parse, seconds, written
from world import START


class Control:
    """POST changes, GET shows, DELETE clears."""

    def __init__(self, fake: Fake) -> None:
        self._fake = fake
        self._ticking: asyncio.Task | None = None

    @property
    def world(self):
        return self._fake.world

    def app(self) -> web.Application:
        made = web.Application(client_max_size=64 << 20)
        for path, does in {
            "reset": self._reset, "clock": self._clock, "settings": self._settings, "calendar": self._calendar,
            "bars": self._bars, "corrections": self._corrections, "messages": self._messages,
            "auctions": lambda said: {"added": self.world.add_auctions(said["auctions"])},
            "corporate_actions": lambda said: {"added": self.world.add_actions(said)},
            "announcements": lambda said: self._extend(self.world.announcements, said["announcements"]),
            "option_contracts": lambda said: self._extend(self.world.contracts, said["option_contracts"]),
            "activities": lambda said: self._extend(self.world.broker.activities, said["activities"]),
            "assets": self._assets, "account": self._account, "positions": self._positions, "fill": self._fill,
            "order_event": self._order_event, "faults": lambda said: self.world.faults.arm(said).json(),
            "send": self._send, "drop": self._drop,
        }.items():
            made.router.add_post(f"/_fake/{path}", self._told(does))
        for path, shows in {
            "clock": lambda: self._now(), "settings": lambda: dict(self.world.settings),
            "faults": lambda: [fault.json() for fault in self.world.faults.armed],
            "orders": lambda: [order.json() for order in self.world.broker.orders.values()],
            "events": lambda: self.world.broker.events,
            "connections": lambda: [socket.json() for socket in self._fake.hub.sockets],
        }.items():
            made.router.add_get(f"/_fake/{path}", self._shown(shows))
        made.router.add_get("/_fake/requests", self._requests)
        made.router.add_get("/_fake/wait", self._wait)
        made.router.add_delete("/_fake/requests", self._told(lambda said: self.world.records.all.clear()))
        made.router.add_delete("/_fake/faults", self._told(lambda said: self.world.faults.disarm(said.get("id"))))
        return made

    def _told(self, does):
        async def handle(request: web.Request) -> web.Response:
            try:
                said = await request.json() if request.can_read_body else {}
                done = does(said)
                if asyncio.iscoroutine(done):
                    done = await done
            except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError, re.error) as fault:
                what = f"{fault} is missing" if isinstance(fault, KeyError) else str(fault)
                return web.json_response({"error": what}, status=400)
            await self._fake.hub.drain()
            return web.json_response({} if done is None else done)
        return handle

    @staticmethod
    def _shown(shows):
        async def handle(_: web.Request) -> web.Response:
            return web.json_response(shows())
        return handle

    @staticmethod
    def _extend(items: list, more: list) -> dict[str, int]:
        items.extend(more)
        return {"added": len(more)}

    # ---- clock ----

    async def _reset(self, said: dict[str, Any]) -> dict[str, Any]:
        """All is as at the start, and nobody is connected."""
        self._stop_ticking()
        await self._fake.hub.end_all()
        self._fake.begin(said.get("now", START))
        self.world.settings.change(said.get("settings", {}))
        return self._now()

    def _now(self) -> dict[str, Any]:
        now, due = self.world.clock(), self.world.timeline.next
        return {"now": written(now), "date": str(new_york_date(now)), "next": written(due) if due else None,
                "phase": self.world.calendar.phase(now)[0]}

    async def _clock(self, said: dict[str, Any]) -> dict[str, Any]:
        """set: a time. advance: a length of time. wall: true lets it run by the wall clock, at `speed`."""
        if unknown := set(said) - {"set", "advance", "wall", "speed"}:
            raise ValueError(f"the clock takes set, advance, wall and speed, not {sorted(unknown)}")
        if "wall" in said:
            self._stop_ticking()
            if said["wall"]:
                self._ticking = asyncio.create_task(self._tick(float(said.get("speed", 1))))
        done = 0
        if "set" in said:
            done = self.world.advance(parse(said["set"]))
        if "advance" in said:
            done += self.world.advance(self.world.clock() + seconds(said["advance"]))
        return self._now() | {"done": done}

    def _stop_ticking(self) -> None:
        if self._ticking:
            self._ticking.cancel()
            self._ticking = None

    async def _tick(self, speed: float) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(0.01)
            now = loop.time()
            self.world.advance(self.world.clock() + seconds((now - last) * speed))
            last = now

    # ---- scripts ----

    def _settings(self, said: dict[str, Any]) -> Settings:
        self.world.settings.change(said)
        return self.world.settings

    def _calendar(self, said: dict[str, Any]) -> None:
        self.world.change_day(said["date"], said["close"])

    def _bars(self, said: dict[str, Any]) -> dict[str, int]:
        return {"added": self.world.add_bars(said["bars"], said.get("timeframe", MINUTES), said.get("feed", ANY))}

    def _corrections(self, said: dict[str, Any]) -> dict[str, int]:
        return {"added": self.world.correct(said["bars"], said.get("timeframe", MINUTES), said.get("feed", ANY))}

    def _messages(self, said: dict[str, Any]) -> dict[str, int]:
        return {"added": sum(self.world.add_messages(kind, by_symbol) for kind, by_symbol in said.items())}

    def _assets(self, said: dict[str, Any]) -> None:
        for asset in said["assets"]:
            self.world.set_asset(asset)

    def _account(self, said: dict[str, Any]) -> dict[str, Any]:
        self.world.account.change(said)
        return self.world.account.json(self.world.broker.reserved)

    def _positions(self, said: dict[str, Any]) -> None:
        for of in said["positions"]:
            self.world.set_position(of["symbol"], of["qty"], of.get("avg_entry_price", "0"), bool(of.get("cash")))

    def _fill(self, said: dict[str, Any]) -> dict[str, Any]:
        return self.world.fill(said["order"], said["price"], said.get("qty"))

    def _order_event(self, said: dict[str, Any]) -> dict[str, Any]:
        order = self.world.order(said["order"])
        self.world.broker.tell(order, said["event"], said.get("status"), said.get("more", {}))
        return order.json()

    # ---- sockets ----

    def _send(self, said: dict[str, Any]) -> dict[str, int]:
        """Sends a frame as it is to all connections of a stream, wanted or not."""
        sockets = [socket for socket in self._fake.hub.sockets if socket.stream == said["stream"]]
        for socket in sockets:
            socket.send(said["frame"], control=True)
        return {"sent": len(sockets)}

    async def _drop(self, said: dict[str, Any]) -> dict[str, int]:
        how = said.get("how", "mid_frame")
        if how not in ("mid_frame", "abort", "close"):
            raise ValueError(f"a socket is dropped mid_frame, by abort or by close, not by {how}")
        return {"dropped": await self._fake.hub.end_all(how, said.get("stream"))}

    # ---- records ----

    async def _requests(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        since = int(query.pop("since", 0))
        return web.json_response(self.world.records.find(query, since))

    async def _wait(self, request: web.Request) -> web.Response:
        """Until there are `count` records that fit, `timeout` seconds at most; 408 if they don't come."""
        query = dict(request.query)
        since, count = int(query.pop("since", 0)), int(query.pop("count", 1))
        found = await self.world.records.wait(query, count, since, float(query.pop("timeout", 5)))
        return web.json_response(found, status=200 if len(found) >= count else 408)
