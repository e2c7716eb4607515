"""The fake itself: its clock, how it is told what to do, and requests that go wrong.

    python tests/alpaca/test_fake.py
"""
import datetime
import http.client
import pathlib
import re
import subprocess
import sys
import time
import unittest

import faults
import settings
from asking import KEYS, NOW, Fresh, bar, call, data, fake, minute, order, trade, until
from fake import Refused, Running

HERE = pathlib.Path(__file__).resolve().parent


class Time(Fresh):
    """Nothing moves by itself."""

    def test_the_clock_moves_only_when_told_to(self) -> None:
        self.assertEqual(trade("GET", "/v2/clock").json["timestamp"], "2026-01-05T10:30:00-05:00")
        time.sleep(0.05)
        self.assertEqual(fake.ask("clock")["now"], NOW)
        self.assertEqual(fake.tell("clock", advance="90s")["now"], "2026-01-05T15:31:30Z")
        with self.assertRaises(Refused):
            fake.tell("clock", set="2026-01-05T15:00:00Z")

    def test_it_runs_by_the_wall_clock_if_asked_to(self) -> None:
        fake.tell("clock", wall=True, speed=600)
        time.sleep(0.3)
        now = fake.tell("clock", wall=False)["now"]
        self.assertGreater(now, "2026-01-05T15:31:00Z")
        self.assertEqual(fake.ask("clock")["now"], now)

    def test_whether_the_market_is_open(self) -> None:
        def clock(at: str) -> tuple:
            fake.tell("reset", now=at)
            said = trade("GET", "/v2/clock").json
            return said["is_open"], said["next_open"], said["next_close"]
        self.assertEqual(clock("2026-01-05T14:29:59Z"),
                         (False, "2026-01-05T09:30:00-05:00", "2026-01-05T16:00:00-05:00"))
        self.assertEqual(clock("2026-01-05T14:30:00Z"),
                         (True, "2026-01-06T09:30:00-05:00", "2026-01-05T16:00:00-05:00"))
        self.assertEqual(clock("2026-01-03T17:00:00Z"),
                         (False, "2026-01-05T09:30:00-05:00", "2026-01-05T16:00:00-05:00"))
        self.assertEqual(clock("2026-11-27T18:00:00Z"),
                         (False, "2026-11-30T09:30:00-05:00", "2026-11-30T16:00:00-05:00"))

    def test_half_days_and_holidays(self) -> None:
        days = trade("GET", "/v2/calendar", start="2026-12-21", end="2027-01-04").json
        self.assertEqual([(day["date"][5:], day["close"]) for day in days],
                         [("12-21", "16:00"), ("12-22", "16:00"), ("12-23", "16:00"), ("12-24", "13:00"),
                          ("12-28", "16:00"), ("12-29", "16:00"), ("12-30", "16:00"), ("12-31", "16:00"),
                          ("01-04", "16:00")])
        self.assertEqual(days[3], {"date": "2026-12-24", "open": "09:30", "close": "13:00", "session_open": "0400",
                                   "session_close": "1700", "settlement_date": "2026-12-28"})

    def test_daylight_saving(self) -> None:
        days = trade("GET", "/v3/calendar/NYSE", start="2026-03-06", end="2026-03-09").json["calendar"]
        self.assertEqual([day["core_start"] for day in days],
                         ["2026-03-06T09:30:00-05:00", "2026-03-09T09:30:00-04:00"])
        days = trade("GET", "/v3/calendar/NYSE", start="2026-10-30", end="2026-11-02").json["calendar"]
        self.assertEqual([day["core_end"] for day in days], ["2026-10-30T16:00:00-04:00", "2026-11-02T16:00:00-05:00"])

    def test_the_calendar_of_version_3(self) -> None:
        said = trade("GET", "/v3/calendar/NYSE", start="2026-11-27", end="2026-11-27").json
        self.assertEqual(said["market"],
                         {"mic": "XNYS", "bic": "", "acronym": "NYSE", "name": "New York Stock Exchange",
                                          "timezone": "America/New_York"})
        self.assertEqual(said["calendar"], [{
            "date": "2026-11-27", "pre_start": "2026-11-27T04:00:00-05:00", "pre_end": "2026-11-27T09:30:00-05:00",
            "core_start": "2026-11-27T09:30:00-05:00", "core_end": "2026-11-27T13:00:00-05:00",
            "post_start": "2026-11-27T13:00:00-05:00", "post_end": "2026-11-27T17:00:00-05:00",
            "settlement_date": "2026-11-30"}])
        self.refused(trade("GET", "/v3/calendar/MARS"), 404, 40410000)

    def test_phases_of_the_clock_of_version_3(self) -> None:
        for at, phase, end in (("09:00:00Z", "pre", "09:30:00-05:00"), ("14:30:00Z", "core", "16:00:00-05:00"),
                               ("21:00:00Z", "post", "20:00:00-05:00")):
            fake.tell("reset", now=f"2026-01-05T{at}")
            clock = trade("GET", "/v3/clock", markets="NYSE").json["clocks"][0]
            self.assertEqual((clock["phase"], clock["phase_until"][11:]), (phase, end))
        clock = trade("GET", "/v3/clock", time="2026-01-04T12:00:00Z").json["clocks"][0]
        self.assertEqual((clock["phase"], clock["phase_until"], clock["is_market_day"]),
                         ("closed", "2026-01-05T04:00:00-05:00", False))

    def test_a_day_may_be_changed(self) -> None:
        fake.tell("calendar", date="2026-01-05", close="13:00")
        fake.tell("calendar", date="2026-01-06", close=None)
        clock = trade("GET", "/v2/clock").json
        self.assertEqual((clock["next_close"], clock["next_open"]),
                         ("2026-01-05T13:00:00-05:00", "2026-01-07T09:30:00-05:00"))
        fake.tell("messages", trades={"AAPL": [{"p": 120}]})
        fake.tell("positions", positions=[{"symbol": "AAPL", "qty": "1", "avg_entry_price": "100"}])
        fake.tell("clock", set="2026-01-05T18:00:00Z")
        self.assertEqual(trade("GET", "/v2/account").json["last_equity"], "100120")


class Requests(Fresh):
    """Faults of HTTP."""

    def test_skip_and_count(self) -> None:
        armed = fake.tell("faults", kind="answer", status=502, on={"path": "account"}, skip=1, count=2)
        self.assertEqual([trade("GET", "/v2/account").status for _ in range(4)], [200, 502, 502, 200])
        self.assertEqual(trade("GET", "/v2/clock").status, 200)
        found = fake.ask("faults")[0]
        self.assertEqual((found["id"], found["seen"], found["used"]), (armed["id"], 4, 2))
        fake.clear("faults", id=armed["id"])
        self.assertEqual(fake.ask("faults"), [])

    def test_errors_in_json_and_in_html(self) -> None:
        for status in (500, 502, 503, 504):
            fake.tell("faults", kind="answer", status=status, html="<h1>bad gateway</h1>")
            got = trade("GET", "/v2/account")
            self.assertEqual((got.status, got.headers["content-type"]), (status, "text/html"))
        fake.tell("faults", kind="answer", status=500, code=50010000, message="internal", headers={"Retry-After": "1"})
        got = trade("GET", "/v2/account")
        self.refused(got, 500, 50010000, "internal")
        self.assertEqual(got.headers["retry-after"], "1")
        fake.tell("faults", kind="answer", status=403, body={"message": "without a code"})
        self.assertEqual(trade("GET", "/v2/account").json, {"message": "without a code"})

    def test_too_many_requests(self) -> None:
        fake.tell("faults", kind="rate_limit", reset_in=3)
        got = trade("GET", "/v2/account")
        at = int(datetime.datetime(2026, 1, 5, 15, 30, 3, tzinfo=datetime.timezone.utc).timestamp())
        self.assertEqual((got.status, got.headers["x-ratelimit-remaining"], got.headers["x-ratelimit-reset"]),
                         (429, "0", str(at)))
        fake.tell("faults", kind="rate_limit", reset_in=3, clock="wall")
        reset = int(trade("GET", "/v2/account").headers["x-ratelimit-reset"])
        self.assertAlmostEqual(reset, time.time() + 3, delta=3)

    def test_limits_are_counted_if_a_test_wants_it(self) -> None:
        fake.tell("settings", enforce_rate_limit=True, rate_limit_trading=2)
        got = [trade("GET", "/v2/account") for _ in range(3)]
        self.assertEqual([(of.status, of.headers["x-ratelimit-remaining"]) for of in got],
                         [(200, "1"), (200, "0"), (429, "0")])
        self.assertEqual(data("/v2/stocks/bars/latest", symbols="AAPL").status, 200)
        fake.tell("clock", advance="1m")
        self.assertEqual(trade("GET", "/v2/account").status, 200)

    def test_every_answer_has_an_id_and_limits(self) -> None:
        got = [trade("GET", "/v2/account"), trade("GET", "/v2/nothing"), data("/v2/stocks/bars")]
        self.assertEqual(len({of.headers["x-request-id"] for of in got}), 3)
        self.assertTrue(all("x-ratelimit-reset" in of.headers for of in got))

    def test_keys_that_are_not_accepted(self) -> None:
        got = trade("GET", "/v2/account", headers={})
        self.refused(got, 401, 40110000)
        got = call("data", "GET", "/v2/stocks/bars", headers=KEYS | {"APCA-API-SECRET-KEY": "no"})
        self.assertEqual((got.status, got.headers["content-type"]), (401, "text/html"))
        fake.tell("faults", kind="html_401")
        self.assertIn("nginx", trade("GET", "/v2/account").text)
        fake.tell("settings", key="OTHER", secret="WORDS")
        self.assertEqual(trade("GET", "/v2/account").status, 401)

    def test_other_ways_to_say_who_asks(self) -> None:
        for value in ("Bearer FAKETOKEN", "Basic RkFLRUtFWTpGQUtFU0VDUkVU"):
            self.assertEqual(trade("GET", "/v2/account", headers={"Authorization": value}).status, 200)

    def test_an_order_that_is_accepted_and_not_answered(self) -> None:
        fake.tell("faults", kind="timeout", carry_out=True, on={"method": "POST"})
        with self.assertRaises(TimeoutError):
            trade("POST", "/v2/orders", {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "market",
                                         "time_in_force": "day", "client_order_id": "lost"}, timeout=0.2)
        self.assertEqual(trade("GET", "/v2/orders:by_client_order_id", client_order_id="lost").status, 200)
        self.refused(order(client_order_id="lost"), 422, 40010001, "client_order_id must be unique")

    def test_an_order_that_is_neither_accepted_nor_answered(self) -> None:
        for kind, fault in (("timeout", TimeoutError), ("drop", OSError)):
            fake.tell("faults", kind=kind, on={"method": "POST"})
            with self.assertRaises((fault, http.client.HTTPException)):
                trade("POST", "/v2/orders", {"symbol": "AAPL"}, timeout=0.2)
        self.refused(trade("GET", "/v2/orders:by_client_order_id", client_order_id="lost"), 404, 40410000)
        self.assertEqual(fake.ask("orders"), [])

    def test_a_timeout_ends_after_its_time(self) -> None:
        fake.tell("faults", kind="timeout", seconds=0.1)
        with self.assertRaises((OSError, http.client.HTTPException)):
            trade("GET", "/v2/account")

    def test_504_after_an_order_was_accepted(self) -> None:
        fake.tell("faults", kind="answer", status=504, carry_out=True, on={"method": "POST"})
        self.assertEqual(order(client_order_id="late").status, 504)
        self.refused(order(client_order_id="late"), 422, 40010001)
        self.assertEqual(len(fake.ask("orders")), 1)

    def test_half_an_answer(self) -> None:
        fake.tell("faults", kind="cut")
        with self.assertRaises(http.client.IncompleteRead):
            trade("GET", "/v2/account")

    def test_an_answer_that_is_late_or_no_json(self) -> None:
        fake.tell("faults", kind="delay", seconds=0.2)
        begun = time.monotonic()
        self.assertEqual(trade("GET", "/v2/account").status, 200)
        self.assertGreater(time.monotonic() - begun, 0.2)
        fake.tell("faults", kind="not_json")
        got = trade("GET", "/v2/account")
        self.assertEqual((got.status, got.text), (200, "<html>busy</html>"))

    def test_answers_are_edited(self) -> None:
        fake.tell("faults", kind="edit", on={"path": "/v2/account$"},
                  set={"status": "NEWLY_INVENTED", "more.inside": 1},
                  remove=["equity"])
        said = trade("GET", "/v2/account").json
        self.assertEqual((said["status"], said["more"], "equity" in said), ("NEWLY_INVENTED", {"inside": 1}, False))
        fake.tell("faults", kind="edit", set={"bars.AAPL.*.c": "text"}, remove=["bars.AAPL.0.vw"])
        said = data("/v2/stocks/bars", symbols="AAPL", timeframe="1Min", start="2026-01-05").json["bars"]["AAPL"][0]
        self.assertEqual((said["c"], "vw" in said), ("text", False))

    def test_everything_is_recorded(self) -> None:
        order(client_order_id="noted")
        found = fake.ask("requests", method="POST", path="^/v2/orders$")[0]
        self.assertEqual((found["host"], found["body"]["client_order_id"], found["status"], found["at"]),
                         ("trading", "noted", 200, NOW))
        self.assertEqual(found["headers"]["apca-api-key-id"], "FAKEKEY")
        data("/v2/stocks/bars", symbols="AAPL")
        found = fake.ask("requests", host="data", since=found["n"])
        self.assertEqual([(of["query"]["symbols"], of["status"]) for of in found], [("AAPL", 400)])
        fake.clear("requests")
        self.assertEqual(fake.ask("requests"), [])

    def test_waiting_for_a_request(self) -> None:
        trade("GET", "/v2/account")
        self.assertEqual(len(fake.wait(path="account", timeout=1)), 1)
        with self.assertRaises(Refused):
            fake.wait(path="account", count=2, timeout=0.05)

    def test_calls_belong_to_their_host(self) -> None:
        self.assertEqual(data("/v2/account").status, 404)
        self.assertEqual(trade("GET", "/v2/stocks/bars").status, 404)
        self.assertEqual(trade("PUT", "/v2/account").status, 405)


class TheFake(Fresh):
    """How it is told what to do."""

    def test_what_it_does_not_understand_is_refused(self) -> None:
        for path, said in (("settings", {"nothing": 1}), ("settings", {"fill_rule": "luck"}),
                           ("settings", {"grace": "1"}),
                           ("faults",
                            {"kind": "sneeze"}), ("faults",
                                                  {"kind": "drop",
                                                   "color": 1}), ("faults", {"kind": "drop", "on": {"path": "("}}),
                           ("bars", {}), ("bars", {"bars": {"AAPL": [bar("15:29", 1, 1, 1, 1)]}}),
                           ("bars", {"bars": {"AAPL": [bar("15:40", 1, 0.5, 1, 1)]}}),
                           ("bars", {"bars": {"AAPL": [bar("2026-01-05T15:40:30Z", 1, 1, 1, 1)]}}),
                           ("bars", {"timeframe": "5Min", "bars": {"AAPL": [bar("15:40", 1, 1, 1, 1)]}}),
                           ("corrections", {"bars": {"AAPL": [bar("15:40", 1, 1, 1, 1)]}}),
                           ("messages", {"gossip": {}}), ("messages", {"quotes": {"AAPL": [{"bp": 1}]}}),
                           ("corporate_actions",
                            {"lottery": []}), ("account", {"luck": 1}), ("clock", {"advance": "soon"}),
                           ("clock",
                            {"forward": 1}), ("fill", {"order": "none", "price": 1}), ("drop", {"how": "gently"}),
                           ("order_event",
                            {"order": "none", "event": "new"}), ("calendar", {"date": "2026-13-01", "close": None})):
            with self.subTest((path, said)), self.assertRaises(Refused):
                fake.tell(path, said)

    def test_a_refused_change_of_settings_changes_nothing(self) -> None:
        with self.assertRaises(Refused):
            fake.tell("settings", grace=5, fill_rule="luck")
        self.assertEqual(fake.ask("settings")["grace"], 1)

    def test_two_runs_are_the_same(self) -> None:
        def run() -> list:
            self.setUp()
            fake.tell("faults", kind="partial_fill", qty="4")
            order(order_class="oto", stop_loss={"stop_price": "95"})
            for at in ("15:30", "15:31"):
                minute(at, 101, 101, 101, 101)
            until("21:00")
            return fake.ask("events")
        self.assertEqual(run(), run())

    def test_the_clock_says_what_is_next(self) -> None:
        self.assertEqual(fake.ask("clock"),
                         {"now": NOW, "date": "2026-01-05", "next": "2026-01-05T21:00:00Z", "phase": "core"})

    def test_it_ends_with_who_started_it_and_after_its_lifetime(self) -> None:
        other = Running()
        other.close()
        self.assertEqual(other._process.returncode, 0)
        program = [sys.executable, str(HERE / "fake.py"), "--stay", "--lifetime", "0.1"]
        self.assertEqual(subprocess.run(program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        timeout=10).returncode, 0)

    def test_it_listens_on_this_machine_only(self) -> None:
        self.assertTrue(all("//127.0.0.1:" in at for name, at in fake.at.items() if name not in ("key", "secret")))

    def test_the_page_names_every_setting_every_fault_and_every_path(self) -> None:
        page = (HERE / "README.md").read_text()
        named = set(re.findall(r"`(\w+)`", page))
        self.assertEqual((set(settings.ALL) | set(faults.KINDS)) - named, set())
        paths = set(re.findall(r'"(\w+)": (?:self\._|lambda said|lambda:)', (HERE / "control.py").read_text()))
        self.assertEqual(paths - named, set())


if __name__ == "__main__":
    unittest.main()
