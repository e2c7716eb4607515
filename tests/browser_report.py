"""Opens a page (of a gate, a backtest or a sweep) in a real browser, without a network, and uses everything on it.

    browser_report.py FILE... [--shots DIR] [--max-load MS] [--max-zoom MS]

Asserts only what holds for any valid page: what is shown is what the JSON in the file says, nothing
is fetched, nothing is logged as an error, nothing scrolls sideways, all text is legible, every control
works. Exits 1 and says what doesn't hold. Needs Chromium (apt install chromium) and playwright (PyPI).
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import re
import shutil
import sys
import time

from playwright.sync_api import Error, sync_playwright

SIGNED = {"total_return", "cagr", "max_drawdown", "worst_day", "best_day", "expectancy_ret", "benchmark_return",
          "shuffled_drawdown", "bar_drawdown", "alpha", "cvar", "walk_forward_return"}
RATES = SIGNED | {"win_rate", "exposure", "volatility", "ulcer_index", "time_under_water", "gross_exposure"}
STATUSES = {"PASS", "WARN", "INCONCLUSIVE", "FAIL", "ERROR"}
VIEWS = {
    "gate": ["criteria", "power", "equity", "months", "trades", "traded", "robustness", "bootstrap", "sweep", "figures", "findings",
             "acknowledgements", "provenance"],
    "index": ["strategies"],
    "backtest": ["equity", "months", "trades", "traded", "settings", "figures", "findings", "provenance"],
    "sweep": ["map", "plateau", "distribution", "best", "provenance"],
}
WIDTHS = (390, 1280)
NARROWEST = 360

# Of every visible text the contrast with what is behind it; the least ones first.
CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const known = new Map();
  const read = (colour) => known.get(colour) ?? known.set(colour, rgba(colour)).get(colour);
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => { for (let n = node; n; n = n.parentElement) { const c = read(getComputedStyle(n).backgroundColor); if (c[3] > 200) return c; } return [255, 255, 255]; };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join('');
    if (!text || node.closest('script, noscript, option, .skip, :disabled, .tip[hidden]') || !node.checkVisibility()) continue;
    const [a, b] = [light(read(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), text.slice(0, 40), node.className.toString()]);
  }
  return found.sort((x, y) => x[0] - y[0]).slice(0, 3);
}"""

# Longest wait for a frame while the chart in the selector zooms in, out and back.
ZOOM = """async (host) => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const times = [];
  for (const key of ['+', '+', '+', '-', '0']) {
    await frame();
    const begun = performance.now();
    host.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    await frame();
    times.push(performance.now() - begun);
  }
  return Math.max(...times);
}"""


class Fault(Exception):
    """Something a report must hold, and doesn't."""


def hold(condition, *what):
    if not condition:
        raise Fault(" ".join(map(str, what)))


def safe(text):
    """As the page shows strings: without controls of text direction."""
    return re.sub("[\u202a-\u202e\u2066-\u2069]", "\ufffd", str(text))


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def shown_number(text):
    """The number a text shows, and half of its last digit."""
    digits = re.sub(r"[^0-9.eE\-]", "", text.replace("−", "-"))
    exponent = int(digits.lower().split("e")[1]) if "e" in digits.lower() else 0
    decimals = len(digits.lower().split("e")[0].partition(".")[2])
    return float(digits), 0.5 * 10 ** (exponent - decimals)


def as_script(value):
    """A value of an axis as JavaScript writes it."""
    return safe(int(value) if isinstance(value, float) and value.is_integer() else value)


def same(metric, value, text):
    """Whether a text shows a figure of the JSON: its number, or the reason why there is none."""
    if isinstance(value, dict):
        return hold(squeezed(safe(value.get("undefined", "no value"))) == squeezed(text), metric, "has no value, but", text, "is shown")
    if value is None:
        return hold(text == "not recorded", metric, "is null, but", text, "is shown")
    if not is_number(value):
        return hold(squeezed(safe(value)) == squeezed(text), metric, "is", value, "but", text, "is shown")
    rate = metric in RATES or metric.endswith("_return")
    hold(rate == ("%" in text), metric, "is", value, "but", text, "is shown: rates, and only they, are per cent")
    number, half = shown_number(text)
    expected = value * 100 if rate else value
    hold(abs(number - expected) <= half * (1 + 1e-6) + 1e-9 * abs(expected), metric, "is", value, "but", text, "is shown")
    hold(not (metric in SIGNED and number > 0) or text.startswith("+"), metric, text, "has no sign")


def summed(steps):
    """A series from its first value and the differences after it."""
    values, total = [], 0
    for step in steps or []:
        total += step
        values.append(total)
    return values


def month_of(day):
    """YYYY-MM of a day since 1970."""
    return str(datetime.date(1970, 1, 1) + datetime.timedelta(days=day))[:7]


class Report:
    """One page in one browser tab."""

    def __init__(self, browser, file, width, scheme):
        self.file, self.width, self.scheme = file, width, scheme
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        self.page = self.context.new_page()
        self.faults, self.requests = [], []
        self.page.on("console", lambda m: self.faults.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.faults.append(str(e)))
        self.page.on("dialog", lambda d: (self.faults.append(f"a dialog: {d.message}"), d.dismiss()))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.context.set_default_timeout(10_000)
        self.context.set_offline(True)
        begun = time.monotonic()
        self.page.goto(file.resolve().as_uri())
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        self.load_ms = (time.monotonic() - begun) * 1000
        self.data = json.loads(self.page.locator("#data").text_content())
        self.kind = self.data["kind"]
        self.verdict = self.data.get("verdict") or {}
        self.periods = self.verdict.get("periods") or []
        if self.kind == "backtest":
            drawn = {row["period"] for row in self.data["series"]}
            self.periods = [{**run, "name": run["label"]} for run in self.data["backtest"]["runs"] if run["label"] in drawn]

    def check_quiet(self):
        hold(not self.faults, "the page complains:", self.faults)
        own = [url for url in self.requests if not url.startswith(self.file.resolve().as_uri().split("#")[0])]
        hold(not own and len(self.requests) >= 1, "the page asks for", own)

    def text(self, selector):
        return self.page.locator(selector).first.inner_text()

    def texts(self, selector):
        return self.page.locator(selector).all_inner_texts()

    def check_width(self):
        if self.width == min(WIDTHS):
            self.page.set_viewport_size({"width": NARROWEST, "height": 900})
            over = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            hold(over <= 0, f"at {NARROWEST} the page scrolls sideways by {over} pixels")
            self.page.set_viewport_size({"width": self.width, "height": 900})
        if self.width == max(WIDTHS):
            over = self.page.evaluate("(() => { const nav = document.querySelector('#bar nav'); return nav.scrollWidth - nav.clientWidth; })()")
            hold(over <= 0, f"at {self.width} the sections don't fit by {over} pixels")
        over = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        hold(over <= 0, f"at {self.width} the page scrolls sideways by {over} pixels")

    def check_contrast(self):
        worst = self.page.evaluate(CONTRAST)
        hold(worst and worst[0][0] >= 4.5, "contrast below 4.5:", worst)

    def check_labels(self):
        nameless = self.page.evaluate("""() => [...document.querySelectorAll('button, select, input, canvas.heat, .chart, .box')]
          .filter((n) => !(n.ariaLabel || n.textContent.trim() || n.labels?.length)).map((n) => n.outerHTML.slice(0, 80))""")
        hold(not nameless, "without a name for a screen reader:", nameless)

    # What is shown against the JSON

    def check_kind(self):
        hold(squeezed(self.data.get("title") or "") in squeezed(self.page.title()), "the page's title is", self.page.title())
        synthetic = self.verdict.get("synthetic")
        if self.kind == "backtest":
            synthetic = any(run["synthetic"] for run in self.data["backtest"]["runs"])
        if self.kind == "sweep":
            synthetic = self.data["sweep"]["synthetic"]
        banner = self.page.locator("#synthetic").count() == 1
        hold(banner == (synthetic is not False), "banner shown:", banner, "synthetic:", synthetic)
        if self.kind == "gate":
            self.check_verdict()
        if self.kind == "sweep":
            self.check_best()

    def check_best(self):
        """The table of best points against what the sweep prints."""
        swept = self.data["sweep"]
        rows = self.page.locator("table.best tbody tr")
        hold(rows.count() == min(25, len(swept["best"])), len(swept["best"]), "points, but", rows.count(), "rows")
        for i, best in enumerate(swept["best"][:5]):
            for name, value in zip(swept["figures"], best["figures"]):
                cell = rows.nth(i).locator(f'[data-figure="{name}"]')
                if value is not None and cell.count():
                    same(name, value, cell.inner_text())
                elif value is not None:
                    hold(value == 0 or name.startswith("long_"), name, "is", value, "and has no column")

    def check_tiles(self, period):
        """Strategy beside buying and holding."""
        metrics = period.get("metrics")
        series = (self.of_period("series", period) or [None])[0]
        if not metrics or not series:
            return
        for name in ("total_return", "cagr", "sharpe", "max_drawdown", "volatility"):
            tile = self.page.locator(f"[data-tile={name}] dd")
            own, held = tile.inner_text().split("Buy and hold")
            same(name, metrics[name], own.strip())
            same(name, series["held"][name], held.strip())

    def check_verdict(self):
        word = self.text("#verdict").strip()
        known = self.verdict.get("status")
        hold(word == (known if known in STATUSES else "UNKNOWN"), "the verdict is", known, "but the page says", word)
        hold(self.page.locator("#verdict svg.shape path").count() == 2, "the verdict has no shape")
        reason = squeezed(self.text("h1 .reason"))
        hold(safe(self.verdict["strategy"]) in reason and len(reason) > len(self.verdict["strategy"]) + 8, "the headline names no reason:", reason)
        crossed = [c for p in self.periods for c in p["checks"] if c["status"] == "FAIL" and is_number(c.get("value")) and not c.get("acknowledged")]
        hold(known != "FAIL" or not crossed or " is below " in reason or " is above " in reason, "the headline names no level:", reason)
        if self.verdict.get("error"):
            for part in ("message", "help", "code"):
                hold(squeezed(safe(self.verdict["error"].get(part) or "")) in squeezed(self.text(".fault")), "the error's", part, "isn't shown")
        records = squeezed(self.page.locator("#provenance").inner_text())
        for name in ("subject", "digest", "config_sha256", "bundle_sha256", "policy_sha256", "archive_manifest_sha256", "engine"):
            hold(not self.verdict.get(name) or safe(self.verdict[name]) in records, name, "isn't shown")

    def check_complete(self):
        """Every view is there, or named among what isn't."""
        for view in VIEWS[self.kind]:
            places = self.page.locator(f"section#{view}").count() + self.page.locator(f"#absent [data-view={view}]").count()
            hold(places == 1, "the view", view, "is in", places, "places")

    def check_period(self, period):
        checks = period.get("checks") or []
        rows = self.page.locator("table.criteria tbody tr:not(.group)")
        hold(not checks or rows.count() == len(checks), len(checks), "criteria, but", rows.count(), "rows")
        shown = sorted(map(squeezed, self.texts("table.criteria tbody tr:not(.group) .status")))
        expected = sorted(c["status"] if c.get("status") in STATUSES else "UNKNOWN" for c in checks)
        hold(shown == expected, "statuses", shown, "for", expected)
        left = [c for c in checks]
        for i in range(rows.count()):
            cells = rows.nth(i).locator("th, td")
            name, value = cells.nth(0).locator("[title]").get_attribute("title"), cells.nth(2).locator("span").first.inner_text()
            check = next((c for c in left if safe(c["metric"]) == name and self.matches(c, value)), None)
            hold(check, name, value, "stands in the table of criteria, not in the JSON")
            left.remove(check)
        metrics = {**(period.get("metrics") or {}), **(period.get("profile") or {})}
        hold(self.page.locator("#figures [data-metric]").count() == len(metrics), "not all figures are shown")
        figures = self.page.evaluate("() => [...document.querySelectorAll('#figures [data-metric]')].map((n) => [n.dataset.metric, n.querySelector('dd').innerText])")
        for name, text in figures:
            same(name, next(v for k, v in metrics.items() if safe(k) == name), text)
        self.check_tiles(period)
        self.check_months(period)
        self.check_trades(period)
        self.check_traded(period)

    @staticmethod
    def matches(check, text):
        try:
            same(check["metric"], check.get("value"), text)
            return True
        except Fault:
            return False

    def of_period(self, name, period):
        return [row for row in self.data.get(name) or [] if row.get("period") == period.get("name")]

    def trades_of(self, period):
        names = ("symbol", "entered", "entry", "exited", "exit", "shares", "profit", "reason", "side")
        found = (self.of_period("trades", period) or [{"rows": []}])[0]
        trades = [dict(zip(names, row)) for row in found["rows"]]
        return [{**t, "symbol": found["symbols"][t["symbol"]], "reason": found["reasons"][t["reason"]]} for t in trades]

    def check_months(self, period):
        series = (self.of_period("series", period) or [None])[0]
        if not series or not series.get("equity"):
            return
        last = {}
        for day, worth in zip(summed(series["days"]), series["equity"]):
            if worth is not None:
                last[month_of(day)] = worth
        capital = (period.get("metrics") or {}).get("initial_capital") or series["equity"][0]
        before, expected = series.get("capital") or capital, {}
        for month, worth in last.items():
            expected[month], before = worth / before - 1, worth
        rows = self.page.evaluate("() => [...document.querySelectorAll('table.months tbody tr')].map((r) => [...r.children].map((c) => c.innerText))")
        shown = {f"{row[0]}-{m:02}": text for row in rows for m, text in enumerate(row[1:13], 1) if text != "·"}
        hold(shown.keys() == expected.keys(), "months", sorted(shown.keys() ^ expected.keys())[:5], "differ")
        for month, text in shown.items():
            number, half = shown_number(text)
            hold(abs(number - expected[month] * 100) <= half + 1e-3, month, "returned", expected[month], "but", text, "is shown")

    def check_trades(self, period):
        trades = self.trades_of(period)
        if not trades:
            return
        first = self.page.locator("table.trades tbody tr").first.locator("th, td").all_inner_texts()
        hold(squeezed(first[0]) == squeezed(safe(trades[0]["symbol"])), "the first trade is of", trades[0]["symbol"], "not", first[0])
        if is_number(trades[0].get("profit")):
            number, half = shown_number(first[7])
            hold(abs(number - trades[0]["profit"]) <= half + 1e-9, "profit", trades[0]["profit"], "is shown as", first[7])
            hold(first[7].startswith("▲" if trades[0]["profit"] > 0 else "▽"), "a win or loss without its shape:", first[7])
        if trades[0].get("side"):
            hold(first[1] == ("long" if trades[0]["side"] > 0 else "short"), "the first trade's side is shown as", first[1])
        pager = self.page.locator("#trades .pager")
        if len(trades) > 25:
            hold(f"of {len(trades):,}" in squeezed(pager.inner_text()), len(trades), "trades, but", pager.inner_text())

    def check_traded(self, period):
        """Directions, costs by kind and how orders ended."""
        traded = period.get("traded")
        if not traded:
            return
        for i, side in enumerate(("long", "short")):
            row = self.page.locator("table.directions tbody tr").nth(i)
            for name in ("trades", "win_rate"):
                value = traded[side][name]
                cell = row.locator(f'[data-figure="{name}"]') if is_number(value) else row.locator("td .none").first
                same(name, value, cell.inner_text())
        facts = lambda block: dict(self.page.evaluate(f"() => [...document.querySelectorAll('#{block} > div')].map((d) => [d.dataset.fact, d.querySelector('dd').innerText])"))
        for block, values in (("costs-paid", traded["costs"]), ("orders", traded["orders"]), ("refused", traded["rejections"])):
            shown = facts(block)
            for name, value in values.items():
                hold(name in shown or value == 0, name, "is", value, "and isn't shown")
                if name in shown:
                    same(name, value, shown[name])

    # Everything that can be clicked

    def use_theme(self):
        before = self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        self.page.click("#theme")
        hold(self.page.evaluate("getComputedStyle(document.body).backgroundColor") != before, "the theme button changes nothing")
        self.check_contrast()
        self.page.click("#theme")
        hold(self.page.evaluate("getComputedStyle(document.body).backgroundColor") == before, "the theme doesn't come back")

    def use_criteria(self, period):
        checks = period.get("checks") or []
        if not checks:
            return
        rows = self.page.locator("table.criteria tbody tr:not(.group)")
        self.page.check("#only-failing")
        bad = sum(c.get("status") != "PASS" for c in checks)
        shown = rows.count() - self.page.locator("table.criteria td.none").count()
        hold(shown == bad, bad, "criteria don't pass, the filter shows", shown)
        self.page.uncheck("#only-failing")
        hold(rows.count() == len(checks), "the filter loses rows")

    def use_sorting(self):
        """Every header of every table: up, down, as it was."""
        for i in range(self.page.locator("th .sort").count()):
            head = self.page.locator("th .sort").nth(i)
            cell = head.locator("xpath=..")
            for expected in ("ascending", "descending", None):
                head.click()
                hold(cell.get_attribute("aria-sort") == expected, head.inner_text(), "isn't sorted", expected)

    def check_sorted(self, period):
        trades = self.trades_of(period)
        if not trades or not all(is_number(t.get("profit")) for t in trades):
            return
        head = self.page.locator("table.trades th", has_text="Profit").locator("button")
        head.click()
        text = self.page.locator("table.trades tbody tr").first.locator("td").nth(6).inner_text()
        number, half = shown_number(text)
        hold(abs(number - min(t["profit"] for t in trades)) <= half + 1e-9, "the least profit isn't first but", text)
        head.click()
        head.click()

    def use_pages(self):
        pager = self.page.locator("#trades .pager")
        if not pager.count() or not pager.locator("button").count():
            return
        first = self.texts("table.trades tbody tr")[0]
        for name, changed in (("Next", True), ("Last", True), ("Previous", True), ("First", False)):
            if pager.get_by_role("button", name=name).is_enabled():
                pager.get_by_role("button", name=name).click()
            hold((self.texts("table.trades tbody tr")[0] != first) == changed or self.page.locator("#trades .pager input").get_attribute("max") == "2", "page:", name)
        self.page.fill("#trades .pager input", "2")
        self.page.keyboard.press("Enter")
        hold(self.texts("table.trades tbody tr")[0] != first, "a page's number doesn't lead there")
        pager.get_by_role("button", name="First").click()

    def range_of(self, chart):
        return chart.evaluate("(n) => [Number(n.dataset.from), Number(n.dataset.to)]")

    def use_chart(self, chart):
        chart.scroll_into_view_if_needed()
        whole = self.range_of(chart)
        hold(whole[1] > whole[0], chart.get_attribute("aria-label"), "shows nothing")
        if whole[1] - whole[0] < 12:
            return
        box = chart.locator(".u-over").bounding_box()
        x, y = lambda share: box["x"] + box["width"] * share, box["y"] + box["height"] / 2
        self.page.mouse.move(x(0.3), y)
        readout = chart.evaluate("(n) => n.previousElementSibling.textContent")
        self.page.mouse.down()
        self.page.mouse.move(x(0.6), y, steps=4)
        self.page.mouse.up()
        zoomed = self.range_of(chart)
        hold(0.2 < (zoomed[1] - zoomed[0]) / (whole[1] - whole[0]) < 0.4, "a drag over 0.3 of the chart zooms from", whole, "to", zoomed)
        self.page.mouse.move(x(0.9), y)
        hold(chart.evaluate("(n) => n.previousElementSibling.textContent") != readout, "the readout doesn't follow the cursor")
        if (chart.get_attribute("aria-label") or "").startswith("Equity"):
            self.check_rebased(chart)
        for other in self.page.locator("#equity .chart").all() if self.page.locator("#equity .chart").count() > 1 else []:
            if chart.evaluate("(n) => Boolean(n.closest('#equity'))"):
                hold(self.range_of(other) == zoomed, "equity and drawdown don't zoom together")
        self.page.mouse.dblclick(x(0.5), y)
        hold(self.range_of(chart) == whole, "a double click doesn't reset the zoom")
        chart.focus()
        self.page.keyboard.press("+")
        hold(self.range_of(chart) != whole, "the key + doesn't zoom")
        self.page.keyboard.press("ArrowLeft")
        self.page.keyboard.press("0")
        hold(self.range_of(chart) == whole, "the key 0 doesn't reset the zoom")

    def check_rebased(self, chart):
        """At the left edge of what is shown, all curves have the same worth."""
        worths = chart.evaluate("""(host) => {
          const chart = [...charts].find((c) => c.host === host);
          const left = lowerBound(chart.xs, chart.plot.scales.x.min - 1e-9);
          return chart.values.map((values) => values[left]);
        }""")
        hold(len(worths) > 1 and all(abs(w - worths[0]) <= 1e-6 * worths[0] for w in worths), "curves don't restart together:", worths)

    def use_log(self):
        """The logarithmic scale: other places, the same worth."""
        button = self.page.locator("#log")
        if not button.count():
            return
        scale = "() => { const c = [...charts].find((c) => c.host.ariaLabel.startsWith('Equity')); return [c.plot.scales.y.max, c.values[0][3], c.plot.data[1][3]]; }"
        plain = self.page.evaluate(scale)
        button.click()
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        log = self.page.evaluate(scale)
        hold(log[0] < plain[0] / 10 and log[1] == plain[1] and abs(log[2] - math.log(plain[1])) < 1e-9, "the log scale draws", log, "for", plain)
        self.check_drawn()
        button.click()

    def check_drawn(self):
        """No chart is empty: each canvas has pixels of some colours."""
        for canvas in self.page.locator(".chart canvas, canvas.heat").all():
            drawn = canvas.evaluate("""(c) => {
              const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', { willReadFrequently: true });
              copy.drawImage(c, 0, 0);
              return new Set(new Uint32Array(copy.getImageData(0, 0, c.width, c.height).data.buffer)).size;
            }""")
            hold(drawn > 3, "a chart is empty:", drawn, "colours")

    def use_maps(self):
        """Every pair of axes, with the others at their best and held."""
        landscapes = self.data.get("landscapes")
        if not landscapes:
            return
        chosen = int(self.page.locator("#part").input_value()) if self.page.locator("#part").count() else 0
        landscape = landscapes[chosen]
        for i, map in enumerate(landscape["maps"]):
            if self.page.locator("#axes").count():
                self.page.select_option("#axes", index=i)
            for others in ("held", "best"):
                if self.page.locator("#others").count():
                    self.page.select_option("#others", others)
                elif others == "held":
                    continue
                y = map["y"] or {"key": None, "labels": [""]}
                self.use_heat({"metric": self.data["by"], "x": map["x"]["key"], "y": y["key"], "xs": map["x"]["labels"], "ys": y["labels"], "z": map[others]}, "#map")

    def use_zoom_buttons(self):
        for group in self.page.locator(".zoom").all():
            for name in ("Zoom in", "Later", "Earlier", "Zoom out", "Reset the zoom"):
                group.get_by_role("button", name=name).click()

    def use_legend(self):
        for button in self.page.locator("#equity .legend button").all():
            for expected in ("false", "true"):
                button.click()
                hold(button.get_attribute("aria-pressed") == expected, "the legend doesn't toggle", button.inner_text())

    def use_symbols(self, period):
        options = self.page.locator("#symbol option").count()
        for i in range(options):
            self.page.select_option("#symbol", index=i)
        trades = self.trades_of(period)
        if not trades:
            return
        self.page.check("#only-symbol")
        symbol = self.page.locator("#symbol option").nth(options - 1).text_content()
        hold(all(squeezed(t) == squeezed(symbol) for t in self.texts("table.trades tbody th")), "the table shows other symbols too")
        self.page.uncheck("#only-symbol")
        self.page.locator("table.trades tbody th button").first.click()
        priced = [p["symbol"] for p in self.of_period("prices", period) if len(p.get("at") or []) > 1]
        if trades[0]["symbol"] not in priced:
            return
        tip = self.page.locator("#trades .tip")
        hold(tip.is_visible(), "a trade in the table doesn't show on the chart")
        hold(safe(trades[0].get("reason") or "no reason recorded") .strip() in tip.inner_text(), "the tip shows another trade:", tip.inner_text())

    def use_heat(self, sweep, section):
        heat = self.page.locator("#heat")
        if not heat.count():
            return
        heat.scroll_into_view_if_needed()
        heat.focus()
        said = set()
        for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowDown", "ArrowLeft"):
            self.page.keyboard.press(key)
            said.add(self.text(f"{section} output"))
        hold(len(said) > 1 or len(sweep["xs"]) * len(sweep["ys"]) == 1, "the arrow keys read no cells")
        upper, lower = (self.cell_under_pointer(heat, 0.7, down, sweep, section) for down in (0.15, 0.6))
        hold(upper[0] == lower[0] and (upper[1] > lower[1] or len(sweep["ys"]) < 4), "the axes don't go up and right:", upper, lower)

    def cell_under_pointer(self, heat, across, down, sweep, section):
        """Column and row that the readout names, its value checked."""
        box = heat.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * (down if sweep["y"] is not None else 0.2))
        text = squeezed(self.text(f"{section} output"))
        upwards = lambda y: f", {safe(sweep['y'])} {as_script(sweep['ys'][y])}" if sweep["y"] is not None else ""
        name = lambda x, y: squeezed(f"{safe(sweep['x'])} {as_script(sweep['xs'][x])}{upwards(y)}:")
        cell = next(((x, y) for y in range(len(sweep["ys"])) for x in range(len(sweep["xs"])) if text.startswith(name(x, y))), None)
        hold(cell, "the pointer reads no cell:", text)
        value = sweep["z"][cell[1]][cell[0]]
        shown = text.rsplit(": ", 1)[1]
        same(sweep["metric"], value, shown) if is_number(value) else hold(shown == "no value", text)
        return cell

    def use_copy(self):
        buttons = self.page.locator("button.copy")
        for i in (0, min(1, buttons.count() - 1)) if buttons.count() else ():
            if i:
                self.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })")
            buttons.nth(i).click()
            self.page.wait_for_timeout(60)
            hold(buttons.nth(i).inner_text() in ("Copied", "Press Ctrl+C"), "copying says", buttons.nth(i).inner_text())

    def use_everything(self):
        for i, period in enumerate(self.periods or [{}]):
            if len(self.periods) > 1:
                self.page.select_option("#part", index=i)
            if self.kind in ("gate", "backtest"):
                self.check_period(period)
            self.use_criteria(period)
            self.check_drawn()
            self.use_log()
            self.use_sorting()
            self.check_sorted(period)
            self.use_pages()
            self.use_legend()
            self.use_zoom_buttons()
            for chart in self.page.locator(".chart").all():
                self.use_chart(chart)
            self.use_symbols(period)
            if self.kind == "gate" and self.data.get("sweep"):
                self.use_heat(self.data["sweep"], "#sweep")
        self.use_maps()
        if self.kind == "gate" and len(self.periods) > 1:
            self.page.locator(".periods button").first.click()
            hold(self.page.locator("#part").input_value() == "0", "the two ways to choose a period disagree")
        for link in self.page.locator("#bar nav a").all():
            link.click()
        self.use_copy()
        self.use_theme()

    def zoom_ms(self):
        return max([chart.evaluate(ZOOM) for chart in self.page.locator(".chart").all()], default=0)

    def shoot(self, shots):
        self.page.evaluate("scrollTo(0, 0)")
        self.page.mouse.move(0, 0)
        name = f"{self.file.stem}-{self.width}-{self.scheme}"
        self.page.screenshot(path=shots / f"{name}.png", full_page=True)
        if self.width == max(WIDTHS) and self.scheme == "light":
            self.page.pdf(path=shots / f"{self.file.stem}.pdf", format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "12mm"))
            self.page.add_style_tag(content="html { filter: grayscale(1) }")
            self.page.screenshot(path=shots / f"{self.file.stem}-grey.png", full_page=True)


def test(browser, file, options):
    """One file in every width and scheme; returns its timings."""
    timings = {}
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            report = Report(browser, file, width, scheme)
            try:
                report.check_kind()
                report.check_complete()
                report.check_width()
                report.check_contrast()
                report.check_labels()
                if options.shots:
                    shot = Report(browser, file, width, scheme)
                    shot.shoot(options.shots)
                    shot.context.close()
                if width == max(WIDTHS) and scheme == "light":
                    timings = {"load_ms": round(report.load_ms), "zoom_ms": round(report.zoom_ms(), 1)}
                    hold(timings["load_ms"] <= options.max_load, "loading takes", timings["load_ms"], "ms")
                    hold(timings["zoom_ms"] <= options.max_zoom, "a zoom takes", timings["zoom_ms"], "ms")
                    report.use_everything()
                    report.check_kind()
                elif scheme == "light":
                    report.use_theme()
                report.check_width()
                report.check_quiet()
            except (Fault, Error) as fault:
                raise Fault(f"{file.name} at {width}, {scheme}: {fault}") from None
            finally:
                report.context.close()
    return timings


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="+", type=pathlib.Path)
    parser.add_argument("--shots", type=pathlib.Path, help="folder for screenshots and a print")
    parser.add_argument("--max-load", type=float, default=10_000, help="milliseconds until the first frame")
    parser.add_argument("--max-zoom", type=float, default=1_000, help="milliseconds until a zoomed frame")
    options = parser.parse_args()
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("no Chromium: apt-get install chromium, or name one in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for file in options.file:
            try:
                print(file.name, "ok", json.dumps(test(browser, file, options)))
            except Fault as fault:
                sys.exit(f"FAULT: {fault}")
        browser.close()


if __name__ == "__main__":
    main()
