"""What the fake does with orders: refusals, fills, groups, races; and the account that they change.

    python tests/alpaca/test_fake_orders.py
"""
import unittest
from typing import Any

from asking import NOW, Fresh, Got, bar, events, fake, hold, minute, order, state, trade, until
from fake import Refused


class Refusals(Fresh):
    """A refusal creates nothing."""

    def tearDown(self) -> None:
        self.assertEqual([of for of in fake.ask("orders") if of["client_order_id"] != "first"], [])

    def test_what_is_malformed(self) -> None:
        for bad in ({"symbol": None}, {"side": None}, {"side": "long"}, {"type": "stopp"}, {"type": None},
                    {"qty": None},
                    {"notional": "5"}, {"qty": "0"}, {"qty": "-1"}, {"qty": "ten"}, {"time_in_force": "gtd"},
                    {"type": "limit"}, {"type": "stop"}, {"type": "stop_limit", "stop_price": 1}, {"limit_price": 5},
                    {"stop_price": 5}, {"trail_price": 5}, {"type": "trailing_stop"},
                    {"type": "trailing_stop", "trail_price": 1, "trail_percent": 1}, {"order_class": "pair"},
                    {"client_order_id": "x" * 129}, {"order_class": "bracket"}, {"order_class": "oto"},
                    {"order_class": "bracket", "take_profit": {"limit_price": 110}}, {"stop_loss": {"stop_price": 90}},
                    {"order_class": "oto",
                     "stop_loss": {"limit_price": 90}}, {"order_class": "oto", "stop_loss": {"trail_price": 1}},
                    {"order_class": "oto", "take_profit": {"limit_price": 110}, "stop_loss": {"stop_price": 90}}):
            with self.subTest(bad):
                self.refused(order(**bad), 422, 40010001)
        self.assertEqual(trade("POST", "/v2/orders", ["no object"]).status, 400)

    def test_what_is_not_allowed(self) -> None:
        limit = {"type": "limit", "limit_price": "100"}
        stop = {"stop_loss": {"stop_price": "90"}}
        for bad, words in (
                (limit | {"limit_price": "100.001"}, "sub-penny"), (limit | {"limit_price": "0.12345"}, "sub-penny"),
                ({"qty": "1.5", "time_in_force": "gtc"}, "fractional orders must be DAY orders"),
                ({"qty": None, "notional": "9", "time_in_force": "ioc"}, "fractional orders must be DAY orders"),
                ({"extended_hours": True}, "extended hours order must be DAY or GTC limit orders"),
                (limit | {"extended_hours": True, "time_in_force": "ioc"}, "extended hours order must be"),
                ({"type": "stop", "stop_price": "110", "time_in_force": "opg"}, "opg orders"),
                ({"type": "trailing_stop", "trail_price": "1", "time_in_force": "cls"}, "cls orders"),
                ({"type": "trailing_stop", "trail_price": "1", "time_in_force": "fok"}, "trailing_stop orders"),
                (stop | {"order_class": "oto", "time_in_force": "ioc"}, "must be DAY or GTC"),
                (stop | {"order_class": "oto", "qty": "1.5"}, "must be simple orders"),
                (stop | {"order_class": "oto", "qty": None, "notional": "100"}, "must be simple orders"),
                (stop | {"order_class": "oto", "type": "trailing_stop", "trail_price": "1"}, "must be simple orders"),
                (stop | {"order_class": "oco", "take_profit": {"limit_price": "110"}},
                 "oco orders must be limit orders"),
                (limit | stop | {"order_class": "oco", "take_profit": {"limit_price": "110"}, "side": "sell"},
                 "exit orders"),
                ({"order_class": "mleg"}, "not supported")):
            with self.subTest(bad):
                self.refused(order(**bad), 422, 42210000, words)

    def test_four_decimals_below_a_dollar(self) -> None:
        self.assertEqual(order(type="limit", limit_price="0.1234", client_order_id="first").status, 200)

    def test_legs_in_extended_hours(self) -> None:
        bad = order(order_class="oto", stop_loss={"stop_price": "90"}, extended_hours=True, type="limit",
                    limit_price="100")
        self.refused(bad, 403, 40310000)

    def test_a_stop_at_the_base_price(self) -> None:
        for side, stop, words in (("buy", "99.995", None), ("buy", "100", "<= base_price - 0.01"),
                                  ("buy", "101", "<= base_price - 0.01"), ("sell", "100", ">= base_price + 0.01")):
            if words:
                said = self.refused(order(side=side, order_class="oto", stop_loss={"stop_price": stop}), 422, 42210000,
                                    words)
                self.assertEqual(said["base_price"], "100")
        said = self.refused(order(order_class="bracket", stop_loss={"stop_price": "90"},
                                  take_profit={"limit_price": "100"}),
                            422, 42210000, "take_profit.limit_price must be >= base_price + 0.01")
        self.assertEqual(said["base_price"], "100")
        self.refused(order(order_class="bracket", stop_loss={"stop_price": "95"}, take_profit={"limit_price": "94"}),
                     422, 42210000, "must be > stop_loss.stop_price")
        self.refused(order(type="limit", limit_price="80", order_class="oto", stop_loss={"stop_price": "85"}), 422,
                     42210000)

    def test_a_second_order_of_the_same_name(self) -> None:
        first = order(client_order_id="first", type="limit", limit_price="1")
        self.refused(order(client_order_id="first"), 422, 40010001, "client_order_id must be unique")
        trade("DELETE", f"/v2/orders/{first.json['id']}")
        self.refused(order(client_order_id="first"), 422, 40010001)
        fake.tell("settings", duplicate_ids="open")
        self.assertEqual(order(client_order_id="first", type="limit", limit_price="1").status, 200)

    def test_money(self) -> None:
        said = self.refused(order(qty="2001"), 403, 40310000, "insufficient buying power")
        self.assertEqual((said["buying_power"], said["cost_basis"]), ("200000", "200100"))
        self.assertEqual(order(qty="1999", client_order_id="first", type="limit", limit_price="100").status, 200)
        self.refused(order(qty="2"), 403, 40310000, "insufficient buying power")

    def test_shares(self) -> None:
        hold("5")
        said = self.refused(order(side="sell", qty="6"), 403, 40310000,
                            "insufficient qty available for order (requested: 6, available: 5)")
        self.assertEqual((said["existing_qty"], said["held_for_orders"], said["symbol"]), ("5", "0", "AAPL"))
        order(side="sell", qty="5", client_order_id="first", type="stop", stop_price="90")
        said = self.refused(order(side="sell", qty="1"), 403, 40310000, "available: 0")
        self.assertEqual(said["held_for_orders"], "5")

    def test_short_sales(self) -> None:
        self.refused(order(side="sell", qty="1.5"), 422, 42210000)
        fake.tell("assets", assets=[{"symbol": "AAPL", "shortable": False}])
        self.refused(order(side="sell"), 422, 42210000, "cannot be sold short")
        fake.tell("account", shorting_enabled=False)
        self.refused(order(side="sell"), 403, 40310000, "account is not allowed to short")

    def test_wash_trades(self) -> None:
        order(type="limit", limit_price="95", client_order_id="first")
        said = self.refused(order(side="sell"), 403, 40310000, "potential wash trade detected")
        self.assertEqual(said["reject_reason"], "opposite side limit order exists")
        self.refused(order(side="sell", type="limit", limit_price="95"), 403, 40310000)
        self.assertEqual(order(side="sell", type="limit", limit_price="96", client_order_id="first2").status, 200)
        fake.tell("settings", wash_check=False, duplicate_ids="open")
        trade("DELETE", "/v2/orders")
        fake.tell("reset", now=NOW)

    def test_assets_and_accounts_that_do_not_trade(self) -> None:
        fake.tell("assets", assets=[{"symbol": "GONE", "tradable": False}, {"symbol": "WHOLE", "fractionable": False}])
        self.refused(order(symbol="GONE"), 422, 42210000, "not tradable")
        self.refused(order(symbol="WHOLE", qty="1.5"), 403, 40310000, "not fractionable")
        fake.tell("settings", unknown_assets="refuse")
        self.refused(order(symbol="NEVER"), 422, 42210000, "not found")
        self.refused(trade("GET", "/v2/assets/NEVER"), 404, 40410000)
        for fact in ({"trading_blocked": True}, {"account_blocked": True}, {"status": "ACCOUNT_CLOSED"},
                     {"trade_suspended_by_user": True}):
            fake.tell("reset", now=NOW)
            fake.tell("account", fact)
            self.refused(order(), 403, 40310000)

    def test_times_of_auctions(self) -> None:
        for at, force, late in (("14:27:59", "opg", False), ("14:28:00", "opg", True), ("23:59:59", "opg", True),
                                ("20:49:59", "cls", False), ("20:50:00", "cls", True)):
            with self.subTest((at, force)):
                fake.tell("reset", now=f"2026-01-05T{at}Z")
                got = order(time_in_force=force, client_order_id="first")
                self.assertEqual(got.status, 422 if late else 200)
        fake.tell("reset", now="2026-11-27T17:51:00Z")
        self.refused(order(time_in_force="cls"), 422, 42210000)
        fake.tell("reset", now="2026-01-06T00:00:00Z")
        self.assertEqual(order(time_in_force="opg", client_order_id="first").status, 200)
        fake.tell("reset", now="2026-01-05T20:55:00Z")
        fake.tell("settings", late_auction="reject")
        got = order(time_in_force="cls", client_order_id="first")
        self.assertEqual((got.status, state(got)["status"]), (200, "rejected"))


class Fills(Fresh):
    """The rule `bars`: as Magellan's replay."""

    def test_a_market_order_fills_at_the_next_open(self) -> None:
        got = order()
        minute("15:30", 101, 103, 99, 102)
        until("15:31")
        now = self.status(got, "filled", "10", "101")
        self.assertEqual(now["filled_at"], "2026-01-05T15:30:01Z")

    def test_an_order_within_a_bar_waits_for_the_next(self) -> None:
        minute("15:30", 101, 103, 99, 102)
        minute("15:31", 104, 105, 103, 104)
        fake.tell("clock", advance="30s")
        market, limit = order(), order(type="limit", limit_price="99")
        until("15:31")
        self.status(limit, "new")
        until("15:32")
        self.status(market, "filled", "10", "104")

    def test_each_type_of_order(self) -> None:
        """(order, bar, price): the worse of open and stop, the better of open and limit."""
        for said, prices, filled in (
                ({"type": "limit", "limit_price": "99"}, (101, 103, 99, 102), "99"),
                ({"type": "limit", "limit_price": "99"}, (101, 103, 99.01, 102), None),
                ({"type": "limit", "limit_price": "102"}, (101, 103, 99, 102), "101"),
                ({"type": "stop", "stop_price": "102"}, (101, 103, 99, 102), "102"),
                ({"type": "stop", "stop_price": "102"}, (104, 105, 103, 104), "104"),
                ({"type": "stop", "stop_price": "104"}, (101, 103, 99, 102), None),
                ({"type": "stop_limit", "stop_price": "102", "limit_price": "102.5"}, (101, 103, 99, 103), "102"),
                ({"type": "stop_limit", "stop_price": "102", "limit_price": "102.5"}, (104, 105, 103, 104), None),
                ({"type": "stop_limit", "stop_price": "102", "limit_price": "103.5"}, (104, 105, 103, 104), "103.5"),
                ({"type": "stop_limit", "stop_price": "102", "limit_price": "100"}, (101, 103, 99, 102), None),
                ({"type": "stop_limit", "stop_price": "102", "limit_price": "100"}, (101, 103, 99, 99.5), "100"),
                ({"side": "sell", "type": "limit", "limit_price": "103"}, (101, 103, 99, 102), "103"),
                ({"side": "sell", "type": "limit", "limit_price": "100"}, (101, 103, 99, 102), "101"),
                ({"side": "sell", "type": "stop", "stop_price": "100"}, (101, 103, 99, 102), "100"),
                ({"side": "sell", "type": "stop", "stop_price": "100"}, (98, 99, 97, 98), "98"),
                ({"side": "sell", "type": "stop_limit", "stop_price": "100", "limit_price": "99"}, (98, 99, 97, 98),
                 "99"),
                ({"side": "sell", "type": "stop_limit", "stop_price": "100", "limit_price": "99.5"}, (98, 99, 97, 98),
                 None)):
            with self.subTest((said, prices)):
                self.setUp()
                got = order(**said)
                minute("15:30", *prices)
                until("15:31")
                self.status(got, "filled" if filled else "new", "10" if filled else "0", filled)

    def test_slippage_and_strict_limits(self) -> None:
        fake.tell("settings", slippage_bps="10", strict_limits=True)
        market, touched = order(), order(type="limit", limit_price="99")
        stop_limit = order(type="stop_limit", stop_price="102", limit_price="102.05")
        minute("15:30", 101, 103, 99, 102)
        until("15:31")
        self.status(market, "filled", "10", "101.101")
        self.status(touched, "new")
        self.status(stop_limit, "filled", "10", "102.05")

    def test_a_triggered_stop_limit_stays_triggered(self) -> None:
        got = order(type="stop_limit", stop_price="102", limit_price="100")
        minute("15:30", 101, 103, 101, 103)
        minute("15:31", 101, 101, 99, 101)
        until("15:32")
        self.status(got, "filled", "10", "100")

    def test_a_stop_limit_has_one_chance_in_the_bar_that_triggers_it(self) -> None:
        late, other = order(type="stop_limit", stop_price="102",
                            limit_price="100"), order(type="limit", limit_price="99")
        minute("15:30", 101, 103, 98, 102)
        until("15:31")
        self.status(other, "filled", "10", "99")
        self.status(late, "new")

    def test_what_reduces_the_position_comes_first_at_an_open(self) -> None:
        hold("10")
        bought, sold = order(client_order_id="bought"), order(side="sell", client_order_id="sold")
        self.refused(sold, 403, 40310000)
        fake.tell("settings", wash_check=False)
        sold = order(side="sell", client_order_id="sold")
        minute("15:30", 101, 101, 101, 101)
        until("15:31")
        filled = [event["order"]["client_order_id"] for event in fake.ask("events") if event["event"] == "fill"]
        self.assertEqual(filled, ["sold", "bought"])
        self.assertEqual({state(bought)["status"], state(sold)["status"]}, {"filled"})

    def test_a_trailing_stop_follows_completed_bars(self) -> None:
        hold("10")
        got = order(side="sell", type="trailing_stop", trail_price="5")
        self.assertEqual((got.json["hwm"], got.json["stop_price"]), ("100", "95"))
        minute("15:30", 104, 110, 104, 106)
        minute("15:31", 106, 106, 104, 105)
        until("15:31")
        now = state(got)
        self.assertEqual((now["status"], now["hwm"], now["stop_price"]), ("new", "110", "105"))
        until("15:32")
        self.status(got, "filled", "10", "105")
        got = order(type="trailing_stop", trail_percent="10")
        self.assertEqual((got.json["hwm"], got.json["stop_price"]), ("105", "115.5"))

    def test_volume_may_be_shared(self) -> None:
        fake.tell("settings", participation="0.005")
        first, second = order(qty="4"), order(qty="4")
        for at in ("15:30", "15:31"):
            minute(at, 101, 101, 101, 101)
        until("15:31")
        self.status(first, "filled", "4", "101")
        self.status(second, "partially_filled", "1", "101")
        until("15:32")
        self.status(second, "filled", "4", "101")

    def test_notional_orders(self) -> None:
        got = order(qty=None, notional="505")
        self.assertEqual((got.json["qty"], got.json["notional"]), (None, "505"))
        minute("15:30", 101, 101, 101, 101)
        until("15:31")
        self.status(got, "filled", "5", "101")

    def test_days_fill_where_there_are_no_minutes(self) -> None:
        fake.tell("reset", now="2026-01-05T12:00:00Z")
        fake.tell("bars", timeframe="1Day",
                  bars={"AAPL": [bar("2026-01-02", 100, 100, 100, 100), bar("2026-01-05", 102, 105, 99, 104)]})
        market, limit = order(), order(type="limit", limit_price="101")
        self.assertEqual(market.json["status"], "accepted")
        fake.tell("clock", set="2026-01-05T20:00:00Z")
        self.status(market, "filled", "10", "102")
        self.status(limit, "new")
        until("21:00")
        self.assertEqual(state(limit)["filled_avg_price"], "101")

    def test_fills_may_be_made_from_days_only(self) -> None:
        fake.tell("settings", fill_from="day")
        got = order()
        minute("15:30", 101, 101, 101, 101)
        until("15:31")
        self.status(got, "new")

    def test_no_fills_while_halted(self) -> None:
        got = order()
        fake.tell("messages", statuses={"AAPL": [{"sc": "H"}]})
        minute("15:30", 101, 101, 101, 101)
        until("15:31")
        self.status(got, "new")
        fake.tell("messages", statuses={"AAPL": [{"sc": "T"}]})
        minute("15:31", 102, 102, 102, 102)
        until("15:32")
        self.status(got, "filled", "10", "102")

    def test_quotes_as_the_rule(self) -> None:
        fake.tell("settings", fill_rule="quotes")
        fake.tell("messages", quotes={"AAPL": [{"bp": 99.9, "ap": 100.1}]})
        self.status(order(), "filled", "10", "100.1")
        limit, stop = order(type="limit", limit_price="99"), order(type="stop", stop_price="102")
        minute("15:30", 50, 150, 50, 100)
        fake.tell("messages", quotes={"AAPL": [{"t": "2026-01-05T15:30:30Z", "bp": 98, "ap": 98.5},
                                               {"t": "2026-01-05T15:30:40Z", "bp": 102, "ap": 102.5}]})
        until("15:31")
        self.status(limit, "filled", "10", "98.5")
        self.status(stop, "filled", "10", "102.5")
        self.status(order(side="sell", type="limit", limit_price="101"), "filled", "10", "102")

    def test_fills_by_hand_only(self) -> None:
        fake.tell("settings", fill_rule="manual")
        got = order(client_order_id="by hand")
        minute("15:30", 101, 101, 101, 101)
        until("15:31")
        self.status(got, "new")
        fake.tell("fill", order="by hand", price="101.5", qty="4")
        self.status(got, "partially_filled", "4", "101.5")
        fake.tell("fill", order=got.json["id"], price="102.5")
        self.status(got, "filled", "10", "102.1")
        with self.assertRaises(Refused):
            fake.tell("fill", order="by hand", price="1")

    def test_extended_hours(self) -> None:
        fake.tell("reset", now="2026-01-05T22:00:00Z")
        regular = order(type="limit", limit_price="100")
        extended = order(type="limit", limit_price="100", extended_hours=True)
        self.assertEqual((regular.json["status"], extended.json["status"]), ("accepted", "pending_new"))
        minute("22:00", 99, 99, 99, 99)
        fake.tell("clock", advance="1m")
        self.status(extended, "filled", "10", "99")
        self.status(regular, "accepted")
        late = order(type="limit", limit_price="90", extended_hours=True)
        fake.tell("clock", set="2026-01-06T01:00:00Z")
        self.status(late, "expired")


class TimesInForce(Fresh):
    """Until when an order works."""

    def test_a_day_order_expires_at_the_close(self) -> None:
        got = order(type="limit", limit_price="50")
        self.assertEqual(got.json["expires_at"], "2026-01-05T21:00:00Z")
        fake.tell("clock", set="2026-01-05T20:59:59Z")
        self.status(got, "new")
        until("21:00")
        now = self.status(got, "expired", "0", None)
        self.assertEqual(now["expired_at"], "2026-01-05T21:00:00Z")
        self.assertEqual(events()[-1], "expired")

    def test_half_days_end_early(self) -> None:
        fake.tell("reset", now="2026-11-27T15:00:00Z")
        self.assertEqual(order().json["expires_at"], "2026-11-27T18:00:00Z")

    def test_after_the_close_a_day_order_waits_for_the_next_session(self) -> None:
        fake.tell("reset", now="2026-01-05T21:30:00Z")
        got = order()
        self.assertEqual((got.json["status"], got.json["expires_at"]), ("accepted", "2026-01-06T21:00:00Z"))
        self.refused(trade("PATCH", f"/v2/orders/{got.json['id']}", {"qty": "5"}), 422, 42210000)
        fake.tell("bars", bars={"AAPL": [bar("2026-01-06T14:30:00Z", 105, 106, 104, 105)]})
        fake.tell("clock", set="2026-01-06T14:30:00Z")
        self.status(got, "new")
        self.assertEqual(events(), ["accepted", "new"])
        fake.tell("clock", advance="1m")
        self.status(got, "filled", "10", "105")

    def test_gtc_lives_ninety_days(self) -> None:
        got = order(type="limit", limit_price="50", time_in_force="gtc")
        self.assertEqual(got.json["expires_at"], "2026-04-06T20:00:00Z")
        until("21:00")
        self.status(got, "new")
        fake.tell("clock", set="2026-04-06T20:00:00Z")
        self.status(got, "expired")

    def test_ioc_and_fok_have_one_chance(self) -> None:
        fake.tell("settings", participation="0.005")
        ioc, fok = order(time_in_force="ioc", qty="8"), order(time_in_force="fok", qty="8")
        missed = order(time_in_force="ioc", type="limit", limit_price="90")
        minute("15:30", 101, 101, 80, 101)
        until("15:31")
        self.status(ioc, "canceled", "5", "101")
        self.status(fok, "canceled", "0", None)
        self.status(missed, "canceled", "0", None)

    def test_the_opening_auction(self) -> None:
        fake.tell("reset", now="2026-01-05T14:00:00Z")
        market = order(time_in_force="opg")
        limit = order(time_in_force="opg", type="limit", limit_price="90")
        fake.tell("bars", bars={"AAPL": [bar("14:30", 101, 101, 80, 101)]})
        fake.tell("clock", set="2026-01-05T14:31:00Z")
        self.status(market, "filled", "10", "101")
        self.status(limit, "canceled", "0", None)

    def test_the_closing_auction(self) -> None:
        market = order(time_in_force="cls")
        limit = order(time_in_force="cls", type="limit", limit_price="90")
        minute("15:30", 101, 101, 80, 101)
        fake.tell("bars", bars={"AAPL": [bar("20:59", 110, 112, 109, 111)]})
        fake.tell("clock", set="2026-01-05T20:59:59Z")
        self.status(market, "new")
        until("21:00")
        self.status(market, "filled", "10", "111")
        self.status(limit, "canceled", "0", None)


class Groups(Fresh):
    """Entries with legs, and pairs of exits."""

    def bracket(self, **more: Any) -> Got:
        return order(**({"order_class": "bracket", "take_profit": {"limit_price": "110"},
                         "stop_loss": {"stop_price": "95"}} | more))

    def legs(self, got: Got) -> list[tuple[str, str]]:
        return [(leg["type"], leg["status"]) for leg in state(got)["legs"]]

    def test_one_post_answers_with_entry_and_legs(self) -> None:
        got = order(order_class="oto", stop_loss={"stop_price": "95"}).json
        self.assertEqual((got["status"], got["legs"][0]["status"], got["legs"][0]["legs"]),
                         ("pending_new", "held", None))
        leg = got["legs"][0]
        self.assertEqual((leg["side"], leg["type"], leg["stop_price"], leg["qty"]), ("sell", "stop", "95", "10"))

    def test_legs_work_once_the_entry_is_complete(self) -> None:
        got = self.bracket()
        minute("15:30", 101, 103, 99, 102)
        fake.tell("clock", advance="1s")
        self.assertEqual(self.legs(got), [("limit", "new"), ("stop", "new")])
        minute("15:31", 104, 112, 104, 111)
        until("15:32")
        self.assertEqual(self.legs(got), [("limit", "filled"), ("stop", "canceled")])
        self.assertEqual(state(got)["legs"][0]["filled_avg_price"], "110")
        self.assertEqual(trade("GET", "/v2/positions").json, [])

    def test_a_stop_beats_a_target_in_one_bar(self) -> None:
        got = self.bracket()
        minute("15:30", 101, 115, 94, 112)
        until("15:31")
        self.assertEqual(self.legs(got), [("limit", "canceled"), ("stop", "filled")])
        self.assertEqual(state(got)["legs"][1]["filled_avg_price"], "95")

    def test_a_stop_beats_a_target_beyond_which_the_bar_opens(self) -> None:
        got = self.bracket()
        minute("15:30", 101, 103, 99, 102)
        minute("15:31", 112, 112, 94, 112)
        until("15:32")
        self.assertEqual(self.legs(got), [("limit", "canceled"), ("stop", "filled")])

    def test_a_target_after_a_stop_limit_entry_at_its_stop_needs_no_close(self) -> None:
        got = self.bracket(type="stop_limit", stop_price="101", limit_price="101")
        minute("15:30", 100, 112, 99, 100)
        until("15:31")
        self.assertEqual(self.legs(got)[0], ("limit", "filled"))

    def test_a_target_after_a_limit_entry_needs_the_close(self) -> None:
        for close, status in ((105, "new"), (111, "filled")):
            self.setUp()
            got = self.bracket(type="limit", limit_price="99")
            minute("15:30", 112, 115, 98, close)
            until("15:31")
            self.assertEqual(state(got)["filled_avg_price"], "99")
            self.assertEqual(self.legs(got)[0], ("limit", status))

    def test_a_stop_entry_that_is_stopped_in_its_bar(self) -> None:
        got = order(type="stop", stop_price="102", order_class="oto", stop_loss={"stop_price": "98"})
        minute("15:30", 100, 103, 97, 99)
        until("15:31")
        self.assertEqual((state(got)["filled_avg_price"], state(got)["legs"][0]["filled_avg_price"]), ("102", "98"))

    def test_a_partly_filled_entry_is_unprotected(self) -> None:
        fake.tell("faults", kind="partial_fill", qty="4", then="stay")
        got = self.bracket()
        for at in ("15:30", "15:31"):
            minute(at, 101, 101, 90, 90)
        until("15:32")
        self.status(got, "partially_filled", "4", "101")
        self.assertEqual(self.legs(got), [("limit", "held"), ("stop", "held")])
        self.assertEqual(trade("GET", "/v2/positions/AAPL").json["qty_available"], "4")
        trade("DELETE", f"/v2/orders/{got.json['id']}")
        self.assertEqual(self.legs(got), [("limit", "canceled"), ("stop", "canceled")])
        self.assertEqual(order(side="sell", type="stop", stop_price="80", qty="4").status, 200)

    def test_a_partly_filled_entry_that_expires(self) -> None:
        for choice, leg in (("cancel", ("stop", "expired")), ("hold", ("stop", "held")), ("activate", ("stop", "new"))):
            self.setUp()
            fake.tell("settings", legs_of_expired_parent=choice)
            fake.tell("faults", kind="partial_fill", qty="4", then="stay")
            got = order(order_class="oto", stop_loss={"stop_price": "95"})
            minute("15:30", 101, 101, 101, 101)
            until("21:00")
            self.status(got, "expired", "4", "101")
            self.assertEqual(self.legs(got), [leg])
        self.assertEqual(state(got)["legs"][0]["qty"], "4")

    def test_a_pair_of_exits(self) -> None:
        hold("10")
        got = order(side="sell", type="limit", order_class="oco", take_profit={"limit_price": "110"},
                    stop_loss={"stop_price": "95", "limit_price": "94"})
        self.assertEqual((got.json["limit_price"], got.json["legs"][0]["type"]), ("110", "stop_limit"))
        self.assertEqual(trade("GET", "/v2/positions/AAPL").json["qty_available"], "0")
        minute("15:30", 100, 100, 95, 95)
        until("15:31")
        self.status(got, "canceled")
        self.assertEqual(state(got)["legs"][0]["filled_avg_price"], "95")

    def test_one_of_a_pair_is_cancelled(self) -> None:
        got = self.bracket()
        minute("15:30", 101, 103, 99, 102)
        until("15:31")
        trade("DELETE", f"/v2/orders/{state(got)['legs'][1]['id']}")
        self.assertEqual(self.legs(got), [("limit", "canceled"), ("stop", "canceled")])

    def test_a_partial_exit_leaves_less_for_the_other(self) -> None:
        for choice, leg in (("shrink", ("6", "new")), ("cancel", ("10", "canceled")), ("keep", ("10", "new"))):
            self.setUp()
            fake.tell("settings", sibling_of_partial=choice)
            got = self.bracket()
            minute("15:30", 101, 103, 99, 102)
            until("15:31")
            target, stop = state(got)["legs"]
            fake.tell("fill", order=target["id"], price="110", qty="4")
            stop = state(stop)
            self.assertEqual((stop["qty"], stop["status"]), leg)

    def test_a_stop_beside_a_target_may_be_shown_as_held(self) -> None:
        fake.tell("settings", stop_beside_target="held")
        got = self.bracket()
        minute("15:30", 101, 103, 99, 102)
        minute("15:31", 101, 103, 90, 102)
        until("15:31")
        self.assertEqual(self.legs(got), [("limit", "new"), ("stop", "held")])
        until("15:32")
        self.assertEqual(self.legs(got), [("limit", "canceled"), ("stop", "filled")])

    def test_legs_of_a_day_order_expire_with_the_day(self) -> None:
        got = self.bracket()
        minute("15:30", 101, 103, 99, 102)
        until("21:00")
        self.assertEqual(self.legs(got), [("limit", "expired"), ("stop", "expired")])

    def test_a_trail_of_a_leg_is_dropped_without_a_word(self) -> None:
        got = order(order_class="oto", stop_loss={"stop_price": "95", "trail_price": "2"})
        leg = got.json["legs"][0]
        self.assertEqual((got.status, leg["type"], leg["trail_price"]), (200, "stop", None))

    def test_of_what_class_a_simple_order_is(self) -> None:
        self.assertEqual(order().json["order_class"], "")
        fake.tell("settings", simple_class="simple")
        self.assertEqual(order().json["order_class"], "simple")

    def test_a_leg_that_is_missing(self) -> None:
        fake.tell("faults", kind="dropped_leg")
        got = order(order_class="oto", stop_loss={"stop_price": "95"})
        self.assertEqual((got.status, got.json["legs"]), (200, None))
        self.assertEqual(len(fake.ask("orders")), 1)

    def test_a_leg_is_replaced(self) -> None:
        got = self.bracket()
        minute("15:30", 101, 103, 99, 102)
        until("15:31")
        stop = state(got)["legs"][1]
        new = trade("PATCH", f"/v2/orders/{stop['id']}", {"stop_price": "100"}).json
        minute("15:31", 101, 103, 99, 102)
        until("15:32")
        self.assertEqual((state(new)["status"], state(new)["filled_avg_price"]), ("filled", "100"))
        self.assertEqual(self.legs(got), [("limit", "canceled"), ("stop", "filled")])

    def test_lists_show_legs_inside_or_beside(self) -> None:
        self.bracket()
        self.assertEqual(len(trade("GET", "/v2/orders").json), 3)
        nested = trade("GET", "/v2/orders", nested="true").json
        self.assertEqual([len(of["legs"]) for of in nested], [2])


class Races(Fresh):
    """Rejects, cancellations and replacements that come too late."""

    def test_a_reject_after_the_answer(self) -> None:
        fake.tell("faults", kind="reject", on={"symbol": "AAPL", "side": "buy"})
        got = order()
        self.assertEqual((got.status, got.json["status"]), (200, "pending_new"))
        self.assertIsNotNone(self.status(got, "rejected", "0", None)["failed_at"])
        self.assertEqual(events(), ["rejected"])

    def test_an_order_of_which_nothing_is_heard(self) -> None:
        fake.tell("faults", kind="hang")
        got = order()
        minute("15:30", 101, 101, 101, 101)
        until("15:31")
        self.status(got, "pending_new")
        self.assertEqual(events(), [])

    def test_an_order_that_never_fills(self) -> None:
        fake.tell("faults", kind="no_fill")
        got = order()
        minute("15:30", 101, 101, 101, 101)
        until("15:31")
        self.status(got, "new")

    def test_partial_fills(self) -> None:
        fake.tell("faults", kind="partial_fill", fraction="0.3")
        got = order()
        for at in ("15:30", "15:31"):
            minute(at, 101, 101, 101, 101)
        until("15:31")
        self.status(got, "partially_filled", "3", "101")
        until("15:32")
        self.status(got, "filled", "10", "101")
        self.assertEqual(events(), ["pending_new", "new", "partial_fill", "fill"])

    def test_a_cancellation(self) -> None:
        got = order(type="limit", limit_price="90")
        path = f"/v2/orders/{got.json['id']}"
        self.assertEqual((trade("DELETE", path).status, trade("DELETE", path).status), (204, 422))
        self.assertIn('already in "canceled" state', trade("DELETE", path).json["message"])
        self.refused(trade("DELETE", "/v2/orders/00000000-0000-0000-0000-000000000000"), 404, 40410000)

    def test_a_fill_wins_against_a_cancellation(self) -> None:
        fake.tell("faults", kind="cancel_race", price="89.5", reject_event=True)
        got = order(type="limit", limit_price="90")
        self.assertEqual(trade("DELETE", f"/v2/orders/{got.json['id']}").status, 204)
        self.status(got, "filled", "10", "89.5")
        self.assertEqual(events()[2:], ["pending_cancel", "fill", "order_cancel_rejected"])

    def test_a_part_is_filled_before_the_cancellation(self) -> None:
        fake.tell("faults", kind="cancel_race", qty="3")
        got = order(type="limit", limit_price="90")
        trade("DELETE", f"/v2/orders/{got.json['id']}")
        self.status(got, "canceled", "3", "90")
        self.assertEqual(events()[2:], ["pending_cancel", "partial_fill", "canceled"])

    def test_a_cancellation_takes_its_time(self) -> None:
        fake.tell("settings", cancel_delay=90)
        got = order(type="limit", limit_price="90")
        minute("15:30", 101, 101, 89, 101)
        self.assertEqual(trade("DELETE", f"/v2/orders/{got.json['id']}").status, 204)
        self.status(got, "pending_cancel")
        self.refused(trade("DELETE", f"/v2/orders/{got.json['id']}"), 422, 42210000, "pending cancel")
        until("15:33")
        self.status(got, "filled", "10", "90")
        self.assertNotIn("canceled", events())

    def test_a_cancellation_is_refused(self) -> None:
        fake.tell("faults", kind="cancel_refused")
        got = order(type="limit", limit_price="90")
        self.assertEqual(trade("DELETE", f"/v2/orders/{got.json['id']}").status, 204)
        self.status(got, "new")
        self.assertEqual(events()[-1], "order_cancel_rejected")

    def test_all_are_cancelled_each_with_its_answer(self) -> None:
        fake.tell("settings", cancel_delay=60)
        first = order(type="limit", limit_price="90").json
        trade("DELETE", f"/v2/orders/{first['id']}")
        second = order(type="limit", limit_price="89").json
        got = trade("DELETE", "/v2/orders")
        self.assertEqual(got.status, 207)
        self.assertEqual([(of["id"], of["status"]) for of in got.json], [(first["id"], 500), (second["id"], 200)])
        self.assertEqual(got.json[0]["body"]["code"], 42210000)

    def test_a_replacement(self) -> None:
        old = order(type="limit", limit_price="90", client_order_id="old").json
        new = trade("PATCH", f"/v2/orders/{old['id']}",
                    {"limit_price": "91", "qty": "5", "client_order_id": "new"}).json
        self.assertNotEqual(new["id"], old["id"])
        self.assertEqual((new["replaces"], new["limit_price"], new["qty"], new["client_order_id"]),
                         (old["id"], "91", "5", "new"))
        self.assertEqual((state(old)["status"], state(old)["replaced_by"], state(new)["status"]),
                         ("replaced", new["id"], "new"))
        self.refused(trade("PATCH", f"/v2/orders/{old['id']}", {"qty": "5"}), 422, 42210000)
        self.refused(trade("PATCH", f"/v2/orders/{new['id']}", {"stop_price": "5"}), 422, 42210000)
        self.refused(trade("PATCH", f"/v2/orders/{new['id']}", {"side": "sell"}), 422, 40010001)
        self.refused(trade("PATCH", f"/v2/orders/{new['id']}", {"client_order_id": "old"}), 422, 40010001)

    def test_a_replacement_that_says_too_little_or_is_cancelled(self) -> None:
        old = order(type="limit", limit_price="90").json
        path = f"/v2/orders/{old['id']}"
        fake.tell("fill", order=old["id"], price="90", qty="4")
        self.refused(trade("PATCH", path, {"qty": "4"}), 422, 42210000, "filled already")
        self.refused(trade("PATCH", path, {"time_in_force": "never"}), 422, 40010001)
        fake.tell("settings", replace_delay=60)
        new = trade("PATCH", path, {"qty": "8"}).json
        trade("DELETE", f"/v2/orders/{new['id']}")
        fake.tell("clock", advance="1m")
        self.assertEqual((state(old)["status"], state(old)["replaced_by"], state(new)["status"]),
                         ("partially_filled", None, "canceled"))

    def test_a_trail_is_replaced(self) -> None:
        hold("10")
        old = order(side="sell", type="trailing_stop", trail_percent="10").json
        new = trade("PATCH", f"/v2/orders/{old['id']}", {"trail": "5"}).json
        self.assertEqual((old["stop_price"], new["stop_price"], new["trail_percent"]), ("90", "95", "5"))

    def test_an_entry_and_its_leg_are_replaced_while_they_wait(self) -> None:
        entry = order(type="limit", limit_price="99", order_class="oto", stop_loss={"stop_price": "90"}).json
        leg = trade("PATCH", f"/v2/orders/{entry['legs'][0]['id']}", {"stop_price": "95"}).json
        self.assertEqual(state(leg)["status"], "held")
        new = trade("PATCH", f"/v2/orders/{entry['id']}", {"limit_price": "98"}).json
        minute("15:30", 100, 100, 94, 97)
        until("15:31")
        self.status(new, "filled", "10", "98")
        self.status(leg, "filled", "10", "95")

    def test_a_cancellation_before_the_order_works(self) -> None:
        fake.tell("settings", ack_delay=30)
        got = order()
        trade("DELETE", f"/v2/orders/{got.json['id']}")
        fake.tell("clock", advance="1m")
        self.status(got, "canceled")
        self.assertEqual(events(), ["canceled"])

    def test_what_the_quantity_of_a_replacement_means(self) -> None:
        for choice, qty in (("total", "8"), ("remaining", "12")):
            self.setUp()
            fake.tell("settings", replace_qty=choice)
            old = order(type="limit", limit_price="90").json
            fake.tell("fill", order=old["id"], price="90", qty="4")
            self.assertEqual(trade("PATCH", f"/v2/orders/{old['id']}", {"qty": "12"}).json["qty"], qty)

    def test_a_fill_wins_against_a_replacement(self) -> None:
        fake.tell("faults", kind="replace_race")
        old = order(type="limit", limit_price="90")
        got = trade("PATCH", f"/v2/orders/{old.json['id']}", {"limit_price": "91"})
        self.assertEqual(got.status, 200)
        self.assertIsNone(self.status(old, "filled", "10", "90")["replaced_by"])
        self.status(got, "rejected")
        self.assertEqual(events()[2:], ["pending_replace", "fill", "order_replace_rejected", "rejected"])

    def test_a_replacement_is_refused_or_takes_its_time(self) -> None:
        fake.tell("faults", kind="replace_refused")
        old = order(type="limit", limit_price="90")
        trade("PATCH", f"/v2/orders/{old.json['id']}", {"limit_price": "91"})
        self.status(old, "new")
        fake.tell("settings", replace_delay=90)
        got = trade("PATCH", f"/v2/orders/{old.json['id']}", {"limit_price": "91"})
        self.status(old, "pending_replace")
        minute("15:30", 101, 101, 89, 101)
        until("15:33")
        self.status(old, "filled", "10", "90")
        self.status(got, "rejected")

    def test_what_post_answers_and_what_is_told(self) -> None:
        fake.tell("settings", answer_status="accepted", ack_events=["accepted", "new"], ack_delay=5)
        got = order()
        self.assertEqual(got.json["status"], "accepted")
        self.assertEqual(events(), [])
        fake.tell("clock", advance="5s")
        self.assertEqual(events(), ["accepted", "new"])

    def test_any_event_and_any_state(self) -> None:
        got = order(type="limit", limit_price="90")
        fake.tell("order_event", order=got.json["id"], event="never_heard_of", status="never_seen", more={"note": 1})
        self.status(got, "never_seen")
        self.assertEqual((events()[-1], fake.ask("events")[-1]["note"]), ("never_heard_of", 1))


class Accounts(Fresh):
    """Money and positions."""

    def test_money_moves_with_fills(self) -> None:
        order()
        minute("15:30", 101, 101, 101, 101)
        minute("15:31", 110, 110, 110, 110)
        until("15:32")
        account = trade("GET", "/v2/account").json
        self.assertEqual((account["cash"], account["equity"], account["long_market_value"], account["buying_power"]),
                         ("98990", "100090", "1100", "199080"))
        self.assertNotIn("pattern_day_trader", account)
        position = trade("GET", "/v2/positions/AAPL").json
        self.assertEqual((position["qty"], position["side"], position["avg_entry_price"], position["unrealized_pl"],
                          position["current_price"], position["market_value"]),
                         ("10", "long", "101", "90", "110", "1100"))

    def test_short_positions(self) -> None:
        order(side="sell")
        minute("15:30", 101, 101, 101, 101)
        minute("15:31", 91, 91, 91, 91)
        until("15:32")
        position = trade("GET", "/v2/positions/AAPL").json
        self.assertEqual((position["qty"], position["side"], position["avg_entry_price"], position["unrealized_pl"]),
                         ("-10", "short", "101", "100"))
        account = trade("GET", "/v2/account").json
        self.assertEqual((account["cash"], account["short_market_value"], account["equity"]),
                         ("101010", "-910", "100100"))
        fake.tell("settings", short_qty="positive")
        self.assertEqual(trade("GET", "/v2/positions").json[0]["qty"], "10")
        self.assertEqual(trade("DELETE", "/v2/positions/AAPL", percentage="50").json["side"], "buy")

    def test_a_cash_account(self) -> None:
        fake.tell("account", cash="1000", multiplier="1")
        self.assertEqual(trade("GET", "/v2/account").json["buying_power"], "1000")
        self.refused(order(side="sell"), 403, 40310000, "not allowed to short")
        order(qty="4", type="limit", limit_price="100")
        self.assertEqual(trade("GET", "/v2/account").json["buying_power"], "600")

    def test_the_equity_of_the_day_before(self) -> None:
        order()
        minute("15:30", 101, 101, 101, 101)
        minute("15:31", 111, 111, 111, 111)
        until("21:00")
        self.assertEqual(trade("GET", "/v2/account").json["last_equity"], "100100")
        self.assertEqual(len(trade("GET", "/v2/account/portfolio/history").json["equity"]), 2)

    def test_fields_of_day_trading_come_back_if_a_test_wants_them(self) -> None:
        fake.tell("settings", day_trading_fields=True)
        self.assertEqual(trade("GET", "/v2/account").json["daytrade_count"], 0)
        self.assertEqual(trade("GET", "/v2/account/configurations").json["pdt_check"], "entry")

    def test_positions_from_elsewhere(self) -> None:
        hold("7", "90")
        self.assertEqual(trade("GET", "/v2/positions/AAPL").json["unrealized_pl"], "70")
        self.assertEqual(trade("GET", "/v2/account").json["cash"], "100000")
        fake.tell("positions", positions=[{"symbol": "AAPL", "qty": "0", "cash": True}])
        self.refused(trade("GET", "/v2/positions/AAPL"), 404, 40410000, "position does not exist")
        self.assertEqual(trade("GET", "/v2/account").json["cash"], "100630")

    def test_activities_come_in_pages_newest_first(self) -> None:
        for at, price in (("15:30", 101), ("15:31", 102), ("15:32", 103)):
            order(qty="1")
            minute(at, price, price, price, price)
            fake.tell("clock", advance="1m")
        first = trade("GET", "/v2/account/activities/FILL", page_size="2").json
        self.assertEqual([of["price"] for of in first], ["103", "102"])
        second = trade("GET", "/v2/account/activities/FILL", page_size="2", page_token=first[-1]["id"]).json
        self.assertEqual([(of["price"], of["type"], of["cum_qty"], of["leaves_qty"]) for of in second],
                         [("101", "fill", "1", "0")])
        def prices(**more: str) -> list:
            return [of["price"] for of in trade("GET", "/v2/account/activities", **more).json]
        self.assertEqual(prices(activity_types="FILL", direction="asc"), ["101", "102", "103"])
        self.assertEqual(prices(after="2026-01-05T15:30:01Z"), ["103", "102"])
        self.assertEqual(prices(until="2026-01-05T15:31:00Z"), ["101"])
        self.assertEqual((prices(date="2026-01-05"), prices(date="2026-01-04")), (["103", "102", "101"], []))

    def test_activities_without_an_order(self) -> None:
        fake.tell("activities", activities=[{"id": "20260105000000000::1", "activity_type": "DIV", "date": "2026-01-05",
                                             "net_amount": "1.5", "symbol": "AAPL", "qty": "10", "status": "executed"}])
        self.assertEqual(trade("GET", "/v2/account/activities/DIV").json[0]["net_amount"], "1.5")
        self.assertEqual(trade("GET", "/v2/account/activities/FILL").json, [])

    def test_orders_are_listed_by_time_and_by_id(self) -> None:
        ids = []
        for _ in range(3):
            ids.append(order(type="limit", limit_price="90").json["id"])
            fake.tell("clock", advance="1s")
        def listed(**more: str) -> list:
            return [ids.index(of["id"]) for of in trade("GET", "/v2/orders", **more).json]
        self.assertEqual((listed(), listed(direction="asc"), listed(limit="1")), ([2, 1, 0], [0, 1, 2], [2]))
        self.assertEqual(listed(after=NOW), [2, 1])
        self.assertEqual(listed(until="2026-01-05T15:30:01Z"), [0])
        self.assertEqual((listed(after_order_id=ids[0]), listed(before_order_id=ids[1])), ([2, 1], [0]))
        self.assertEqual((listed(symbols="MSFT"), listed(side="sell"), listed(status="closed")), ([], [], []))
        self.assertEqual(trade("GET", "/v2/orders", limit="501").status, 400)
        self.assertEqual(trade("GET", "/v2/orders", status="some").status, 422)


if __name__ == "__main__":
    unittest.main()
