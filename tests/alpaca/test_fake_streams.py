"""The fake's two sockets, and every fault of theirs.

    python tests/alpaca/test_fake_streams.py
"""
import http.client
import json
import time
import unittest
import urllib.parse
from typing import Any

import msgpack
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from asking import AUTH, KEYS, NOW, Fresh, bar, events, fake, minute, order, trade, until


class Sockets(Fresh):
    """What a client of both sockets sees."""

    def connect(self, feed: str = "sip", binary: bool = False,
                headers: dict[str, str] | None = None) -> ClientConnection:
        more = {"Content-Type": "application/msgpack"} if binary else {}
        return self.opened(f"{fake.at['data_stream']}/v2/{feed}", more | (headers or {}))

    def opened(self, address: str, headers: dict[str, str] | None = None) -> ClientConnection:
        return self.enterContext(connect(address, additional_headers=headers, open_timeout=5, close_timeout=0.2,
                                         ping_interval=None))

    @staticmethod
    def read(socket: ClientConnection, timeout: float = 5) -> Any:
        frame = socket.recv(timeout)
        return msgpack.unpackb(frame) if isinstance(frame,
                                                    bytes) and frame[:1] not in (b"{", b"[") else json.loads(frame)

    def silent(self, socket: ClientConnection) -> None:
        with self.assertRaises(TimeoutError):
            self.read(socket, 0.05)

    def subscribed(self, **channels: list[str]) -> ClientConnection:
        socket = self.connect()
        socket.send(json.dumps(AUTH))
        socket.send(json.dumps({"action": "subscribe",
                                **(channels or {"bars": ["*"], "updatedBars": ["*"], "statuses": ["*"]})}))
        self.assertEqual([self.read(socket)[0]["T"] for _ in range(3)], ["success", "success", "subscription"])
        return socket

    def listening(self) -> ClientConnection:
        socket = self.opened(fake.at["trading_stream"])
        socket.send(json.dumps(AUTH))
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        self.assertEqual([self.read(socket)["stream"] for _ in range(2)], ["authorization", "listening"])
        return socket

    def ends(self, socket: ClientConnection) -> None:
        with self.assertRaises(ConnectionClosed):
            for _ in range(5):
                socket.recv(2)

    def freed(self) -> None:
        """The place of a connection that ended."""
        end = time.monotonic() + 3
        while fake.ask("connections") and time.monotonic() < end:
            time.sleep(0.01)


class MarketStream(Sockets):
    """/v2/sip."""

    def test_from_connection_to_subscription(self) -> None:
        socket = self.connect()
        self.assertEqual(self.read(socket), [{"T": "success", "msg": "connected"}])
        socket.send(json.dumps({"action": "subscribe", "bars": ["*"]}))
        self.assertEqual(self.read(socket), [{"T": "error", "code": 401, "msg": "not authenticated"}])
        socket.send(json.dumps(AUTH | {"secret": "wrong"}))
        self.assertEqual(self.read(socket), [{"T": "error", "code": 402, "msg": "auth failed"}])
        socket.send(json.dumps(AUTH))
        self.assertEqual(self.read(socket), [{"T": "success", "msg": "authenticated"}])
        socket.send(json.dumps(AUTH))
        self.assertEqual(self.read(socket)[0]["code"], 403)
        for bad in ("nonsense", "[]", json.dumps({"action": "dance"}),
                    json.dumps({"action": "subscribe", "bars": "AAPL"}),
                    json.dumps({"action": "subscribe", "barz": ["AAPL"]})):
            socket.send(bad)
            self.assertEqual(self.read(socket), [{"T": "error", "code": 400, "msg": "invalid syntax"}])
        socket.send(json.dumps({"action": "subscribe", "trades": ["AAPL"], "bars": ["*"]}))
        full = {"T": "subscription", "trades": ["AAPL"], "quotes": [], "bars": ["*"], "updatedBars": [],
                "dailyBars": [],
                "statuses": [], "lulds": [], "imbalances": [], "corrections": ["AAPL"], "cancelErrors": ["AAPL"]}
        self.assertEqual(self.read(socket), [full])
        socket.send(json.dumps({"action": "unsubscribe", "trades": ["AAPL"]}))
        self.assertEqual(self.read(socket), [full | {"trades": [], "corrections": [], "cancelErrors": []}])

    def test_keys_in_the_handshake(self) -> None:
        socket = self.connect(headers=KEYS)
        self.assertEqual([self.read(socket)[0]["msg"] for _ in range(2)], ["connected", "authenticated"])

    def test_json_and_msgpack_say_the_same(self) -> None:
        fake.tell("settings", max_connections=2)
        text, binary = self.connect(headers=KEYS), self.connect(headers=KEYS, binary=True)
        for socket in (text, binary):
            said = {"action": "subscribe", "bars": ["AAPL"], "trades": ["AAPL"]}
            socket.send(msgpack.packb(said) if socket is binary else json.dumps(said))
            for _ in range(3):
                self.read(socket)
        fake.tell("messages", trades={"AAPL": [{"t": "2026-01-05T15:30:00.123456789Z", "p": 100.5}]})
        minute("15:30", 101, 102, 100, 101.5)
        until("15:31")
        for _ in range(2):
            one, other = self.read(text)[0], self.read(binary)[0]
            stamp = other.pop("t")
            self.assertIsInstance(stamp, msgpack.Timestamp)
            self.assertEqual(one.pop("t")[:19], stamp.to_datetime().strftime("%Y-%m-%dT%H:%M:%S"))
            self.assertEqual(one, other)
        self.assertEqual(one["T"], "b")

    def test_bars_of_a_minute_come_in_one_frame(self) -> None:
        socket = self.subscribed()
        fake.tell("bars", bars={symbol: [bar("15:30", 1, 1, 1, 1)] for symbol in ("AAPL", "MSFT")})
        until("15:31")
        self.assertEqual([of["S"] for of in self.read(socket)], ["AAPL", "MSFT"])
        fake.tell("settings", bars_in_frame="one")
        fake.tell("bars", bars={symbol: [bar("15:31", 1, 1, 1, 1)] for symbol in ("AAPL", "MSFT")})
        until("15:32")
        self.assertEqual([[of["S"] for of in self.read(socket)] for _ in range(2)], [["AAPL"], ["MSFT"]])

    def test_only_what_is_subscribed(self) -> None:
        socket = self.subscribed(bars=["MSFT"])
        minute("15:30", 1, 1, 1, 1)
        fake.tell("messages", trades={"MSFT": [{"p": 1}]})
        until("15:31")
        self.silent(socket)

    def test_a_bar_may_be_late(self) -> None:
        fake.tell("settings", bar_delay=3)
        socket = self.subscribed()
        minute("15:30", 1, 1, 1, 1)
        until("15:31")
        self.silent(socket)
        fake.tell("clock", advance="3s")
        self.assertEqual(self.read(socket)[0]["T"], "b")

    def test_a_late_trade_updates_a_bar_half_a_minute_later(self) -> None:
        socket = self.subscribed()
        minute("15:30", 1, 1, 1, 1)
        fake.tell("corrections", bars={"AAPL": [bar("15:30", 1, 2, 1, 2)]})
        until("15:31")
        self.assertEqual(self.read(socket)[0]["c"], 1)
        fake.tell("clock", advance="29s")
        self.silent(socket)
        fake.tell("clock", advance="1s")
        self.assertEqual([(of["T"], of["c"]) for of in self.read(socket)], [("u", 2)])

    def test_the_day_so_far_each_minute(self) -> None:
        socket = self.subscribed(dailyBars=["AAPL"])
        minute("15:30", 103, 104, 102, 103)
        until("15:31")
        self.assertEqual([(of["T"], of["o"], of["h"], of["c"]) for of in self.read(socket)], [("d", 100, 104, 103)])

    def test_halts_limits_and_imbalances(self) -> None:
        socket = self.subscribed(statuses=["*"], lulds=["*"], imbalances=["*"])
        fake.tell("messages", statuses={"AAPL": [{"sc": "H", "sm": "Trading Halt", "rc": "LUDP", "rm": "Volatility"}]})
        self.assertEqual(self.read(socket), [{"T": "s", "S": "AAPL", "sc": "H", "sm": "Trading Halt", "rc": "LUDP",
                                              "rm": "Volatility", "t": NOW, "z": "C"}])
        fake.tell("messages", lulds={"AAPL": [{"u": 110, "d": 90}]})
        self.assertEqual((self.read(socket)[0]["u"]), 110)
        fake.tell("messages", imbalances={"AAPL": [{"p": 100}]})
        self.assertEqual(self.read(socket)[0]["T"], "i")

    def test_feeds_have_bars_of_their_own(self) -> None:
        fake.tell("bars", feed="iex", bars={"AAPL": [bar("15:30", 7, 7, 7, 7)]})
        minute("15:30", 1, 1, 1, 1)
        sip = self.subscribed()
        iex = self.connect("iex", headers=KEYS)
        iex.send(json.dumps({"action": "subscribe", "bars": ["*"]}))
        for _ in range(3):
            self.read(iex)
        until("15:31")
        self.assertEqual(([of["c"] for of in self.read(sip)], [of["c"] for of in self.read(iex)]), ([1], [7]))
        self.silent(iex)

    def test_a_second_connection_is_one_too_many(self) -> None:
        self.subscribed()
        second = self.connect()
        second.send(json.dumps(AUTH))
        self.read(second)
        self.assertEqual(self.read(second), [{"T": "error", "code": 406, "msg": "connection limit exceeded"}])
        self.ends(second)
        other_feed = self.connect("iex", headers=KEYS)
        self.assertEqual([self.read(other_feed)[0]["T"] for _ in range(2)], ["success", "success"])

    def test_a_dropped_socket_keeps_its_place_for_a_while(self) -> None:
        fake.tell("settings", linger=5, linger_clock="fake", close_after_406=False)
        self.subscribed()
        fake.tell("drop", stream="data", how="abort")
        socket = self.connect(headers=KEYS)
        self.assertEqual([self.read(socket)[0].get("code") for _ in range(2)], [None, 406])
        fake.tell("clock", advance="5s")
        socket.send(json.dumps(AUTH))
        self.assertEqual(self.read(socket)[0]["msg"], "authenticated")

    def test_limits_and_subscriptions(self) -> None:
        fake.tell("settings", symbol_limit=1, refused_channels=["imbalances"])
        socket = self.subscribed(bars=["AAPL"])
        socket.send(json.dumps({"action": "subscribe", "bars": ["MSFT"]}))
        self.assertEqual(self.read(socket)[0]["code"], 405)
        self.assertEqual(fake.ask("connections")[0]["subscribed"], {"bars": ["AAPL"]})
        socket.send(json.dumps({"action": "subscribe", "imbalances": ["AAPL"]}))
        self.assertEqual(self.read(socket)[0]["code"], 410)
        fake.tell("settings", realtime_sip=False)
        poor = self.connect(headers=KEYS)
        self.assertEqual([self.read(poor)[0].get("code") for _ in range(2)], [None, 409])

    def test_who_does_not_say_who_it_is(self) -> None:
        fake.tell("settings", auth_timeout=0.1)
        socket = self.connect()
        self.assertEqual([self.read(socket)[0].get("code") for _ in range(2)], [None, 404])
        self.ends(socket)

    def test_large_messages_in_pieces(self) -> None:
        socket = self.connect(headers=KEYS)
        said = json.dumps({"action": "subscribe", "bars": [f"SYM{n}" for n in range(5000)]})
        socket.send([said[at:at + 32_768] for at in range(0, len(said), 32_768)])
        for _ in range(3):
            last = self.read(socket)
        self.assertEqual(len(last[0]["bars"]), 5000)

    def test_pings_are_answered(self) -> None:
        self.assertTrue(self.subscribed().ping().wait(2))


class BadFrames(Sockets):
    """Faults of the market data stream."""

    def frames(self, count: int, kind: str, **fault: Any) -> list[Any]:
        """What comes of two bars of two symbols."""
        socket = self.subscribed()
        fake.tell("faults", kind=kind, **fault)
        self.two_minutes()
        self.socket = socket
        return [self.read(socket) for _ in range(count)]

    @staticmethod
    def two_minutes() -> None:
        for at, end in (("15:30", "15:31"), ("15:31", "15:32")):
            fake.tell("bars", bars={symbol: [bar(at, 1, 1, 1, 1)] for symbol in ("AAPL", "MSFT")})
            until(end)

    @staticmethod
    def starts(frames: list[Any]) -> list[list[str]]:
        return [[f"{of['S'][0]}{of['t'][14:16]}" for of in frame] for frame in frames]

    def test_a_duplicate(self) -> None:
        self.assertEqual(self.starts(self.frames(3, "duplicate")), [["A30", "M30"], ["A30", "M30"], ["A31", "M31"]])

    def test_a_bar_is_lost(self) -> None:
        self.assertEqual(self.starts(self.frames(1, "lose")), [["A31", "M31"]])

    def test_symbols_out_of_order(self) -> None:
        self.assertEqual(self.starts(self.frames(2, "reverse")), [["M30", "A30"], ["A31", "M31"]])

    def test_bars_out_of_order(self) -> None:
        self.assertEqual(self.starts(self.frames(2, "hold_back")), [["A31", "M31"], ["A30", "M30"]])

    def test_one_symbol_only(self) -> None:
        fake.tell("settings", bars_in_frame="one")
        self.assertEqual(self.starts(self.frames(3, "hold_back", on={"S": "AAPL", "T": "b"}, frames=2)),
                         [["M30"], ["A31"], ["A30"]])

    def test_a_frame_that_is_no_message(self) -> None:
        with self.assertRaises(ValueError):
            self.frames(1, "corrupt")

    def test_a_message_in_several_frames(self) -> None:
        self.assertEqual(self.starts(self.frames(2, "fragment")), [["A30", "M30"], ["A31", "M31"]])

    def test_a_message_of_an_unknown_kind(self) -> None:
        self.assertEqual(self.frames(1, "unknown_kind", message={"T": "zz"})[0][2], {"T": "zz"})

    def test_a_message_is_edited(self) -> None:
        frame = self.frames(1, "edit_message", set={"0.c": None}, remove=["*.vw"])[0]
        self.assertEqual((frame[0]["c"], frame[1]["c"], "vw" in frame[1]), (None, 1, False))

    def test_an_error_frame(self) -> None:
        frames = self.frames(3, "error_frame", code=500, msg="internal error")
        self.assertEqual([frame[0]["T"] for frame in frames], ["b", "error", "b"])

    def test_a_slow_client_is_told_and_dropped(self) -> None:
        self.assertEqual(self.frames(1, "slow_client"), [[{"T": "error", "code": 407, "msg": "slow client"}]])
        self.ends(self.socket)

    def test_the_socket_ends(self) -> None:
        for how in ("mid_frame", "abort", "close"):
            with self.subTest(how):
                self.setUp()
                self.frames(0, "drop_socket", how=how)
                with self.assertRaises(ConnectionClosed) as closed:
                    self.read(self.socket)
                code = closed.exception.rcvd.code if closed.exception.rcvd else None
                self.assertEqual(code, 1011 if how == "close" else None)
                self.freed()

    def test_half_a_frame_is_on_the_wire(self) -> None:
        self.subscribed()
        fake.tell("faults", kind="drop_socket")
        self.two_minutes()
        self.freed()
        self.assertEqual(fake.ask("connections"), [])

    def test_a_silent_socket_stays_open_and_answers_pings(self) -> None:
        self.frames(0, "silent")
        self.silent(self.socket)
        self.assertTrue(self.socket.ping().wait(1))
        self.assertEqual(len(fake.ask("requests", direction="lost")), 2)
        self.assertTrue(fake.ask("connections")[0]["silent"])

    def test_a_silent_socket_without_pongs(self) -> None:
        self.frames(0, "silent", pongs=False)
        self.assertFalse(self.socket.ping().wait(0.2))

    def test_a_new_connection_is_not_silent(self) -> None:
        self.frames(0, "silent")
        self.socket.close()
        self.freed()
        again = self.subscribed()
        minute("15:32", 1, 1, 1, 1)
        until("15:33")
        self.assertEqual(self.read(again)[0]["T"], "b")

    def test_a_handshake_is_refused(self) -> None:
        fake.tell("faults", kind="refuse_handshake", status=429)
        with self.assertRaises(InvalidStatus) as refused:
            self.connect()
        self.assertEqual(refused.exception.response.status_code, 429)
        self.assertEqual(fake.ask("requests", host="data_stream")[0]["status"], 429)

    def test_nothing_is_said_at_all(self) -> None:
        fake.tell("faults", kind="no_answer")
        self.silent(self.connect())

    def test_authentication_fails(self) -> None:
        fake.tell("faults", kind="auth_error", code=402, msg="auth failed")
        socket = self.connect(headers=KEYS)
        self.assertEqual([self.read(socket)[0].get("code") for _ in range(2)], [None, 402])
        self.ends(socket)

    def test_an_error_instead_of_a_subscription_or_after_it(self) -> None:
        for instead, kinds in ((True, ["error"]), (False, ["subscription", "error"])):
            self.setUp()
            fake.tell("faults", kind="subscribe_error", code=409, msg="insufficient subscription", instead=instead)
            socket = self.connect(headers=KEYS)
            socket.send(json.dumps({"action": "subscribe", "bars": ["*"]}))
            for _ in range(2):
                self.read(socket)
            self.assertEqual([self.read(socket)[0]["T"] for _ in kinds], kinds)
            self.assertEqual(fake.ask("connections")[0]["subscribed"], {} if instead else {"bars": ["*"]})
            socket.close()
            self.freed()

    def test_control_messages_are_hit_only_by_name(self) -> None:
        fake.tell("faults", kind="lose", on={"T": "subscription"})
        socket = self.connect(headers=KEYS)
        socket.send(json.dumps({"action": "subscribe", "bars": ["*"]}))
        for _ in range(2):
            self.read(socket)
        self.silent(socket)

    def test_any_frame_at_any_time(self) -> None:
        socket = self.subscribed()
        self.assertEqual(fake.tell("send", stream="data", frame=[{"T": "error", "code": 407, "msg": "slow client"}]),
                         {"sent": 1})
        self.assertEqual(self.read(socket)[0]["code"], 407)


class TradeStream(Sockets):
    """/stream."""

    def test_frames_are_binary_and_hold_json(self) -> None:
        socket = self.listening()
        order(client_order_id="seen")
        frame = socket.recv(2)
        self.assertIsInstance(frame, bytes)
        said = json.loads(frame)
        self.assertEqual((said["stream"], said["data"]["event"], said["data"]["order"]["client_order_id"]),
                         ("trade_updates", "pending_new", "seen"))
        fake.tell("settings", trade_frames="text")
        order(type="limit", limit_price="90")
        self.read(socket)
        self.assertIsInstance(socket.recv(2), str)

    def test_a_fill_says_price_quantity_and_position(self) -> None:
        socket = self.listening()
        order()
        minute("15:30", 101, 101, 101, 101)
        until("15:31")
        said = [self.read(socket)["data"] for _ in range(3)][-1]
        self.assertEqual((said["event"], said["price"], said["qty"], said["position_qty"], said["timestamp"]),
                         ("fill", "101", "10", "10", "2026-01-05T15:30:01Z"))
        self.assertEqual(said["order"]["status"], "filled")

    def test_both_ways_to_say_who_listens(self) -> None:
        for said, status in (({"action": "authenticate", "data": {"key_id": "FAKEKEY", "secret_key": "FAKESECRET"}},
                              "authorized"),
                             (AUTH, "authorized"), (AUTH | {"key": "no"}, "unauthorized")):
            socket = self.opened(fake.at["trading_stream"])
            socket.send(json.dumps(said))
            self.assertEqual(self.read(socket),
                             {"stream": "authorization", "data": {"status": status, "action": "authenticate"}})
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        self.assertIn("error", self.read(socket)["data"])

    def test_listen_replaces_what_was_listened_to(self) -> None:
        socket = self.listening()
        socket.send(json.dumps({"action": "listen", "data": {"streams": []}}))
        self.assertEqual(self.read(socket), {"stream": "listening", "data": {"streams": []}})
        order()
        self.silent(socket)

    def test_ids_of_events_sort_and_may_be_missing(self) -> None:
        order()
        ids = [event["event_id"] for event in fake.ask("events")]
        self.assertEqual((sorted(ids), len(ids[0])), (ids, 26))
        fake.tell("settings", event_ids=False)
        order()
        self.assertNotIn("event_id", fake.ask("events")[-1])

    def test_an_update_is_lost_or_comes_twice_or_late(self) -> None:
        socket = self.listening()
        fake.tell("faults", kind="lose", on={"event": "^new$"})
        fake.tell("faults", kind="duplicate", on={"event": "^fill$"})
        order()
        minute("15:30", 101, 101, 101, 101)
        until("15:31")
        self.assertEqual([self.read(socket)["data"]["event"] for _ in range(3)], ["pending_new", "fill", "fill"])
        fake.tell("faults", kind="hold_back", on={"event": "^pending_new$"})
        order()
        self.assertEqual([self.read(socket)["data"]["event"] for _ in range(2)], ["new", "pending_new"])

    def test_updates_before_or_after_the_answer(self) -> None:
        for first in (True, False):
            fake.tell("settings", events_first=first)
            order(type="limit", limit_price="90")
        # Told later, they still come in order, and none is lost.
        self.assertEqual(events(), ["pending_new", "new"] * 2)

    def test_the_updates_are_server_sent_events_too(self) -> None:
        order()
        first = fake.ask("events")[0]["event_id"]
        at = urllib.parse.urlsplit(fake.at["trading"])
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=3)
        self.addCleanup(connection.close)
        connection.request("GET", f"/v2/events/trades?since_id={first}", headers=KEYS)
        answer = connection.getresponse()
        self.assertEqual(answer.getheader("Content-Type"), "text/event-stream")
        def event() -> str:
            line = answer.readline().decode()
            answer.readline()
            return json.loads(line.removeprefix("data: "))["event"]
        self.assertEqual(event(), "new")
        order()
        self.assertEqual([event(), event()], ["pending_new", "new"])
        fake.tell("reset")
        self.assertEqual(answer.read(), b"")
        self.assertEqual(trade("GET", "/v2/events/trades", headers={}).status, 401)

    def test_authentication_may_fail_once(self) -> None:
        fake.tell("faults", kind="auth_error", on={"stream": "trading"})
        socket = self.opened(fake.at["trading_stream"])
        socket.send(json.dumps(AUTH))
        self.assertEqual(self.read(socket)["data"]["status"], "unauthorized")
        self.ends(socket)


if __name__ == "__main__":
    unittest.main()
