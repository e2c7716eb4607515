"""HTTP around the interfaces: who may ask, what is recorded, and what goes wrong on purpose."""
import asyncio
import json
import time
from typing import Any

from aiohttp import web

from account import name_of
from data_api import AGAIN, DataApi
from faults import REQUEST_KINDS, Fault, edited
from streams import DataSocket, Hub, TradingSocket
from sundry_api import SundryApi
from times import MINUTE, SECOND, written
from trading_api import TradingApi
from web import HTML_401, Answer, Ask, Refusal, credentials, html
from world import START, World

# Faults that need no answer of the fake's own.
INSTEAD = ("answer", "rate_limit", "html_401", "timeout", "drop", "not_json")


class Fake:
    """The world and the servers around it."""

    def __init__(self, now: str = START) -> None:
        self.hub = Hub(self)
        self._requests = 0
        self._counted: dict[tuple[str, int], int] = {}
        self.begin(now)

    def begin(self, now: str) -> None:
        """A new world. Connections are not its business."""
        self.world = World(self.hub, now)
        trading = TradingApi(self.world)
        SundryApi(self.world, trading.routes)
        data = DataApi(self.world.market, self.world.settings, self.world.clock)
        self._routes = {"trading": trading.routes, "data": data.routes}
        self._counted.clear()

    def accepts(self, given: tuple[str, ...]) -> bool:
        settings = self.world.settings
        return given in ((settings.key, settings.secret), (settings.oauth,))

    # ---- sockets ----

    async def data_socket(self, request: web.Request) -> web.StreamResponse:
        feed = request.match_info["feed"]
        refused = await self._shake_hands(request, "data", feed)
        return refused or await DataSocket(self, "data", feed, request).run()

    async def trading_socket(self, request: web.Request) -> web.StreamResponse:
        refused = await self._shake_hands(request, "trading", "")
        return refused or await TradingSocket(self, "trading", "", request).run()

    async def _shake_hands(self, request: web.Request, stream: str, feed: str) -> web.Response | None:
        record = self._record(f"{stream}_stream", request, b"")
        fault = self.world.faults.take(("refuse_handshake",), {"stream": stream, "feed": feed})
        if fault is None:
            record["status"] = 101
            return None
        record["status"], record["fault"] = fault["status"], fault.kind
        return web.Response(status=fault["status"], text=fault["message"])

    # ---- requests ----

    def _record(self, host: str, request: web.Request, body: bytes) -> dict[str, Any]:
        text = body.decode(errors="replace")
        try:
            said = json.loads(text) if text else None
        except ValueError:
            said = text
        headers = {name.lower(): value for name, value in request.headers.items()}
        return self.world.records.add(kind="request", host=host, method=request.method, path=request.path,
                                      query=dict(request.query), headers=headers, body=said, status=None, fault=None,
                                      at=written(self.world.clock()))

    def handler(self, host: str):
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            record = self._record(host, request, body)
            ask = Ask(request.method, request.path, dict(request.query), dict(request.headers), body)
            if host == "trading" and request.path == "/v2/events/trades" and self.accepts(credentials(ask.headers)):
                record["status"] = 200
                return await self.hub.events(request)
            return await self._handle(host, request, ask, record)
        return handle

    async def _handle(self, host: str, request: web.Request, ask: Ask, record: dict[str, Any]) -> web.StreamResponse:
        facts = {"host": host, "method": ask.method, "path": ask.path, "query": request.query_string,
                 "body": ask.body.decode(errors="replace")}
        faults = self.world.faults.all(REQUEST_KINDS, facts)
        record["fault"] = ",".join(fault.kind for fault in faults) or None
        instead = next((fault for fault in faults if fault.kind in INSTEAD), None)
        carried_out = instead is None or instead.with_.get("carry_out", False)
        updates: list[dict[str, Any]] = []
        answer = Answer()
        if carried_out:
            with self.hub.collected() as updates:
                answer = self._answer(host, ask, faults)
        if self.world.settings.events_first or instead is not None:
            await self._deliver(updates)
            updates = []
        for fault in faults:
            if fault.kind == "delay":
                await asyncio.sleep(fault["seconds"])
        if instead is not None:
            if instead.kind in ("timeout", "drop"):
                return await self._no_answer(instead, request, record)
            answer = self._instead(instead)
        response = await self._write(host, request, answer, record, any(fault.kind == "cut" for fault in faults))
        await self._deliver(updates)
        return response

    async def _deliver(self, updates: list[dict[str, Any]]) -> None:
        for update in updates:
            self.hub.tell(update)
        if updates:
            await self.hub.drain()

    def _answer(self, host: str, ask: Ask, faults: list[Fault]) -> Answer:
        """What the interface says, changed by faults that change answers."""
        given = credentials(ask.headers)
        if not self.accepts(given):
            return self._unauthorized(host)
        if self._is_over_limit(host):
            return self._too_many(host)
        for fault in faults:
            if fault.kind == "short_page":
                ask.query["limit"] = str(fault["size"])
        try:
            answer = self._routes[host].answer(ask)
        except Refusal as refusal:
            return refusal.answer()
        for fault in faults:
            if isinstance(answer.content, (dict, list)):
                answer.content = changed(fault, ask, json.loads(json.dumps(answer.content)))
        return answer

    def _unauthorized(self, host: str) -> Answer:
        if self.world.settings[f"unauthorized_{host}"] == "html":
            return html(401, HTML_401)
        return Refusal(401, 40110000, "request is not authorized").answer()

    # ---- limits ----

    def _is_over_limit(self, host: str) -> bool:
        minute = (host, self.world.clock() // MINUTE)
        self._counted[minute] = self._counted.get(minute, 0) + 1
        limit = self.world.settings[f"rate_limit_{host}"]
        return self.world.settings.enforce_rate_limit and self._counted[minute] > limit

    def _too_many(self, host: str) -> Answer:
        return Refusal(429, 42910000, "too many requests.").answer()

    def _limits(self, host: str) -> dict[str, str]:
        """On every answer; the clock is the fake's."""
        minute = self.world.clock() // MINUTE
        limit = self.world.settings[f"rate_limit_{host}"]
        left = max(0, limit - self._counted.get((host, minute), 0))
        return {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(left),
                "X-RateLimit-Reset": str((minute + 1) * 60)}

    # ---- answers of faults ----

    def _instead(self, fault: Fault) -> Answer:
        if fault.kind == "html_401":
            return html(401, HTML_401)
        if fault.kind == "not_json":
            return html(200, fault["text"].encode())
        if fault.kind == "rate_limit":
            now = time.time() if fault["clock"] == "wall" else self.world.clock() / SECOND
            reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(now + fault["reset_in"]))}
            return Answer({"code": 42910000, "message": "too many requests."}, 429, reset)
        if fault["html"] is not None:
            return html(fault["status"], fault["html"].encode())
        if fault["body"] is not None:
            return Answer(fault["body"], fault["status"], dict(fault["headers"]))
        answer = Refusal(fault["status"], fault["code"], fault["message"]).answer()
        answer.headers |= fault["headers"]
        return answer

    async def _no_answer(self, fault: Fault, request: web.Request, record: dict[str, Any]) -> web.Response:
        """The client waits, or loses its connection."""
        record["status"] = 0
        self.world.records.wake()
        if fault.kind == "timeout":
            end = asyncio.get_running_loop().time() + fault["seconds"]
            while request.transport is not None and asyncio.get_running_loop().time() < end:
                await asyncio.sleep(0.02)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _write(self, host: str, request: web.Request, answer: Answer, record: dict[str, Any],
                     cut: bool) -> web.StreamResponse:
        self._requests += 1
        body = answer.bytes()
        headers = {"Content-Type": "application/json; charset=UTF-8", **self._limits(host),
                   "X-Request-ID": name_of("request", self._requests).replace("-", ""), **answer.headers}
        if cut:
            return await self._cut(request, headers, body, record)
        response = web.Response(status=answer.status, headers=headers, body=body)
        await response.prepare(request)
        await response.write_eof()
        record["status"], record["request_id"] = answer.status, headers["X-Request-ID"]
        self.world.records.wake()
        return response

    async def _cut(self, request: web.Request, headers: dict[str, str], body: bytes,
                   record: dict[str, Any]) -> web.StreamResponse:
        """Half of what is announced, then the connection ends."""
        response = web.StreamResponse(status=200, headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[:len(body) // 2])
        record["status"] = 200
        self.world.records.wake()
        if request.transport is not None:
            request.transport.close()
        return response


def changed(fault: Fault, ask: Ask, content: Any) -> Any:
    """An answer as a fault leaves it."""
    if fault.kind == "edit":
        return edited(content, fault["set"], fault["remove"])
    if not isinstance(content, dict):
        return content
    if fault.kind == "mislabelled_split" and "corporate_actions" in content:
        return mislabelled(content, fault["how"])
    kind = next((kind for kind in ("bars", "quotes", "trades", "corporate_actions") if kind in content), None)
    if kind is None:
        return content
    if fault.kind == "null_bars":
        symbols = fault["symbols"] or ask.names("symbols")
        nothing = fault["whole"] or not isinstance(content[kind], dict)
        content[kind] = None if nothing else content[kind] | dict.fromkeys(symbols)
    elif fault.kind == "empty_page":
        empty: Any = [] if isinstance(content[kind], list) else {}
        return content | {kind: empty, "next_page_token": AGAIN + ask.query.get("page_token", "")}
    elif fault.kind == "repeat_page":
        content["next_page_token"] = AGAIN + ask.query.get("page_token", "").replace(AGAIN, "")
    elif fault.kind in ("duplicate_bars", "shuffled_bars"):
        def of(items: list) -> list:
            return [item for item in items for _ in range(2)] if fault.kind == "duplicate_bars" else items[::-1]
        whole = content[kind]
        content[kind] = of(whole) if isinstance(whole, list) else {name: of(items) for name, items in whole.items()}
    return content


def mislabelled(content: dict[str, Any], how: str) -> dict[str, Any]:
    """kind: a forward split is among the reverse ones, and the other way round. rates: old and new are exchanged."""
    actions = content["corporate_actions"]
    kinds = ("forward_splits", "reverse_splits")
    if how == "rates":
        for split in [split for kind in kinds for split in actions.get(kind, [])]:
            split["new_rate"], split["old_rate"] = split["old_rate"], split["new_rate"]
        return content
    turned = dict(zip(kinds, reversed(kinds), strict=True))
    content["corporate_actions"] = {turned.get(kind, kind): several for kind, several in actions.items()}
    return content


def apps(fake: Fake) -> dict[str, web.Application]:
    """One for each host of Alpaca."""
    made = {name: web.Application(client_max_size=8 << 20) for name in ("trading", "data", "data_stream")}
    made["trading"].router.add_get("/stream", fake.trading_socket)
    made["trading"].router.add_route("*", "/{path:.*}", fake.handler("trading"))
    made["data"].router.add_route("*", "/{path:.*}", fake.handler("data"))
    made["data_stream"].router.add_get("/v2/{feed}", fake.data_socket)
    made["data_stream"].router.add_get("/v1beta1/{feed}", fake.data_socket)
    return made


