"""Both sockets: market data in JSON or msgpack, and trade updates. And the trade updates as server-sent events."""
import asyncio
import contextlib
import json
import struct
import traceback
from typing import Any

import msgpack
from aiohttp import WSCloseCode, WSMsgType, web

from faults import FRAME_KINDS, Fault, edited
from market import ANY, MINUTES
from times import SECOND, seconds, written
from web import credentials

CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances", "corrections",
            "cancelErrors")
# These come with trades, whether asked for or not.
WITH_TRADES = ("corrections", "cancelErrors")
TEXT, BINARY, CONTINUED = 1, 2, 0


def error(code: int, text: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": text}]


def raw_frame(kind: int, payload: bytes, last: bool = True) -> bytes:
    """A frame of a server, as it is on the wire."""
    first, size = (0x80 if last else 0) | kind, len(payload)
    if size < 126:
        head = struct.pack("!BB", first, size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, 126, size)
    else:
        head = struct.pack("!BBQ", first, 127, size)
    return head + payload


def as_json(payload: Any) -> bytes:
    """Messages with times as text."""
    def timed(message: Any) -> Any:
        if isinstance(message, dict) and isinstance(message.get("t"), int):
            return message | {"t": written(message["t"])}
        return message
    return json.dumps([timed(message) for message in payload] if isinstance(payload, list) else timed(payload)).encode()


def as_msgpack(payload: Any) -> bytes:
    """Messages with times as msgpack has them."""
    def timed(message: Any) -> Any:
        if isinstance(message, dict) and isinstance(message.get("t"), int):
            return message | {"t": msgpack.Timestamp(*divmod(message["t"], SECOND))}
        return message
    return msgpack.packb([timed(message) for message in payload] if isinstance(payload, list) else timed(payload))


class Socket:
    """One connection. What is to be sent waits in a queue, so that the order stays."""

    def __init__(self, fake, stream: str, feed: str, request: web.Request) -> None:
        self._fake, self.stream, self.feed, self._request = fake, stream, feed, request
        self.ws = web.WebSocketResponse(autoping=False, compress=True, max_msg_size=16 << 20, timeout=1)
        self.number = fake.hub.number(self)
        self.is_msgpack = stream == "data" and "msgpack" in request.headers.get("Content-Type", "")
        self.authenticated = False
        self.streams: list[str] = []
        self.wanted: dict[str, set[str]] = {channel: set() for channel in CHANNELS}
        self.silent: Fault | None = None
        self.queue: asyncio.Queue[tuple[Any, bool]] = asyncio.Queue()
        self._held: list[list[Any]] = []

    @property
    def world(self):
        return self._fake.world

    # ---- sending ----

    def send(self, payload: Any, control: bool = False) -> None:
        self.queue.put_nowait((payload, control))

    async def write(self) -> None:
        """Sends what is in the queue, until the socket ends."""
        while True:
            payload, control = await self.queue.get()
            try:
                if not self.ws.closed:
                    await self._pass(payload, control)
            except (ConnectionError, RuntimeError):
                pass
            except Exception:
                # What comes next is sent all the same.
                traceback.print_exc()
            finally:
                self.queue.task_done()

    def _facts(self, payload: Any) -> dict[str, Any]:
        if self.stream == "data":
            facts = {"T": ",".join(str(message["T"]) for message in payload),
                     "S": ",".join(str(message.get("S", "")) for message in payload)}
        else:
            facts = {"T": payload["stream"], "event": payload["data"].get("event", ""),
                     "S": payload["data"].get("order", {}).get("symbol", "")}
        return facts | {"stream": self.stream, "feed": self.feed, "connection": str(self.number)}

    async def _pass(self, payload: Any, control: bool) -> None:
        """Through the faults that are armed for it. Those that don't name T leave control messages alone."""
        facts = self._facts(payload)
        payload = json.loads(json.dumps(payload))
        for fault in self.world.faults.all(FRAME_KINDS, facts, "T" if control else None):
            payload = await getattr(self, f"_{fault.kind}")(fault, payload)
            if payload is None:
                break
        if payload is not None:
            await self._put(payload)
        for held in list(self._held):
            held[0] -= 1
            if held[0] < 0:
                self._held.remove(held)
                await self._put(held[1])

    async def _put(self, payload: Any) -> None:
        lost = self.silent is not None
        self.world.records.add(kind="frame", stream=self.stream, feed=self.feed, connection=self.number,
                               direction="lost" if lost else "out", data=json.loads(as_json(payload)),
                               at=written(self.world.clock()))
        if lost:
            return
        if self._is_binary:
            await self.ws.send_bytes(self._encoded(payload))
        else:
            await self.ws.send_str(self._encoded(payload).decode())

    @property
    def _is_binary(self) -> bool:
        return self.is_msgpack or self.stream == "trading" and self.world.settings.trade_frames == "binary"

    def _encoded(self, payload: Any) -> bytes:
        return as_msgpack(payload) if self.is_msgpack else as_json(payload)

    # ---- faults of frames: each says what is still to be sent ----

    async def _lose(self, fault: Fault, payload: Any) -> None:
        return None

    async def _reverse(self, fault: Fault, payload: Any) -> Any:
        return payload[::-1] if isinstance(payload, list) else payload

    async def _edit_message(self, fault: Fault, payload: Any) -> Any:
        return edited(payload, fault["set"], fault["remove"])

    async def _unknown_kind(self, fault: Fault, payload: Any) -> Any:
        return [*payload, fault["message"]] if isinstance(payload, list) else payload | {"data": fault["message"]}

    async def _duplicate(self, fault: Fault, payload: Any) -> Any:
        for _ in range(fault["times"] - 1):
            await self._put(payload)
        return payload

    async def _hold_back(self, fault: Fault, payload: Any) -> None:
        self._held.append([fault["frames"], payload])

    async def _silent(self, fault: Fault, payload: Any) -> Any:
        self.silent = fault
        return payload

    async def _corrupt(self, fault: Fault, payload: Any) -> None:
        text = fault["text"].encode()
        await (self.ws.send_bytes(text) if self._is_binary else self.ws.send_str(fault["text"]))

    async def _error_frame(self, fault: Fault, payload: Any) -> None:
        """After the frame that it is for."""
        await self._put(payload)
        await self._put(error(fault["code"], fault["msg"]) if self.stream == "data"
                        else {"stream": "error", "data": {"code": fault["code"], "error": fault["msg"]}})
        if fault["close"]:
            await self.end("close")

    async def _slow_client(self, fault: Fault, payload: Any) -> None:
        await self._put(error(407, "slow client"))
        await self.end("close")

    async def _fragment(self, fault: Fault, payload: Any) -> None:
        """One message in several frames."""
        content, pieces = self._encoded(payload), max(2, fault["pieces"])
        size = -(-len(content) // pieces)
        parts = [content[at:at + size] for at in range(0, len(content), size)]
        kind = BINARY if self._is_binary else TEXT
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            self._request.transport.write(raw_frame(CONTINUED if place else kind, part, last))

    async def _drop_socket(self, fault: Fault, payload: Any) -> None:
        await self.end(fault["how"], fault["code"], payload)

    async def end(self, how: str, code: int = WSCloseCode.GOING_AWAY, payload: Any = ()) -> None:
        """mid_frame: half a frame, then nothing. abort: at once. close: as a server should."""
        if how == "close":
            await self.ws.close(code=code)
            return
        self._fake.hub.linger(self)
        transport = self._request.transport
        if transport is None:
            return
        if how == "mid_frame":
            content = self._encoded(payload) or b"[]"
            whole = raw_frame(BINARY if self._is_binary else TEXT, content.ljust(16))
            transport.write(whole[:len(whole) // 2])
            transport.close()
        else:
            transport.abort()

    # ---- receiving ----

    async def run(self) -> web.StreamResponse:
        await self.ws.prepare(self._request)
        writer = asyncio.create_task(self.write())
        late = asyncio.get_running_loop().call_later(self.world.settings.auth_timeout, self._too_late)
        try:
            self.begin()
            async for message in self.ws:
                if message.type == WSMsgType.PING and not (self.silent and not self.silent["pongs"]):
                    await self.ws.pong(message.data)
                elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self._hear(message.data)
        finally:
            late.cancel()
            writer.cancel()
            self._fake.hub.forget(self)
        return self.ws

    def _too_late(self) -> None:
        if self.stream == "data" and not self.authenticated and not self.ws.closed:
            self.send(error(404, "auth timeout"), control=True)
            self.close_soon()

    def close_soon(self) -> None:
        """After what is in the queue."""
        async def close() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.queue.join(), 2)
            await self.end("close")
        self._fake.hub.keep(asyncio.create_task(close()))

    def _hear(self, data: str | bytes) -> None:
        try:
            said = msgpack.unpackb(data) if self.is_msgpack and isinstance(data, bytes) else json.loads(data)
        except Exception:  # Whatever isn't a message.
            said = None
        text = data if isinstance(data, str) else data.decode(errors="replace")
        self.world.records.add(kind="frame", stream=self.stream, feed=self.feed, connection=self.number, direction="in",
                               data=said if said is not None else text, at=written(self.world.clock()))
        if self.silent is None:
            self.hear(said if isinstance(said, dict) else {})

    def begin(self) -> None:
        """Says the first words."""

    def hear(self, said: dict[str, Any]) -> None:
        """Answers a message."""
        raise NotImplementedError

    def json(self) -> dict[str, Any]:
        wanted = {channel: sorted(symbols) for channel, symbols in self.wanted.items() if symbols}
        return {"connection": self.number, "stream": self.stream, "feed": self.feed, "silent": self.silent is not None,
                "msgpack": self.is_msgpack, "authenticated": self.authenticated, "subscribed": wanted,
                "streams": self.streams}


class DataSocket(Socket):
    """Market data."""

    def begin(self) -> None:
        facts = {"stream": "data", "feed": self.feed}
        self.silent = self.world.faults.take(("no_answer",), facts)
        if self.silent:
            self.silent.with_.setdefault("pongs", True)
            return
        self.send([{"T": "success", "msg": "connected"}], control=True)
        if given := credentials(dict(self._request.headers)):
            self._authenticate(given)

    def hear(self, said: dict[str, Any]) -> None:
        action = said.get("action")
        if action == "auth":
            given = (said["oauth"],) if "oauth" in said else (str(said.get("key")), str(said.get("secret")))
            self._authenticate(given)
        elif action not in ("subscribe", "unsubscribe"):
            self.send(error(400, "invalid syntax"), control=True)
        elif not self.authenticated:
            self.send(error(401, "not authenticated"), control=True)
        else:
            self._subscribe(action, said)

    def _authenticate(self, given: tuple[str, ...]) -> None:
        if self.authenticated:
            self.send(error(403, "already authenticated"), control=True)
            return
        fault = self.world.faults.take(("auth_error",), {"stream": "data", "feed": self.feed})
        hub, settings = self._fake.hub, self.world.settings
        if fault:
            refused, close = error(fault["code"], fault["msg"]), fault["close"]
        elif not self._fake.accepts(given):
            refused, close = error(402, "auth failed"), False
        elif self.feed not in settings.feeds or self.feed == "sip" and not settings.realtime_sip:
            refused, close = error(409, "insufficient subscription"), False
        elif hub.taken(self.feed) >= settings.max_connections:
            refused, close = error(406, "connection limit exceeded"), settings.close_after_406
        else:
            self.authenticated = True
            self.send([{"T": "success", "msg": "authenticated"}], control=True)
            return
        self.send(refused, control=True)
        if close:
            self.close_soon()

    def _subscribe(self, action: str, said: dict[str, Any]) -> None:
        """Answers with all that is subscribed now."""
        named = {channel: said[channel] for channel in CHANNELS if channel in said}
        lists = all(isinstance(symbols, list) and all(isinstance(symbol, str) for symbol in symbols)
                    for symbols in named.values())
        if not lists or set(said) - set(CHANNELS) - {"action"}:
            self.send(error(400, "invalid syntax"), control=True)
            return
        if set(named) & set(self.world.settings.refused_channels):
            self.send(error(410, "invalid subscribe action for this feed"), control=True)
            return
        fault = None
        if action == "subscribe":
            facts = {"stream": "data", "feed": self.feed, "text": json.dumps(said)}
            fault = self.world.faults.take(("subscribe_error",), facts)
        if not (fault and fault["instead"]):
            wanted = self._with(action, named)
            limit = self.world.settings.symbol_limit
            if limit is not None and max(len(symbols) for symbols in wanted.values()) > limit:
                self.send(error(405, "symbol limit exceeded"), control=True)
                return
            self.wanted = wanted
            subscribed = {channel: sorted(symbols) for channel, symbols in wanted.items()}
            self.send([{"T": "subscription", **subscribed}], control=True)
        if fault:
            self.send(error(fault["code"], fault["msg"]), control=True)
            if fault["close"]:
                self.close_soon()

    def _with(self, action: str, named: dict[str, list[str]]) -> dict[str, set[str]]:
        wanted = {channel: set(symbols) for channel, symbols in self.wanted.items()}
        for channel, symbols in named.items():
            if channel in WITH_TRADES:
                continue
            if action == "subscribe":
                wanted[channel] |= set(symbols)
            else:
                wanted[channel] -= set(symbols)
        return wanted | {channel: set(wanted["trades"]) for channel in WITH_TRADES}

    def wants(self, channel: str, feed: str, message: dict[str, Any]) -> bool:
        """Of its own feed, or of all feeds if its own has no bars of the symbol."""
        if not self.authenticated or not {message["S"], "*"} & self.wanted[channel]:
            return False
        if feed == ANY and channel in ("bars", "updatedBars", "dailyBars"):
            market = self.world.market
            return market.series(message["S"], MINUTES, self.feed) is market.series(message["S"], MINUTES)
        return feed in (ANY, self.feed)


class TradingSocket(Socket):
    """Trade updates: another shape of messages, and JSON in binary frames."""

    def hear(self, said: dict[str, Any]) -> None:
        action, data = said.get("action"), said.get("data") or {}
        if action in ("auth", "authenticate"):
            key, secret = (said.get("key"), said.get("secret")) if action == "auth" else (
                data.get("key_id"), data.get("secret_key"))
            given = (str(data["oauth_token"]),) if "oauth_token" in data else (str(key), str(secret))
            fault = self.world.faults.take(("auth_error",), {"stream": "trading"})
            self.authenticated = self._fake.accepts(given) and fault is None
            status = "authorized" if self.authenticated else "unauthorized"
            self.send({"stream": "authorization", "data": {"status": status, "action": "authenticate"}}, control=True)
            if fault and fault["close"]:
                self.close_soon()
        elif action == "listen" and self.authenticated:
            # It replaces what was listened to before.
            self.streams = [stream for stream in data.get("streams", []) if stream == "trade_updates"]
            self.send({"stream": "listening", "data": {"streams": self.streams}}, control=True)
        else:
            why = "not authenticated" if action == "listen" else "invalid action"
            self.send({"stream": "listening", "data": {"error": why}}, control=True)

    def tell(self, update: dict[str, Any]) -> None:
        if self.authenticated and "trade_updates" in self.streams:
            self.send({"stream": "trade_updates", "data": update})


class Hub:
    """All connections."""

    def __init__(self, fake) -> None:
        self._fake = fake
        self.sockets: list[Socket] = []
        # Of server-sent events; None ends them.
        self.listeners: list[asyncio.Queue[dict[str, Any] | None]] = []
        self._count = 0
        self._lingering: list[tuple[str, str, float]] = []
        self._tasks: set[asyncio.Task] = set()
        self._collected: list[dict[str, Any]] | None = None

    def number(self, socket: Socket) -> int:
        self.sockets.append(socket)
        self._count += 1
        return self._count

    def forget(self, socket: Socket) -> None:
        if socket in self.sockets:
            self.sockets.remove(socket)
        self._fake.world.records.wake()

    def keep(self, task: asyncio.Task) -> None:
        """Until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- one connection a feed ----

    def linger(self, socket: Socket) -> None:
        """A socket that dropped keeps its place for a while."""
        settings, length = self._fake.world.settings, seconds(self._fake.world.settings.linger)
        self.forget(socket)
        if socket.authenticated and length:
            self._lingering.append((socket.feed, settings.linger_clock, self._time(settings.linger_clock) + length))

    def _time(self, clock: str) -> float:
        return self._fake.world.clock() if clock == "fake" else asyncio.get_running_loop().time() * SECOND

    def taken(self, feed: str) -> int:
        self._lingering = [place for place in self._lingering if place[2] > self._time(place[1])]
        open_now = [of for of in self.sockets if of.stream == "data" and of.feed == feed and of.authenticated]
        return len(open_now) + sum(1 for place in self._lingering if place[0] == feed)

    # ---- what the world says ----

    def publish(self, messages: list[tuple[str, str, dict]]) -> None:
        for socket in self.sockets:
            if not isinstance(socket, DataSocket):
                continue
            wanted = [message for channel, feed, message in messages if socket.wants(channel, feed, message)]
            if self._fake.world.settings.bars_in_frame == "all":
                wanted = [wanted] if wanted else []
            else:
                wanted = [[message] for message in wanted]
            for frame in wanted:
                socket.send(frame)

    def is_wanted(self, channel: str) -> bool:
        return any(socket.wanted[channel] for socket in self.sockets)

    def tell(self, update: dict[str, Any]) -> None:
        if self._collected is not None:
            self._collected.append(update)
            return
        for socket in self.sockets:
            if isinstance(socket, TradingSocket):
                socket.tell(update)
        for listener in self.listeners:
            listener.put_nowait(update)

    @contextlib.contextmanager
    def collected(self):
        """Trade updates that come meanwhile are kept, to be told before or after an answer."""
        self._collected = []
        try:
            yield self._collected
        finally:
            self._collected = None

    async def drain(self) -> None:
        """Until all is sent that is to be sent, or two seconds are over."""
        waiting = [asyncio.create_task(socket.queue.join()) for socket in self.sockets]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=2)
            for task in late:
                task.cancel()

    async def end_all(self, how: str = "abort", stream: str | None = None) -> int:
        ended = [socket for socket in self.sockets if stream in (None, socket.stream)]
        for socket in ended:
            await socket.end(how, payload=[] if socket.stream == "data" else {})
        if stream is None:
            for listener in self.listeners:
                listener.put_nowait(None)
        return len(ended)

    # ---- server-sent events ----

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Trade updates since an id or a time, and then all that come."""
        since_id, since = request.query.get("since_id"), request.query.get("since")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        listener: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        if since_id or since:
            for update in self._fake.world.broker.events:
                if update.get("event_id", "") > since_id if since_id else update["at"] >= since:
                    listener.put_nowait(update)
        self.listeners.append(listener)
        try:
            while (update := await listener.get()) is not None:
                await response.write(b"data: " + json.dumps(update).encode() + b"\n\n")
        except ConnectionError:
            pass
        finally:
            self.listeners.remove(listener)
        return response
