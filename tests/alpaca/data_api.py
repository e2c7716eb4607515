"""The market data host: bars, quotes, trades, auctions, snapshots, corporate actions, in pages."""
import base64
import bisect
import datetime
from typing import Any

from market import DAYS, MINUTES, Market, Timeframe, known, shown
from settings import Settings
from times import MINUTE, SECOND, new_york_date, new_york_time, parse, written
from web import Answer, Ask, Refusal, Routes

FEEDS = ("sip", "iex", "otc", "boats", "delayed_sip", "overnight", "test")
ADJUSTMENTS = {"raw", "split", "dividend", "spin-off", "all"}
NO_RECENT_SIP = "subscription does not permit querying recent SIP data"
# As a request names them, and as the answer does.
ACTIONS = {"reverse_split": "reverse_splits", "forward_split": "forward_splits", "unit_split": "unit_splits",
           "cash_dividend": "cash_dividends", "stock_dividend": "stock_dividends", "spin_off": "spin_offs",
           "cash_merger": "cash_mergers", "stock_merger": "stock_mergers",
           "stock_and_cash_merger": "stock_and_cash_mergers", "redemption": "redemptions",
           "name_change": "name_changes", "worthless_removal": "worthless_removals",
           "rights_distribution": "rights_distributions"}
# Asked again with it, a page is answered as without it.
AGAIN = "AGAIN."
Items = list[tuple[str, int, Any]]


class DataApi:
    """Answers from what the market knows by now."""

    def __init__(self, market: Market, settings: Settings, now) -> None:
        self._market, self._settings, self._now = market, settings, now
        self.routes = Routes()
        for kind in ("bars", "quotes", "trades", "auctions"):
            several, one = getattr(self, f"_{kind}"), kind
            self.routes.add("GET", f"/v2/stocks/{kind}", self._several(one, several))
            self.routes.add("GET", "/v2/stocks/{symbol}/" + kind, self._single(one, several))
        for kind in ("bars", "quotes", "trades"):
            self.routes.add("GET", f"/v2/stocks/{kind}/latest", self._latest(kind, alone=False))
            self.routes.add("GET", "/v2/stocks/{symbol}/" + f"{kind}/latest", self._latest(kind, alone=True))
        self.routes.add("GET", "/v2/stocks/snapshots", lambda ask: Answer(
            {symbol: self._snapshot(symbol, self._feed(ask)) for symbol in self._symbols(ask)}))
        self.routes.add("GET", "/v2/stocks/{symbol}/snapshot", lambda ask: Answer(
            {"symbol": ask.part["symbol"]} | self._snapshot(ask.part["symbol"], self._feed(ask))))
        self.routes.add("GET", "/v1/corporate-actions", self._corporate_actions)

    # ---- what is asked ----

    def _symbols(self, ask: Ask) -> list[str]:
        if alone := ask.part.get("symbol"):
            return [alone]
        symbols = ask.names("symbols")
        if not symbols:
            raise Refusal(400, None, "symbols is required")
        return sorted(set(symbols))

    def _feed(self, ask: Ask, end: int | None = None) -> str:
        """The feed; refused if the subscription doesn't have it, or not at this end."""
        feed = ask.query.get("feed", "sip" if self._settings.realtime_sip else "iex")
        if feed not in FEEDS:
            raise Refusal(400, None, f"invalid feed: {feed}")
        if feed not in self._settings.feeds:
            raise Refusal(403, None, f"subscription does not permit querying {feed} data")
        recent = end is not None and end > self._now() - 15 * MINUTE
        if feed == "sip" and recent and not self._settings.realtime_sip:
            raise Refusal(403, 42210000, NO_RECENT_SIP)
        return feed

    def _time(self, ask: Ask, name: str, default: int) -> int:
        """A date is the start of a day; as the end of a period it is the end of the day."""
        text = ask.query.get(name)
        if not text:
            return default
        try:
            if len(text) > 10:
                return parse(text.replace(" ", "+"))
            date = datetime.date.fromisoformat(text)
        except ValueError:
            raise Refusal(400, None, f"Invalid format for parameter {name}: error parsing '{text}' as RFC3339 or "
                          "2006-01-02 time") from None
        def midnight(of: datetime.date) -> int:
            return parse(f"{of}T00:00Z") if self._settings.bare_dates == "utc" else new_york_time(of, 0)
        return midnight(date) if name == "start" else midnight(date + datetime.timedelta(days=1)) - 1

    def _period(self, ask: Ask) -> tuple[int, int]:
        now = self._now()
        today = new_york_time(new_york_date(now), 0)
        late = 0 if self._settings.realtime_sip else 15 * MINUTE + 1
        start, end = self._time(ask, "start", today), self._time(ask, "end", now - late)
        if start > end and ask.query.get("start") and ask.query.get("end"):
            raise Refusal(400, None, "end should not be before start")
        return start, end

    # ---- pages ----

    def _several(self, kind: str, items):
        def answer(ask: Ask) -> Answer:
            symbols = self._symbols(ask)
            page, token = self._page(ask, items(ask, symbols), kind)
            by_symbol: dict[str, Any] = {}
            for symbol, _, item in page:
                by_symbol.setdefault(symbol, []).append(item)
            if self._settings.absent_symbols != "omit":
                empty: Any = [] if self._settings.absent_symbols == "empty" else None
                by_symbol = {symbol: by_symbol.get(symbol, empty) for symbol in symbols}
            return Answer({kind: by_symbol, "next_page_token": token} | self._currency(ask))
        return answer

    def _single(self, kind: str, items):
        def answer(ask: Ask) -> Answer:
            symbol = ask.part["symbol"]
            page, token = self._page(ask, items(ask, [symbol]), kind)
            shown_items = [item for _, _, item in page]
            return Answer({"symbol": symbol, kind: shown_items, "next_page_token": token} | self._currency(ask))
        return answer

    @staticmethod
    def _currency(ask: Ask) -> dict:
        return {"currency": ask.query["currency"]} if "currency" in ask.query else {}

    def _page(self, ask: Ask, items: Items, kind: str) -> tuple[Items, str | None]:
        """At most `limit` items over all symbols, by symbol and then by time; and where to go on."""
        limit = min(ask.number("limit", 1_000, 10_000), self._settings.largest_page)
        sort = ask.query.get("sort", "asc")
        if sort not in ("asc", "desc"):
            raise Refusal(400, None, f"invalid sort: {sort}")
        if sort == "desc":
            items = sorted(items, key=lambda item: (item[0], -item[1]))
        first = self._resume(ask.query.get("page_token", ""), items)
        page = items[first:first + limit]
        more = first + limit < len(items)
        return page, self._token(page, items[:first + limit], kind) if more else None

    @staticmethod
    def _token(page: Items, so_far: Items, kind: str) -> str:
        symbol, at, _ = page[-1]
        repeated = sum(1 for item in so_far if item[:2] == (symbol, at))
        whole, fraction = divmod(at, SECOND)
        text = f"{symbol}|{kind[0].upper()}|{written(whole * SECOND)[:-1]}.{fraction:09}Z|{repeated}"
        return base64.b64encode(text.encode()).decode()

    @staticmethod
    def _resume(token: str, items: Items) -> int:
        """Where the page of a token begins."""
        token = token.replace(AGAIN, "")
        if not token:
            return 0
        try:
            symbol, _, at, repeated = base64.b64decode(token.replace(" ", "+"), validate=True).decode().split("|")
            key = (symbol, parse(at))
            count = int(repeated)
        except ValueError:
            raise Refusal(400, None, "invalid page token") from None
        places = [place for place, item in enumerate(items) if item[:2] == key]
        if len(places) >= count:
            return places[count - 1] + 1
        # What the last page ended with is gone: go on after where it was.
        return bisect.bisect_right([item[:2] for item in items], key)

    # ---- series ----

    def _bars(self, ask: Ask, symbols: list[str]) -> Items:
        try:
            timeframe = Timeframe.read(ask.query.get("timeframe", ""))
        except ValueError as error:
            raise Refusal(400, None, str(error)) from None
        adjustments = set(ask.names("adjustment") or ["raw"])
        if not adjustments <= ADJUSTMENTS:
            raise Refusal(400, None, f"invalid adjustment: {ask.query['adjustment']}")
        start, end = self._period(ask)
        feed = self._feed(ask, end)
        bars = {symbol: self._named(ask, symbol, timeframe, feed, start, end) for symbol in symbols}
        return [(symbol, bar["t"], shown(self._market.adjusted(symbol, bar, adjustments)))
                for symbol in symbols for bar in bars[symbol]]

    def _named(self, ask: Ask, symbol: str, timeframe: Timeframe, feed: str, start: int, end: int) -> list[dict]:
        """Of a symbol, and of what it was called before, unless that isn't asked for."""
        asof = ask.query.get("asof") or str(new_york_date(self._now()))
        bars = self._market.bars(symbol, timeframe, feed, start, end)
        if asof == "-":
            return bars
        try:
            earlier = self._market.earlier_name(symbol, datetime.date.fromisoformat(asof))
        except ValueError:
            raise Refusal(400, None, f"invalid asof: {asof}") from None
        if not earlier:
            return bars
        name, until = earlier
        before = self._market.bars(name, timeframe, feed, start, min(end, until - 1))
        return before + [bar for bar in bars if bar["t"] >= until]

    def _listed(self, ask: Ask, symbols: list[str], of: dict[str, list[dict]]) -> Items:
        start, end = self._period(ask)
        self._feed(ask, end)
        return [(symbol, item["t"], shown(item)) for symbol in symbols
                for item in known(of.get(symbol, []), self._now()) if start <= item["t"] <= end]

    def _quotes(self, ask: Ask, symbols: list[str]) -> Items:
        return self._listed(ask, symbols, self._market.quotes)

    def _trades(self, ask: Ask, symbols: list[str]) -> Items:
        return self._listed(ask, symbols, self._market.trades)

    def _auctions(self, ask: Ask, symbols: list[str]) -> Items:
        """One item a day, as it was scripted; its time is its date's midnight in New York."""
        items = self._listed(ask, symbols, self._market.auctions)
        return [(symbol, at, {name: item[name] for name in ("d", "o", "c")}) for symbol, at, item in items]

    def _latest(self, kind: str, alone: bool):
        def answer(ask: Ask) -> Answer:
            feed = self._feed(ask)
            found = {symbol: self._last(kind, symbol, feed) for symbol in self._symbols(ask)}
            found = {symbol: shown(item) for symbol, item in found.items() if item}
            if not alone:
                return Answer({kind: found} | self._currency(ask))
            symbol = ask.part["symbol"]
            if symbol not in found:
                raise Refusal(404, None, f"no {kind[:-1]} found for {symbol}")
            return Answer({"symbol": symbol, kind[:-1]: found[symbol]} | self._currency(ask))
        return answer

    def _last(self, kind: str, symbol: str, feed: str) -> dict | None:
        if kind == "bars":
            series = self._market.series(symbol, MINUTES, feed)
            items = series.known(self._now(), 0, self._now()) if series else []
        else:
            items = known(getattr(self._market, kind).get(symbol, []), self._now())
        return items[-1] if items else None

    def _snapshot(self, symbol: str, feed: str) -> dict:
        """The day so far is shown, as in the documentation's examples."""
        now = self._now()
        day = Timeframe.read(DAYS)
        days = self._market.bars(symbol, day, feed, now - 40 * 1440 * MINUTE, now)
        today = new_york_date(now)
        running = next((bar for bar in days if new_york_date(bar["t"]) == today), None)
        running = running or self._market.day_so_far(symbol, today, feed)
        before = [bar for bar in days if new_york_date(bar["t"]) < today]
        found = {"latestTrade": self._last("trades", symbol, feed), "latestQuote": self._last("quotes", symbol, feed),
                 "minuteBar": self._last("bars", symbol, feed), "dailyBar": running,
                 "prevDailyBar": before[-1] if before else None}
        return {name: shown(item) if item else None for name, item in found.items()}

    # ---- corporate actions ----

    def _corporate_actions(self, ask: Ask) -> Answer:
        """In the order of kinds and dates; a page may end inside a kind."""
        today = str(new_york_date(self._now()))
        start, end = ask.query.get("start", today), ask.query.get("end", today)
        kinds = ask.names("types") or list(ACTIONS)
        if unknown := set(kinds) - set(ACTIONS):
            raise Refusal(400, None, f"invalid type: {sorted(unknown)[0]}")
        symbols, cusips, ids = ask.names("symbols"), ask.names("cusips"), ask.names("ids")
        found = []
        for kind in sorted(ACTIONS[kind] for kind in kinds):
            for action in self._market.known_actions(kind):
                words = [str(value) for name, value in action.items() if name.endswith(("symbol", "cusip"))]
                named = not (symbols or cusips) or set(words) & set(symbols + cusips)
                date = action.get("ex_date") or action.get("effective_date") or action["process_date"]
                if named and (action.get("id") in ids if ids else start <= date <= end):
                    found.append((kind, date, action))
        backwards = ask.query.get("sort", "asc") == "desc"
        found.sort(key=lambda item: item[1], reverse=backwards)
        found.sort(key=lambda item: item[0])
        return self._page_of_actions(ask, found)

    @staticmethod
    def _page_of_actions(ask: Ask, found: list[tuple[str, str, dict]]) -> Answer:
        limit = ask.number("limit", 100, 1_000)
        try:
            first = int(base64.b64decode(ask.query.get("page_token", "").replace(AGAIN, "")).decode() or 0)
        except ValueError:
            raise Refusal(400, None, "invalid page token") from None
        by_kind: dict[str, list[dict]] = {}
        for kind, _, action in found[first:first + limit]:
            by_kind.setdefault(kind, []).append(action)
        more = first + limit < len(found)
        token = base64.b64encode(str(first + limit).encode()).decode() if more else None
        return Answer({"corporate_actions": by_kind, "next_page_token": token})
