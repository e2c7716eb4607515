"""Alpaca's own client, alpaca-py, against the fake: every call and every kind of message that it knows.

    python tests/alpaca/test_conformance.py
"""
import datetime
import logging
import threading
import time
import unittest
import uuid
import warnings

from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, CorporateActionsType, DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import (CorporateActionsRequest, StockBarsRequest, StockLatestBarRequest,
                                  StockLatestQuoteRequest, StockLatestTradeRequest, StockQuotesRequest,
                                  StockSnapshotRequest, StockTradesRequest)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (AssetStatus, CorporateActionType, OrderClass, OrderSide, OrderStatus, OrderType,
                                  QueryOrderStatus, TimeInForce, TradeEvent)
from alpaca.trading.models import TradeActivity
from alpaca.trading.requests import (ClosePositionRequest, CreateWatchlistRequest, GetAssetsRequest, GetCalendarRequest,
                                     GetCorporateAnnouncementsRequest, GetOptionContractsRequest, GetOrderByIdRequest,
                                     GetOrdersRequest, GetPortfolioHistoryRequest, LimitOrderRequest,
                                     MarketOrderRequest, ReplaceOrderRequest, StopLimitOrderRequest, StopLossRequest,
                                     StopOrderRequest, TakeProfitRequest, TrailingStopOrderRequest,
                                     UpdateWatchlistRequest)
from alpaca.trading.stream import TradingStream

from fake import Running

KEYS = {"api_key": "FAKEKEY", "secret_key": "FAKESECRET"}
# A Monday, an hour after the open.
NOW = "2026-01-05T15:30:00Z"
DAY, GTC = TimeInForce.DAY, TimeInForce.GTC
BUY, SELL = OrderSide.BUY, OrderSide.SELL


def setUpModule() -> None:
    global fake
    logging.getLogger("alpaca").setLevel(logging.CRITICAL)
    # The client uses a part of websockets that is to go.
    warnings.simplefilter("ignore", DeprecationWarning)
    fake = Running()
    unittest.addModuleCleanup(fake.close)


def utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def minutes(first: str, *prices: float) -> list[dict]:
    """Bars of one minute each, at these prices."""
    start = utc(first)
    times = [start + datetime.timedelta(minutes=place) for place in range(len(prices))]
    return [{"t": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "o": p, "h": p + 1, "l": p - 1, "c": p + 0.5, "v": 1000, "n": 10,
             "vw": p} for at, p in zip(times, prices, strict=True)]


class Conformance(unittest.TestCase):
    """Each test begins with a new world."""

    def setUp(self) -> None:
        fake.tell("reset", now=NOW)


class HistoricalData(Conformance):
    """StockHistoricalDataClient."""

    def setUp(self) -> None:
        super().setUp()
        self.client = StockHistoricalDataClient(**KEYS, url_override=fake.at["data"])
        fake.tell("bars", bars={"AAPL": minutes("2026-01-05T15:00:00Z", *range(100, 130)),
                                "MSFT": minutes("2026-01-05T15:00:00Z", 400, 401)})
        fake.tell("bars", timeframe="1Day", bars={"AAPL": [
            {"t": "2026-01-02", "o": 98, "h": 99, "l": 97, "c": 98.5, "v": 50_000, "n": 900, "vw": 98.2}]})
        fake.tell("messages", quotes={"AAPL": [{"t": "2026-01-05T15:29:00.123456789Z", "bp": 128.9, "ap": 129.1}]},
                  trades={"AAPL": [{"t": "2026-01-05T15:29:01Z", "p": 129.0, "i": 7}]})

    def bars(self, **more) -> dict:
        asked = {"symbol_or_symbols": ["AAPL", "MSFT"], "timeframe": TimeFrame.Minute,
                 "start": utc("2026-01-05T15:00:00Z"),
                 "end": utc("2026-01-05T15:29:00Z"), "feed": DataFeed.SIP, "adjustment": Adjustment.RAW, "asof": "-"}
        return self.client.get_stock_bars(StockBarsRequest(**(asked | more))).data

    def test_bars_of_several_symbols_come_in_pages(self) -> None:
        fake.tell("settings", largest_page=7)
        bars = self.bars()
        self.assertEqual((len(bars["AAPL"]), len(bars["MSFT"])), (30, 2))
        first = bars["AAPL"][0]
        self.assertEqual((first.timestamp, first.open, first.high, first.low, first.close, first.volume,
                          first.trade_count, first.vwap),
                         (utc("2026-01-05T15:00:00Z"), 100, 101, 99, 100.5, 1000, 10, 100))
        self.assertEqual(len(fake.ask("requests", path="^/v2/stocks/bars$")), 5)

    def test_a_limit_of_the_client_counts_bars_of_all_symbols(self) -> None:
        bars = self.bars(limit=31)
        self.assertEqual((len(bars["AAPL"]), len(bars["MSFT"])), (30, 1))

    def test_wider_bars_are_made_of_minutes(self) -> None:
        bars = self.bars(timeframe=TimeFrame(15, TimeFrameUnit.Minute))["AAPL"]
        self.assertEqual([(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars],
                         [(100, 115, 99, 114.5, 15_000), (115, 130, 114, 129.5, 15_000)])

    def test_days_start_at_midnight_in_new_york(self) -> None:
        bars = self.bars(timeframe=TimeFrame.Day, start=utc("2026-01-01T00:00:00Z"), end=utc("2026-01-05T23:00:00Z"))
        self.assertEqual([bar.timestamp for bar in bars["AAPL"]], [utc("2026-01-02T05:00:00Z")])

    def test_quotes_and_trades(self) -> None:
        asked = {"symbol_or_symbols": "AAPL", "start": utc(NOW) - datetime.timedelta(hours=1), "end": utc(NOW)}
        quote = self.client.get_stock_quotes(StockQuotesRequest(**asked)).data["AAPL"][0]
        self.assertEqual((quote.bid_price, quote.ask_price, quote.tape), (128.9, 129.1, "C"))
        trade = self.client.get_stock_trades(StockTradesRequest(**asked)).data["AAPL"][0]
        self.assertEqual((trade.price, trade.id, trade.size), (129.0, 7, 100))

    def test_the_latest_of_each(self) -> None:
        symbols = {"symbol_or_symbols": ["AAPL", "MSFT"]}
        trades = self.client.get_stock_latest_trade(StockLatestTradeRequest(**symbols))
        quotes = self.client.get_stock_latest_quote(StockLatestQuoteRequest(**symbols))
        bars = self.client.get_stock_latest_bar(StockLatestBarRequest(**symbols))
        self.assertEqual((trades["AAPL"].price, quotes["AAPL"].ask_price), (129.0, 129.1))
        self.assertEqual({symbol: bar.open for symbol, bar in bars.items()}, {"AAPL": 129, "MSFT": 401})
        self.assertNotIn("MSFT", trades)

    def test_snapshots(self) -> None:
        found = self.client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=["AAPL", "MSFT"]))
        self.assertEqual(found["AAPL"].daily_bar.open, 100)
        self.assertEqual(found["AAPL"].previous_daily_bar.close, 98.5)
        self.assertEqual((found["AAPL"].minute_bar.open, found["AAPL"].latest_trade.price), (129, 129.0))
        self.assertIsNone(found["MSFT"].latest_quote)

    def test_a_refusal_has_code_and_message(self) -> None:
        fake.tell("settings", realtime_sip=False)
        with self.assertRaises(APIError) as refused:
            self.bars(end=utc(NOW))
        self.assertEqual((refused.exception.status_code, refused.exception.code), (403, 42210000))

    def test_null_bars_are_more_than_the_client_can_take(self) -> None:
        fake.tell("faults", kind="null_bars")
        with self.assertRaises(TypeError):
            self.bars()

    def test_keys_in_other_headers(self) -> None:
        basic = StockHistoricalDataClient(**KEYS, use_basic_auth=True, url_override=fake.at["data"])
        token = StockHistoricalDataClient(oauth_token="FAKETOKEN", url_override=fake.at["data"])
        for client in (basic, token):
            self.assertIn("AAPL", client.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols="AAPL")))


class CorporateActions(Conformance):
    """CorporateActionsClient: all kinds."""

    EVERY = {
        "forward_splits": {"symbol": "AAPL", "cusip": "1", "new_rate": 4, "old_rate": 1, "ex_date": "2026-01-05"},
        "reverse_splits": {"symbol": "MULN", "old_cusip": "2", "new_cusip": "3", "new_rate": 1, "old_rate": 100,
                           "ex_date": "2026-01-05"},
        "unit_splits": {"old_symbol": "UA", "old_cusip": "4", "old_rate": 1, "new_symbol": "UB", "new_cusip": "5",
                        "new_rate": 1, "alternate_symbol": "UC", "alternate_cusip": "6", "alternate_rate": 0.5,
                        "effective_date": "2026-01-05"},
        "cash_dividends": {"symbol": "AAPL", "cusip": "1", "rate": 0.25, "special": False, "foreign": False,
                           "ex_date": "2026-01-05"},
        "stock_dividends": {"symbol": "SD", "cusip": "7", "rate": 0.05, "ex_date": "2026-01-05"},
        "spin_offs": {"source_symbol": "SA", "source_cusip": "8", "source_rate": 1, "new_symbol": "SB",
                      "new_cusip": "9",
                      "new_rate": 0.1, "ex_date": "2026-01-05"},
        "cash_mergers": {"acquiree_symbol": "CM", "acquiree_cusip": "10", "rate": 12.5, "effective_date": "2026-01-05"},
        "stock_mergers": {"acquirer_symbol": "MA", "acquirer_cusip": "11", "acquirer_rate": 0.5,
                          "acquiree_symbol": "MB",
                          "acquiree_cusip": "12", "acquiree_rate": 1, "effective_date": "2026-01-05"},
        "stock_and_cash_mergers": {"acquirer_symbol": "NA", "acquirer_cusip": "13", "acquirer_rate": 0.5,
                                   "acquiree_symbol": "NB", "acquiree_cusip": "14", "acquiree_rate": 1, "cash_rate": 3,
                                   "effective_date": "2026-01-05"},
        "redemptions": {"symbol": "RD", "cusip": "15", "rate": 25},
        "name_changes": {"old_symbol": "FB", "old_cusip": "16", "new_symbol": "META", "new_cusip": "17"},
        "worthless_removals": {"symbol": "WR", "cusip": "18"},
        "rights_distributions": {"source_symbol": "RA", "source_cusip": "19", "new_symbol": "RB", "new_cusip": "20",
                                 "rate": 1, "ex_date": "2026-01-05", "payable_date": "2026-01-20"},
    }

    def setUp(self) -> None:
        super().setUp()
        self.client = CorporateActionsClient(**KEYS, url_override=fake.at["data"])
        fake.tell("corporate_actions", {kind: [{"id": str(uuid.uuid4()), "process_date": "2026-01-05", **action}]
                                        for kind, action in self.EVERY.items()})

    def test_every_kind_is_read(self) -> None:
        asked = CorporateActionsRequest(start=datetime.date(2026, 1, 1), end=datetime.date(2026, 1, 31), limit=4)
        asked.limit = None
        found = self.client.get_corporate_actions(asked).data
        self.assertEqual(sorted(found), sorted(self.EVERY))
        self.assertEqual((found["forward_splits"][0].new_rate, found["forward_splits"][0].old_rate), (4, 1))

    def test_kinds_and_symbols_are_chosen(self) -> None:
        asked = CorporateActionsRequest(start=datetime.date(2026, 1, 1), end=datetime.date(2026, 1, 31),
                                        symbols=["AAPL"],
                                        types=[CorporateActionsType.FORWARD_SPLIT, CorporateActionsType.REVERSE_SPLIT])
        self.assertEqual(list(self.client.get_corporate_actions(asked).data), ["forward_splits"])

    def test_a_split_the_wrong_way_round(self) -> None:
        fake.tell("faults", kind="mislabelled_split", how="rates")
        asked = CorporateActionsRequest(start=datetime.date(2026, 1, 1), end=datetime.date(2026, 1, 31),
                                        symbols=["AAPL"],
                                        types=[CorporateActionsType.FORWARD_SPLIT])
        split = self.client.get_corporate_actions(asked).data["forward_splits"][0]
        self.assertEqual((split.new_rate, split.old_rate), (1, 4))


class Trading(Conformance):
    """TradingClient."""

    def setUp(self) -> None:
        super().setUp()
        self.client = TradingClient(**KEYS, url_override=fake.at["trading"])
        fake.tell("bars", bars={"AAPL": minutes("2026-01-05T15:29:00Z", 100, 101, 102, 103)})

    def buy(self, qty: float = 10, **more):
        return self.client.submit_order(MarketOrderRequest(symbol="AAPL", qty=qty, side=BUY, time_in_force=DAY, **more))

    def test_the_account_has_no_day_trading_fields(self) -> None:
        account = self.client.get_account()
        self.assertEqual((account.cash, account.equity, account.buying_power), ("100000", "100000", "200000"))
        self.assertIsNone(account.pattern_day_trader)
        self.assertIsNone(account.daytrade_count)
        fake.tell("settings", day_trading_fields=True)
        self.assertIs(self.client.get_account().pattern_day_trader, False)

    def test_configurations_are_read_and_changed(self) -> None:
        now = self.client.get_account_configurations()
        self.assertIsNone(now.pdt_check)
        now.no_shorting = True
        self.assertTrue(self.client.set_account_configurations(now).no_shorting)

    def test_a_market_order_from_answer_to_fill(self) -> None:
        order = self.buy(client_order_id="mine")
        self.assertEqual((order.status, order.filled_qty), (OrderStatus.PENDING_NEW, "0"))
        self.assertEqual(self.client.get_order_by_client_id("mine").status, OrderStatus.NEW)
        fake.tell("clock", advance="1m")
        done = self.client.get_order_by_id(order.id, GetOrderByIdRequest(nested=True))
        self.assertEqual((done.status, done.filled_avg_price), (OrderStatus.FILLED, "101"))
        position = self.client.get_open_position("AAPL")
        self.assertEqual((position.qty, position.avg_entry_price, position.qty_available), ("10", "101", "10"))
        self.assertEqual([of.symbol for of in self.client.get_all_positions()], ["AAPL"])

    def test_every_type_of_order(self) -> None:
        fake.tell("settings", wash_check=False)
        common = {"symbol": "AAPL", "qty": 1, "time_in_force": GTC, "side": BUY}
        for request, kind in (
                (LimitOrderRequest(**common, limit_price=90), OrderType.LIMIT),
                (StopOrderRequest(**common, stop_price=110), OrderType.STOP),
                (StopLimitOrderRequest(**common, stop_price=110, limit_price=111), OrderType.STOP_LIMIT),
                (TrailingStopOrderRequest(**common, trail_percent=5), OrderType.TRAILING_STOP),
                (MarketOrderRequest(symbol="AAPL", notional=250, side=BUY, time_in_force=DAY), OrderType.MARKET)):
            order = self.client.submit_order(request)
            self.assertEqual(order.order_type, kind)
        self.assertEqual(len(self.client.get_orders()), 5)

    def test_bracket_oto_and_oco(self) -> None:
        order = self.buy(order_class=OrderClass.BRACKET, take_profit=TakeProfitRequest(limit_price=120),
                         stop_loss=StopLossRequest(stop_price=90))
        self.assertEqual([leg.status for leg in order.legs], [OrderStatus.HELD] * 2)
        self.assertTrue(all(leg.legs is None for leg in order.legs))
        self.client.cancel_order_by_id(order.id)
        fake.tell("positions", positions=[{"symbol": "AAPL", "qty": "5", "avg_entry_price": "100"}])
        order = self.client.submit_order(LimitOrderRequest(
            symbol="AAPL", qty=5, side=SELL, time_in_force=GTC, order_class=OrderClass.OCO,
            take_profit=TakeProfitRequest(limit_price=120), stop_loss=StopLossRequest(stop_price=90)))
        self.assertEqual(order.legs[0].type, OrderType.STOP)
        self.assertEqual(self.client.get_open_position("AAPL").qty_available, "0")
        self.client.cancel_orders()
        order = self.buy(order_class=OrderClass.OTO, stop_loss=StopLossRequest(stop_price=90))
        self.assertEqual(len(order.legs), 1)

    def test_lists_of_orders(self) -> None:
        first = self.buy()
        fake.tell("clock", advance="1m")
        second = self.buy()
        def ids(**asked) -> list:
            return [order.id for order in self.client.get_orders(GetOrdersRequest(**asked))]
        self.assertEqual(ids(status=QueryOrderStatus.OPEN), [second.id])
        self.assertEqual(ids(status=QueryOrderStatus.CLOSED, symbols=["AAPL"]), [first.id])
        self.assertEqual(ids(status=QueryOrderStatus.ALL, nested=True), [second.id, first.id])
        self.assertEqual(ids(status=QueryOrderStatus.ALL, after=utc(NOW)), [second.id])
        self.assertEqual(ids(status=QueryOrderStatus.ALL, side=SELL), [])

    def test_an_order_is_replaced(self) -> None:
        order = self.client.submit_order(LimitOrderRequest(symbol="AAPL", qty=2, side=BUY, time_in_force=DAY,
                                                           limit_price=90))
        new = self.client.replace_order_by_id(order.id, ReplaceOrderRequest(qty=3, limit_price=91))
        self.assertEqual((new.replaces, new.qty, new.limit_price), (order.id, "3", "91"))
        old = self.client.get_order_by_id(order.id)
        self.assertEqual((old.status, old.replaced_by), (OrderStatus.REPLACED, new.id))

    def test_all_orders_are_cancelled(self) -> None:
        self.client.submit_order(LimitOrderRequest(symbol="AAPL", qty=2, side=BUY, time_in_force=DAY, limit_price=90))
        self.assertEqual([of.status for of in self.client.cancel_orders()], [200])
        self.assertEqual(self.client.get_orders(), [])

    def test_positions_are_closed(self) -> None:
        self.buy()
        fake.tell("clock", advance="1m")
        part = self.client.close_position("AAPL", ClosePositionRequest(qty="4"))
        self.assertEqual((part.side, part.qty), (SELL, "4"))
        fake.tell("clock", advance="1m")
        self.assertEqual(self.client.get_open_position("AAPL").qty, "6")
        closed = self.client.close_all_positions(cancel_orders=True)
        self.assertEqual([(of.symbol, of.status, of.body.qty) for of in closed], [("AAPL", 200, "6")])
        fake.tell("clock", advance="1m")
        with self.assertRaises(APIError) as refused:
            self.client.get_open_position("AAPL")
        self.assertEqual((refused.exception.status_code, refused.exception.code), (404, 40410000))

    def test_a_position_that_orders_hold_is_not_closed(self) -> None:
        fake.tell("positions", positions=[{"symbol": "AAPL", "qty": "5", "avg_entry_price": "100"}])
        self.client.submit_order(StopOrderRequest(symbol="AAPL", qty=5, side=SELL, time_in_force=GTC, stop_price=90))
        body = self.client.close_all_positions()[0].body
        self.assertEqual((body.code, body.available, body.held_for_orders), (40310000, 0, 5))

    def test_activities(self) -> None:
        self.buy()
        fake.tell("clock", advance="1m")
        found = [TradeActivity(**of) for of in self.client.get("/account/activities/FILL")]
        self.assertEqual([(of.price, of.qty, of.leaves_qty) for of in found], [(101, 10, 0)])

    def test_clock_and_calendar(self) -> None:
        clock = self.client.get_clock()
        self.assertTrue(clock.is_open)
        self.assertEqual(clock.next_close, utc("2026-01-05T21:00:00Z"))
        asked = GetCalendarRequest(start=datetime.date(2026, 11, 23), end=datetime.date(2026, 11, 30))
        days = {day.date.day: (day.open.hour, day.close.hour) for day in self.client.get_calendar(asked)}
        self.assertEqual(days, {23: (9, 16), 24: (9, 16), 25: (9, 16), 27: (9, 13), 30: (9, 16)})
        self.assertGreater(len(self.client.get_calendar()), 10_000)

    def test_assets(self) -> None:
        asset = self.client.get_asset("AAPL")
        self.assertTrue(asset.tradable)
        self.assertEqual(self.client.get_asset(asset.id).symbol, "AAPL")
        fake.tell("assets", assets=[{"symbol": "GONE", "status": "inactive", "tradable": False}])
        inactive = self.client.get_all_assets(GetAssetsRequest(status=AssetStatus.INACTIVE))
        self.assertEqual([of.symbol for of in inactive], ["GONE"])

    def test_portfolio_history(self) -> None:
        fake.tell("clock", advance="1d")
        found = self.client.get_portfolio_history(GetPortfolioHistoryRequest(timeframe="1D"))
        self.assertEqual((found.equity, found.profit_loss), ([100_000] * 2, [0] * 2))

    def test_watchlists(self) -> None:
        made = self.client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=["AAPL"]))
        self.client.add_asset_to_watchlist_by_id(made.id, "MSFT")
        self.client.remove_asset_from_watchlist_by_id(made.id, "AAPL")
        self.client.update_watchlist_by_id(made.id, UpdateWatchlistRequest(name="ours"))
        found = self.client.get_watchlist_by_id(made.id)
        self.assertEqual((found.name, [of.symbol for of in found.assets]), ("ours", ["MSFT"]))
        self.assertEqual(len(self.client.get_watchlists()), 1)
        self.client.delete_watchlist_by_id(made.id)
        self.assertEqual(self.client.get_watchlists(), [])

    def test_announcements(self) -> None:
        said = {"id": str(uuid.uuid4()), "corporate_action_id": "AAPL_1", "ca_type": "dividend", "ca_sub_type": "cash",
                "initiating_symbol": "AAPL", "initiating_original_cusip": "1", "ex_date": "2026-01-05", "cash": 0.25,
                "old_rate": 1, "new_rate": 1}
        fake.tell("announcements", announcements=[said])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self.client.get_corporate_announcements(GetCorporateAnnouncementsRequest(
                ca_types=[CorporateActionType.DIVIDEND], since=datetime.date(2026, 1, 1),
                until=datetime.date(2026, 1, 31)))
        self.assertEqual(found[0].cash, 0.25)
        self.assertEqual(self.client.get_corporate_announcement_by_id(said["id"]).initiating_symbol, "AAPL")

    def test_option_contracts(self) -> None:
        contract = {"id": str(uuid.uuid4()), "symbol": "AAPL260116C00100000", "name": "AAPL Jan 16 2026 100 Call",
                    "status": "active", "tradable": True, "expiration_date": "2026-01-16", "root_symbol": "AAPL",
                    "underlying_symbol": "AAPL", "underlying_asset_id": str(uuid.uuid4()), "type": "call",
                    "style": "american", "strike_price": "100", "size": "100"}
        fake.tell("option_contracts", option_contracts=[contract])
        fake.tell("positions", positions=[{"symbol": contract["symbol"], "qty": "1", "avg_entry_price": "2"}])
        asked = GetOptionContractsRequest(underlying_symbols=["AAPL"], strike_price_gte="90")
        self.assertEqual(len(self.client.get_option_contracts(asked).option_contracts), 1)
        self.assertEqual(self.client.get_option_contract(contract["symbol"]).strike_price, 100)
        self.client.exercise_options_position(contract["symbol"])
        self.assertEqual(self.client.get_open_position("AAPL").qty, "100")

    def test_the_client_sends_a_post_again_after_504_and_meets_its_own_order(self) -> None:
        self.client._retry_wait = 0
        fake.tell("faults", kind="answer", on={"method": "POST"}, status=504, message="timeout", carry_out=True)
        with self.assertRaises(APIError) as refused:
            self.buy(client_order_id="once")
        self.assertEqual((refused.exception.status_code, refused.exception.code), (422, 40010001))
        self.assertEqual(len(fake.ask("requests", method="POST")), 2)
        self.assertEqual(len(fake.ask("orders")), 1)

    def test_the_client_waits_when_there_were_too_many_requests(self) -> None:
        self.client._retry_wait = 0
        fake.tell("faults", kind="rate_limit", count=2)
        self.assertEqual(self.client.get_account().cash, "100000")
        self.assertEqual([of["status"] for of in fake.ask("requests", path="account")], [429, 429, 200])


class Streams(Conformance):
    """StockDataStream and TradingStream, each in a thread of its own."""

    def start(self, stream, ready: dict) -> None:
        thread = threading.Thread(target=stream.run, daemon=True)
        thread.start()
        def stop() -> None:
            stream.stop()
            # It looks whether it is to stop when a message comes, or every five seconds.
            fake.tell("send", stream="data", frame=[{"T": "success", "msg": "awake"}])
            fake.tell("send", stream="trading", frame={"stream": "none", "data": {}})
            thread.join(8)
            self.assertFalse(thread.is_alive(), "the stream doesn't stop")
        self.addCleanup(stop)
        stream._reconnect_min_backoff = 0.05
        fake.wait(kind="frame", direction="out", timeout=10, **ready)

    @staticmethod
    def eventually(condition, limit: float = 5):
        end = time.monotonic() + limit
        while not (found := condition()) and time.monotonic() < end:
            time.sleep(0.01)
        return found


class DataStream(Streams):
    """StockDataStream, which speaks msgpack."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[tuple[str, object]] = []
        self.stream = StockDataStream(**KEYS, feed=DataFeed.SIP, url_override=f"{fake.at['data_stream']}/v2/sip")
        def handler(kind: str):
            async def hear(message) -> None:
                self.heard.append((kind, message))
            return hear
        for kind in ("trades", "quotes", "bars", "updated_bars", "daily_bars", "trading_statuses"):
            getattr(self.stream, f"subscribe_{kind}")(handler(kind), "AAPL")
        self.stream.register_trade_corrections(handler("corrections"))
        self.stream.register_trade_cancels(handler("cancels"))
        self.start(self.stream, {"data": "subscription"})

    def test_every_kind_of_message(self) -> None:
        fake.tell("bars", bars={"AAPL": minutes("2026-01-05T15:30:00Z", 100)})
        at = "2026-01-05T15:30:30.5Z"
        fake.tell("messages", trades={"AAPL": [{"t": at, "p": 100.5, "i": 1}]},
                  quotes={"AAPL": [{"t": at, "bp": 100, "ap": 101}]},
                  statuses={"AAPL": [{"t": at, "sc": "H", "sm": "Trading Halt", "rc": "T1", "rm": "News Pending"}]},
                  corrections={"AAPL": [{"t": at, "oi": 1, "op": 100.5, "cp": 100.4}]},
                  cancelErrors={"AAPL": [{"t": at, "i": 1, "p": 100.5}]})
        fake.tell("corrections", bars={"AAPL": [minutes("2026-01-05T15:30:00Z", 100)[0] | {"v": 2000}]})
        fake.tell("clock", advance="2m")
        self.assertTrue(self.eventually(lambda: len(self.heard) == 8), self.heard)
        heard = dict(self.heard)
        self.assertEqual((heard["bars"].timestamp, heard["bars"].volume), (utc("2026-01-05T15:30:00Z"), 1000))
        self.assertEqual((heard["updated_bars"].volume, heard["daily_bars"].open), (2000, 100))
        self.assertEqual((heard["trades"].price, heard["quotes"].ask_price), (100.5, 101))
        self.assertEqual(heard["trades"].timestamp, utc("2026-01-05T15:30:30.500000Z"))
        self.assertEqual(heard["trading_statuses"].status_code, "H")
        self.assertEqual((heard["corrections"].corrected_price, heard["cancels"].action), (100.4, "C"))

    def test_it_comes_back_after_a_drop_in_the_middle_of_a_frame(self) -> None:
        fake.tell("faults", kind="drop_socket", on={"T": "b"})
        fake.tell("bars", bars={"AAPL": minutes("2026-01-05T15:30:00Z", 100, 101)})
        fake.tell("clock", advance="1m")
        fake.wait(kind="frame", direction="out", data="subscription", count=2, timeout=5)
        fake.tell("clock", advance="1m")
        self.assertTrue(self.eventually(lambda: any(kind == "bars" for kind, _ in self.heard)))
        self.assertEqual([bar.open for kind, bar in self.heard if kind == "bars"], [101])

    def test_it_is_refused_while_its_old_socket_lingers(self) -> None:
        fake.tell("settings", linger=0.3)
        fake.tell("drop", stream="data")
        fake.wait(kind="frame", direction="out", data="connection limit exceeded", timeout=5)
        fake.wait(kind="frame", direction="out", data="subscription", count=2, timeout=5)

    def test_it_leaves_a_silent_socket_if_it_may(self) -> None:
        self.stream._data_timeout = 1.0
        def trades() -> int:
            for _ in range(15):
                fake.tell("messages", trades={"AAPL": [{"p": 5}]})
                time.sleep(0.1)
            return len({frame["connection"] for frame in fake.ask("requests", direction="out", data="subscription")})
        self.assertEqual(trades(), 1)
        fake.tell("faults", kind="silent")
        self.assertTrue(self.eventually(lambda: trades() == 2))
        self.assertTrue(fake.ask("requests", direction="lost"))

    def test_subscriptions_change(self) -> None:
        async def hear(message) -> None:
            self.heard.append(("more", message))
        self.stream.subscribe_bars(hear, "MSFT")
        fake.wait(kind="frame", direction="out", data="'bars': \\['AAPL', 'MSFT'\\]", timeout=5)
        self.stream.unsubscribe_bars("AAPL")
        fake.wait(kind="frame", direction="out", data="'bars': \\['MSFT'\\]", timeout=5)

    def test_an_error_after_subscribing_is_not_the_end(self) -> None:
        fake.tell("send", stream="data", frame=[{"T": "error", "code": 500, "msg": "internal error"}])
        fake.tell("messages", trades={"AAPL": [{"p": 5}]})
        self.assertTrue(self.eventually(lambda: self.heard))


class TradeUpdates(Streams):
    """TradingStream."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: list = []
        self.client = TradingClient(**KEYS, url_override=fake.at["trading"])
        self.stream = TradingStream(**KEYS, url_override=fake.at["trading_stream"])
        async def hear(update) -> None:
            self.heard.append(update)
        self.stream.subscribe_trade_updates(hear)
        self.start(self.stream, {"data": "listening"})
        fake.tell("bars", bars={"AAPL": minutes("2026-01-05T15:29:00Z", 100, 101, 102, 103)})

    def events(self, count: int) -> list[str]:
        self.eventually(lambda: len(self.heard) >= count)
        return [str(getattr(update.event, "value", update.event)) for update in self.heard]

    def order(self, **more):
        return self.client.submit_order(LimitOrderRequest(symbol="AAPL", qty=10, side=BUY, time_in_force=DAY,
                                                          **({"limit_price": 50} | more)))

    def test_the_life_of_an_order(self) -> None:
        fake.tell("settings", ack_events=["pending_new", "accepted", "new"])
        fake.tell("faults", kind="partial_fill", qty="4")
        self.order(limit_price=150)
        fake.tell("clock", advance="2m")
        self.assertEqual(self.events(5), ["pending_new", "accepted", "new", "partial_fill", "fill"])
        part, rest = self.heard[-2:]
        self.assertEqual((part.qty, part.price, part.position_qty, rest.qty, rest.position_qty), (4, 101, 4, 6, 10))
        self.assertEqual(rest.order.status, OrderStatus.FILLED)
        self.assertTrue(all(isinstance(update.execution_id, uuid.UUID) for update in self.heard))

    def test_the_other_ends(self) -> None:
        fake.tell("faults", kind="reject")
        self.order()
        self.client.cancel_order_by_id(self.order().id)
        self.client.replace_order_by_id(self.order().id, ReplaceOrderRequest(limit_price=51))
        fake.tell("settings", cancel_delay=1, replace_delay=1)
        order = self.order()
        self.client.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=52))
        self.client.cancel_order_by_id(self.order().id)
        fake.tell("clock", set="2026-01-05T21:00:00Z")
        events = set(self.events(20))
        self.assertLessEqual({"rejected", "canceled", "replaced", "pending_replace", "pending_cancel", "expired"},
                             events)

    def test_kinds_that_the_client_does_not_know_are_texts(self) -> None:
        order = self.order()
        for event in ("restated", "done_for_day", "stopped", "suspended", "calculated", "order_cancel_rejected"):
            fake.tell("order_event", order=str(order.id), event=event)
        self.assertEqual(self.events(8)[2:], ["restated", "done_for_day", "stopped", "suspended", "calculated",
                                              "order_cancel_rejected"])
        self.assertEqual(self.heard[2].event, TradeEvent.RESTATED)

    def test_an_event_without_an_id(self) -> None:
        fake.tell("settings", event_ids=False)
        self.order()
        self.assertEqual(self.events(2), ["pending_new", "new"])
        self.assertEqual(fake.ask("requests", data="event_id"), [])

    def test_nothing_is_told_again_after_a_drop(self) -> None:
        fake.tell("drop", stream="trading", how="abort")
        self.order()
        fake.wait(kind="frame", direction="out", data="listening", count=2, timeout=5)
        order = self.order()
        self.assertEqual(self.events(2), ["pending_new", "new"])
        self.assertEqual({update.order.id for update in self.heard}, {order.id})



if __name__ == "__main__":
    unittest.main()
