"""What the fake's market data host answers: pages, bars of all widths, corporate actions; and what goes wrong there.

    python tests/alpaca/test_fake_data.py
"""
import unittest
from typing import Any

from asking import Fresh, bar, data, fake, minute, until


class Data(Fresh):
    """Pages of bars."""

    ASKED = {"symbols": "AAPL,MSFT", "timeframe": "1Min", "start": "2026-01-05T14:30:00Z",
             "end": "2026-01-05T21:00:00Z", "feed": "sip", "limit": "10000"}

    def bars(self, **more: Any) -> Any:
        got = data("/v2/stocks/bars", **(self.ASKED | more))
        self.assertEqual(got.status, 200, got.text)
        return got.json

    def all_pages(self, **more: Any) -> list[dict]:
        pages, token = [], {}
        while True:
            pages.append(self.bars(**(more | token)))
            if pages[-1]["next_page_token"] is None:
                return pages
            token = {"page_token": pages[-1]["next_page_token"]}
            self.assertLess(len(pages), 50)

    def test_nothing_is_known_before_it_happened(self) -> None:
        minute("15:30", 101, 102, 100, 101.5)
        self.assertEqual(len(self.bars()["bars"]["AAPL"]), 1)
        fake.tell("clock", advance="59.999s")
        self.assertEqual(len(self.bars()["bars"]["AAPL"]), 1)
        fake.tell("clock", advance="1ms")
        self.assertEqual(self.bars()["bars"]["AAPL"][1]["t"], "2026-01-05T15:30:00Z")

    def test_both_ends_are_included(self) -> None:
        fake.tell("bars", bars={"MSFT": [bar(f"15:0{n}", 1, 1, 1, 1) for n in range(6)]})
        bars = self.bars(start="2026-01-05T15:01:00Z", end="2026-01-05T15:03:00Z")["bars"]
        self.assertEqual([of["t"][14:16] for of in bars["MSFT"]], ["01", "02", "03"])
        self.assertNotIn("AAPL", bars)

    def test_pages_count_bars_of_all_symbols(self) -> None:
        fake.tell("bars", bars={"MSFT": [bar(f"15:0{n}", 1, 1, 1, 1) for n in range(3)],
                                "AAPL": [bar(f"15:0{n}", 1, 1, 1, 1) for n in range(2)]})
        pages = self.all_pages(limit="2")
        self.assertEqual([{symbol: len(of) for symbol, of in page["bars"].items()} for page in pages],
                         [{"AAPL": 2}, {"AAPL": 1, "MSFT": 1}, {"MSFT": 2}])
        backwards = self.bars(sort="desc", limit="3")["bars"]["AAPL"]
        self.assertEqual([of["t"][14:16] for of in backwards], ["29", "01", "00"])

    def test_one_symbol_in_the_path(self) -> None:
        said = data("/v2/stocks/AAPL/bars", **(self.ASKED | {"symbols": ""})).json
        self.assertEqual((said["symbol"], len(said["bars"]), said["next_page_token"]), ("AAPL", 1, None))

    def test_a_short_page_is_not_the_last(self) -> None:
        fake.tell("bars", bars={"MSFT": [bar(f"15:0{n}", 1, 1, 1, 1) for n in range(6)]})
        fake.tell("faults", kind="short_page", size=2, count=None)
        self.assertEqual([sum(map(len, page["bars"].values())) for page in self.all_pages()], [2, 2, 2, 1])

    def test_an_empty_page_is_not_the_last(self) -> None:
        fake.tell("faults", kind="empty_page", count=2)
        self.assertEqual([page["bars"] == {} for page in self.all_pages()], [True, True, False])

    def test_pages_that_go_round(self) -> None:
        fake.tell("faults", kind="repeat_page", count=3)
        pages = self.all_pages()
        self.assertEqual(len({page["next_page_token"] for page in pages}), 2)
        self.assertEqual(pages[0]["bars"], pages[3]["bars"])

    def test_null_bars(self) -> None:
        fake.tell("faults", kind="null_bars", symbols=["MSFT"])
        fake.tell("faults", kind="null_bars", whole=True, skip=1)
        bars = self.bars()["bars"]
        self.assertEqual((len(bars["AAPL"]), bars["MSFT"]), (1, None))
        self.assertIsNone(self.bars()["bars"])

    def test_duplicate_and_shuffled_bars(self) -> None:
        minute("15:28", 1, 1, 1, 1)
        fake.tell("faults", kind="duplicate_bars")
        fake.tell("faults", kind="shuffled_bars", skip=1)
        self.assertEqual([of["t"][14:16] for of in self.bars()["bars"]["AAPL"]], ["28", "28", "29", "29"])
        self.assertEqual([of["t"][14:16] for of in self.bars()["bars"]["AAPL"]], ["29", "28"])

    def test_symbols_without_bars(self) -> None:
        for choice, empty in (("omit", "none"), ("empty", []), ("null", None)):
            fake.tell("settings", absent_symbols=choice)
            self.assertEqual(self.bars()["bars"].get("MSFT", "none"), empty)

    def test_what_a_date_means(self) -> None:
        fake.tell("bars",
                  bars={"MSFT": [bar("2026-01-05T04:30:00Z", 1, 1, 1, 1), bar("2026-01-05T05:30:00Z", 1, 1, 1, 1)]})
        asked = {"start": "2026-01-05", "end": "2026-01-05", "symbols": "MSFT"}
        self.assertEqual(len(self.bars(**asked)["bars"]["MSFT"]), 2)
        fake.tell("settings", bare_dates="new_york")
        self.assertEqual(len(self.bars(**asked)["bars"]["MSFT"]), 1)

    def test_days_are_known_at_the_close(self) -> None:
        minute("15:28", 99, 101, 98, 100)
        fake.tell("bars", bars={"AAPL": [bar("21:30", 500, 500, 500, 500)]})
        asked = {"timeframe": "1Day", "start": "2026-01-05T05:00:00Z", "end": "2026-01-06T00:00:00Z", "symbols": "AAPL"}
        self.assertEqual(self.bars(**asked)["bars"], {})
        until("21:45")
        day = self.bars(**asked)["bars"]["AAPL"][0]
        # Prices of regular hours, volume of all.
        self.assertEqual((day["t"], day["o"], day["h"], day["l"], day["c"], day["v"]),
                         ("2026-01-05T05:00:00Z", 99, 101, 98, 100, 3000))

    def test_the_day_so_far_if_a_test_wants_it(self) -> None:
        fake.tell("settings", partial_day=True)
        asked = {"timeframe": "1Day", "start": "2026-01-05T05:00:00Z", "symbols": "AAPL"}
        self.assertEqual(len(self.bars(**asked)["bars"]["AAPL"]), 1)

    def test_days_in_summer_start_an_hour_earlier(self) -> None:
        fake.tell("bars", timeframe="1Day", bars={"MSFT": [bar("2025-07-01", 1, 1, 1, 1)]})
        days = self.bars(timeframe="1Day", start="2025-06-01T00:00:00Z", end="2025-08-01T00:00:00Z")["bars"]["MSFT"]
        self.assertEqual(days[0]["t"], "2025-07-01T04:00:00Z")

    def test_weeks_and_months(self) -> None:
        fake.tell("bars", timeframe="1Day", bars={"MSFT": [bar(f"2025-12-{n:02}", n, n, n, n) for n in (1, 2, 8, 31)]})
        asked = {"start": "2025-12-01T00:00:00Z", "end": "2026-01-01T00:00:00Z", "symbols": "MSFT"}
        self.assertEqual([of["c"] for of in self.bars(timeframe="1Week", **asked)["bars"]["MSFT"]], [2, 8, 31])
        self.assertEqual([of["h"] for of in self.bars(timeframe="1Month", **asked)["bars"]["MSFT"]], [31])

    def test_a_revised_bar(self) -> None:
        fake.tell("corrections", bars={"AAPL": [bar("15:29", 100, 105, 100, 104) | {"at": "2026-01-05T15:31:00Z"}]})
        self.assertEqual(self.bars()["bars"]["AAPL"][0]["c"], 100)
        until("15:31")
        self.assertEqual(self.bars()["bars"]["AAPL"][0]["c"], 104)

    def test_splits_and_dividends_change_what_was(self) -> None:
        fake.tell("bars", timeframe="1Day", bars={"MSFT": [bar("2025-12-30", 400, 400, 400, 400, 10)]})
        fake.tell("corporate_actions",
                  forward_splits=[{"symbol": "MSFT", "new_rate": 4, "old_rate": 1, "ex_date": "2025-12-31"}],
                  cash_dividends=[{"symbol": "MSFT", "rate": 40, "ex_date": "2026-01-02"}])
        asked = {"timeframe": "1Day", "start": "2025-12-01T00:00:00Z", "symbols": "MSFT"}
        def close(adjustment: str) -> tuple:
            day = self.bars(adjustment=adjustment, **asked)["bars"]["MSFT"][0]
            return day["c"], day["v"]
        self.assertEqual([close(kind) for kind in ("raw", "split", "dividend", "all", "split,dividend", "spin-off")],
                         [(400, 10), (100, 40), (360, 10), (90, 40), (90, 40), (400, 10)])

    def test_renames_are_followed_unless_told_not_to(self) -> None:
        fake.tell("bars", timeframe="1Day",
                  bars={"FB": [bar("2025-12-30", 1, 1, 1, 1)], "META": [bar("2025-12-31", 2, 2, 2, 2)]})
        fake.tell("corporate_actions",
                  name_changes=[{"old_symbol": "FB", "new_symbol": "META", "process_date": "2025-12-31"}])
        asked = {"timeframe": "1Day", "start": "2025-12-01T00:00:00Z", "symbols": "META"}
        def closes(**asof: str) -> list:
            return [day["c"] for day in self.bars(**asked, **asof)["bars"]["META"]]
        self.assertEqual((closes(), closes(asof="-"), closes(asof="2025-12-30")), ([1, 2], [2], [2]))

    def test_feeds(self) -> None:
        fake.tell("bars", feed="iex", bars={"AAPL": [bar("15:29", 7, 7, 7, 7)]})
        self.assertEqual((self.bars()["bars"]["AAPL"][0]["c"], self.bars(feed="iex")["bars"]["AAPL"][0]["c"]), (100, 7))
        fake.tell("settings", feeds=["iex"])
        self.assertEqual(data("/v2/stocks/bars", **self.ASKED).status, 403)

    def test_without_a_subscription_the_last_quarter_of_an_hour_is_not_shown(self) -> None:
        fake.tell("settings", realtime_sip=False)
        got = data("/v2/stocks/bars", **self.ASKED)
        self.refused(got, 403, 42210000, "subscription does not permit querying recent SIP data")
        self.assertEqual(self.bars(end="2026-01-05T15:00:00Z")["bars"], {})
        self.assertEqual(len(self.bars(feed="iex")["bars"]["AAPL"]), 1)

    def test_bad_parameters(self) -> None:
        for bad in ({"timeframe": "60Min"}, {"timeframe": "2Day"}, {"timeframe": ""}, {"limit": "10001"},
                    {"limit": "x"},
                    {"adjustment": "none"}, {"feed": "moon"}, {"sort": "up"}, {"start": "yesterday"}, {"symbols": ""},
                    {"asof": "today"}, {"page_token": "!"}, {"start": "2026-01-05T16:00:00Z",
                                                             "end": "2026-01-05T15:00:00Z"}):
            with self.subTest(bad):
                self.refused(data("/v2/stocks/bars", **(self.ASKED | bad)), 400)

    def test_auctions_quotes_and_trades_at_one_time(self) -> None:
        fake.tell("auctions", auctions={"AAPL": [{"d": "2026-01-02", "o": [{"p": 99}], "c": [{"p": 100}]}]})
        said = data("/v2/stocks/auctions", symbols="AAPL", start="2026-01-01").json["auctions"]["AAPL"]
        self.assertEqual(said, [{"d": "2026-01-02", "o": [{"p": 99}], "c": [{"p": 100}]}])
        at = "2026-01-05T15:00:00.000000001Z"
        fake.tell("messages", trades={"AAPL": [{"t": at, "p": n} for n in (1, 2, 3)]})
        prices, token = [], {}
        while token is not None:
            page = data("/v2/stocks/trades", symbols="AAPL", start="2026-01-05", limit="1", **token).json
            prices += [of["p"] for of in page["trades"]["AAPL"]]
            token = {"page_token": page["next_page_token"]} if page["next_page_token"] else None
        self.assertEqual(prices, [1, 2, 3])
        self.assertEqual(page["trades"]["AAPL"][0]["t"], at)

    def test_corporate_actions_default_to_today_and_come_in_pages(self) -> None:
        fake.tell("corporate_actions", cash_dividends=[
            {"symbol": "AAPL", "rate": n, "ex_date": f"2026-01-0{n}", "process_date": "2026-01-09"} for n in (2, 5, 6)])
        def rates(**more: str) -> list:
            found = data("/v1/corporate-actions", **more).json["corporate_actions"].get("cash_dividends", [])
            return [action["rate"] for action in found]
        self.assertEqual(rates(), [5])
        self.assertEqual(rates(start="2026-01-01", end="2026-01-31", sort="desc"), [6, 5, 2])
        page = data("/v1/corporate-actions", start="2026-01-01", end="2026-01-31", limit="2").json
        self.assertEqual(rates(start="2026-01-01", end="2026-01-31", limit="2", page_token=page["next_page_token"]),
                         [6])

    def test_an_action_that_is_known_later(self) -> None:
        fake.tell("corporate_actions",
                  forward_splits=[{"symbol": "AAPL", "new_rate": 2, "old_rate": 1, "ex_date": "2026-01-05",
                                                        "known_at": "2026-01-05T16:00:00Z"}])
        self.assertEqual(data("/v1/corporate-actions").json["corporate_actions"], {})
        until("16:00")
        self.assertNotIn("known_at", data("/v1/corporate-actions").json["corporate_actions"]["forward_splits"][0])

    def test_a_mislabelled_split(self) -> None:
        fake.tell("corporate_actions",
                  forward_splits=[{"symbol": "AAPL", "new_rate": 2, "old_rate": 1, "ex_date": "2026-01-05"}])
        fake.tell("faults", kind="mislabelled_split")
        said = data("/v1/corporate-actions").json["corporate_actions"]
        self.assertEqual(list(said), ["reverse_splits"])
        fake.tell("faults", kind="mislabelled_split", how="rates")
        said = data("/v1/corporate-actions").json["corporate_actions"]["forward_splits"][0]
        self.assertEqual((said["new_rate"], said["old_rate"]), (1, 2))


if __name__ == "__main__":
    unittest.main()
