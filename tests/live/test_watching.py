"""What is seen of a live service from outside: its dashboard and its figures for Prometheus."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from commands import ask, decisions, records_of, verdict
from conftest import without
from days import OPEN, Begun, daily_trend, eager, end_session, session_of, trade_day, until_held
from harness import MINUTE, SECRET, LiveRun, parse, program
from invariants import protected

TOKEN = "a-token+of/32=printable&letters%x"
HOSTILE = "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"


class Answer(NamedTuple):
    """What a server answers."""
    status: int
    headers: dict[str, str]
    text: str


def get(address: str, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
    """One request; a header's name is written with an underscore."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()},
                      answer.read().decode())
    finally:
        connection.close()


@contextlib.contextmanager
def dashboard(run: LiveRun, *arguments: object, listen: str = "127.0.0.1:0") -> Iterator[str]:
    """A dashboard of a run's service, at its time; where it listens."""
    words = [program(), "dashboard", "--state-dir", run.state, "--listen", listen, *arguments]
    with open(run.place / "dashboard-stderr", "wb") as err:
        process = subprocess.Popen([str(word) for word in words], cwd=run.place, env=run.environment(), text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err)
    try:
        line = process.stdout.readline()
        assert line.startswith("http://") and line.endswith("/\n"), (line, process.wait(5))
        yield line.removeprefix("http://").removesuffix("/\n")
        assert process.poll() is None, "it serves until it is told to stop"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def refused(run: LiveRun, *arguments: object) -> str:
    """What a dashboard says that doesn't start, and nothing else."""
    words = [program(), "dashboard", "--state-dir", run.state, *arguments]
    done = subprocess.run([str(word) for word in words], cwd=run.place, capture_output=True, text=True, timeout=20,
                          env=run.environment())
    assert done.returncode in (2, 3) and not done.stdout, done
    return done.stderr


def service(address: str) -> dict[str, Any]:
    """The one service that a dashboard shows."""
    [found] = json.loads(get(address, "/api/state").text)["services"]
    return found


# ---- dashboard ----

def test_the_dashboard_shows_what_the_broker_has(begun: Begun) -> None:
    """Positions, working orders, decisions, executions and money of a service that trades."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    with dashboard(run) as address:
        for place in range(8):
            run.minute(next_one + place * MINUTE)
            shown = service(address)
            assert shown["fault"] is None
            assert {of["symbol"]: of["shares"] for of in shown["positions"]} == run.positions()
            for position in shown["positions"]:
                stopped, _ = protected(run.orders(), position["symbol"])
                assert position["protected"] is (stopped == position["shares"])
            # An order of two that cancel each other, and an entry with its stop, count as one.
            ids = {order["client_order_id"] for order in run.open_orders()}
            assert {of["id"] for of in shown["orders"]} >= {name for name in ids if name.startswith("bear_trap-")}
        records = records_of(run.state)
        decided = [(of["symbol"], of["order"], of["status"]) for _, of in decisions(records)]
        assert [(of["symbol"], of["order"], of["answer"]) for of in shown["decisions_tail"]] == decided[-40:]
        executed = [event for event in run.fake.ask("events") if event["event"] in ("fill", "partial_fill")]
        assert [(of["shares"], of["price"]) for of in shown["fills_tail"]] == [
            (int(float(event["qty"])), float(event["price"])) for event in executed][-40:]
        cash = float(run.fake.trade("GET", "/v2/account")["cash"])
        closes = {of["symbol"]: of["last_close"] for of in shown["positions"]}
        worth = cash + sum(closes[symbol] * shares for symbol, shares in run.positions().items())
        assert shown["equity"] == pytest.approx(worth, abs=0.01)
        assert shown["day_profit"] == pytest.approx(worth - 100_000, abs=0.01)
        run.until(lambda: service(address)["phase"] == "trading", "its phase is shown")
        assert "summary" not in shown["log"][-1] and any("executed" in line for line in shown["log"])
        ask(run, "kill", "--who", "ops", "--why", "looks odd")
        run.until(lambda: service(address)["phase"] == "killed", "its phase is shown")
        assert service(address)["why"] == "ops: looks odd"
    assert run.term() == 0


def test_the_dashboard_knows_what_has_only_half_a_stop(begun: Begun) -> None:
    """What a person bought and another accepted isn't shown as protected while it has no stop."""
    run = eager(begun)
    until_held(run, parse(OPEN))
    symbol, held = next(iter(run.positions().items()))
    run.fake.tell("positions", positions=[{"symbol": symbol, "qty": str(held + 100), "avg_entry_price": "48"}])
    run.fake.tell("drop", stream="trading")
    run.until(lambda: run.phase == "halted", "it halts")
    assert run.term() == 0
    assert ask(run, "reconcile", "--accept", "ops", "bought by hand").code == 0
    run.start(wait=False)
    run.until(lambda: run.phase == "trading" and run.is_connected(), "it trades on")
    run.settle()
    with dashboard(run) as address:
        stopped = protected(run.orders(), symbol)[0] == held + 100
        assert next(of for of in service(address)["positions"] if of["symbol"] == symbol)["protected"] is stopped
    assert run.term() == 0


def test_the_dashboard_knows_what_has_no_stop(begun: Begun, tmp_path: pathlib.Path) -> None:
    """daily_trend holds without stops."""
    run, _, dates = daily_trend(begun, tmp_path, "2024-02-12", "2024-02-13")
    run.start()
    for date in dates:
        trade_day(run, date)
    assert run.positions() and run.open_orders() == []
    with dashboard(run) as address:
        assert [of["protected"] for of in service(address)["positions"]] == [False]
    assert run.term() == 0


def test_the_dashboard_serves_one_page_and_its_state(begun: Begun) -> None:
    """Every part of it, with headers that let a browser load nothing else."""
    run = eager(begun)
    with dashboard(run) as address:
        for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css"),
                           ("/api/state", "application/json")):
            answer = get(address, path)
            assert answer.status == 200 and answer.headers["content-type"].startswith(kind), (path, answer)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert SECRET not in answer.text
        assert get(address, "/else").status == 404
        for path in ("/", "/api/state", "/events"):
            assert get(address, path, "POST", "x=1").status == 405
    assert run.term() == 0


def test_the_dashboard_tells_of_changes(begun: Begun) -> None:
    """Events come at once and then every two seconds, and say what the state says."""
    run = eager(begun)
    with dashboard(run) as address:
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")

        def event() -> dict[str, Any]:
            while not (line := answer.readline()).startswith(b"data:"):
                assert line in (b"event: state\n", b"\n", b":\n"), line
            return json.loads(line.removeprefix(b"data:"))["services"][0]
        assert event()["positions"] == []
        until_held(run, parse(OPEN))
        found = next(seen for seen in (event() for _ in range(3)) if seen["positions"])
        assert {of["symbol"]: of["shares"] for of in found["positions"]} == run.positions()
        connection.close()
    assert run.term() == 0


def test_the_dashboard_answers_to_its_own_name_only(begun: Begun, tmp_path: pathlib.Path) -> None:
    """A page elsewhere that resolves its own name to this machine reads nothing."""
    run = eager(begun)
    with dashboard(run) as address:
        port = address.partition(":")[2]
        for path in ("/", "/api/state", "/events", "/page.css", "/else"):
            for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "localhost", ""):
                answer = get(address, path, Host=host)
                assert answer.status == 421 and run.strategy not in answer.text, (path, host, answer)
        assert get(address, "/api/state", Host=f"localhost:{port}").status == 200
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    named = ("--token-file", token, "--host", "trading.example:443")
    with dashboard(run, *named, listen="0.0.0.0:0") as address:
        at, bearer = f"127.0.0.1:{address.partition(':')[2]}", f"Bearer {TOKEN}"
        assert get(at, "/api/state", Host="trading.example:443", Authorization=bearer).status == 200
        assert get(at, "/api/state", Authorization=bearer).status == 421
        assert get(at, "/login", "POST", f"token={urllib.parse.quote(TOKEN)}").status == 421
    assert run.term() == 0


def test_the_dashboard_is_open_to_others_only_with_a_token(begun: Begun, tmp_path: pathlib.Path) -> None:
    """Without one it doesn't listen where other machines reach it, and a short one is none."""
    run = eager(begun)
    assert "no token is named" in refused(run, "--listen", "0.0.0.0:0")
    assert "no token is named" in refused(run, "--listen", "[::]:0")
    token = tmp_path / "token"
    for text in ("short", "", "with a space in between", "0123456789abcde;"):
        token.write_text(text)
        said = refused(run, "--listen", "0.0.0.0:0", "--token-file", token)
        assert "the token isn't 16 or more printable ASCII characters" in said
        assert not text or text not in said
    assert "absent" in refused(run, "--token-file", tmp_path / "absent")
    assert run.term() == 0


def test_the_dashboard_demands_its_token(begun: Begun, tmp_path: pathlib.Path) -> None:
    """Nothing is told without it; it comes in a form's body or a header, is kept as a cookie, and is in no address."""
    run = eager(begun)
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    quoted = urllib.parse.quote_plus(TOKEN)
    with dashboard(run, "--token-file", token) as address:
        for path in ("/", "/page.js", "/api/state", "/events", f"/?token={quoted}", f"/api/state?token={quoted}"):
            for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {TOKEN}x"},
                            {"Cookie": f"magellan_token={TOKEN[:-1]}"}, {"Cookie": "magellan_token="}):
                answer = get(address, path, **headers)
                assert answer.status == 401 and run.strategy not in answer.text, (path, headers, answer)
                assert TOKEN not in answer.text and "content-security-policy" in answer.headers
        assert get(address, "/api/state", Authorization=f"Bearer {TOKEN}").status == 200
        for body in ("token=x", "", "token=", f"other={quoted}"):
            answer = get(address, "/login", "POST", body)
            assert answer.status == 401 and "set-cookie" not in answer.headers, answer
        answer = get(address, "/login", "POST", f"token={quoted}")
        assert (answer.status, answer.headers["location"]) == (303, "/"), answer
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        for path in ("/", "/page.js", "/api/state"):
            assert get(address, path, Cookie=cookie.partition(";")[0]).status == 200
            assert get(address, path, Cookie=f"other=1; {cookie.partition(';')[0]}").status == 200
        assert get(address, "/page.css").status == 200
    assert run.term() == 0


def test_the_dashboard_writes_nothing(begun: Begun) -> None:
    """The folder of a service that has stopped is the same after it was shown."""
    run = eager(begun)
    until_held(run, parse(OPEN))
    assert run.term() == 0

    def files() -> dict[pathlib.Path, tuple[bytes, int]]:
        return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in run.state.rglob("*") if file.is_file()}
    before = files()
    with dashboard(run) as address:
        assert service(address)["phase"] == "stopped"
        assert {of["symbol"]: of["shares"] for of in service(address)["positions"]} == run.positions()
    assert files() == before


def test_the_dashboard_says_what_it_cannot_read(begun: Begun, tmp_path: pathlib.Path) -> None:
    """A folder without a service, and a damaged journal, are faults that are shown; the others go on."""
    run = eager(begun)
    until_held(run, parse(OPEN))
    assert run.term() == 0
    file = run.state / "journal.jsonl"
    with dashboard(run, "--state-dir", tmp_path / "nothing") as address:
        def both() -> list[dict[str, Any]]:
            return json.loads(get(address, "/api/state").text)["services"]
        first, second = both()
        assert first["fault"] is None and "nothing" in second["fault"]
    text = file.read_bytes()
    file.write_bytes(text.replace(b'"what":"planned"', b'"what":"plannea"', 1))
    with dashboard(run) as address:
        assert "checksum is wrong" in service(address)["fault"]
        assert "checksum is wrong" in service(address)["fault"]


def test_the_dashboard_knows_verdict_and_parity(begun: Begun, tmp_path: pathlib.Path) -> None:
    """Beside what was made stands what the verdict expects, and what the last parity said."""
    run = eager(begun, edits={"risk_management.max_trades_per_day": 6})
    run.minutes(OPEN, parse(OPEN) + 37 * MINUTE)
    end_session(run, session_of(OPEN[:10])[1])
    expected = ask(run, "monitor", "--verdict", (judged := verdict(tmp_path)), "--json").json
    parity = ask(run, "parity", "--last", "--json").json
    with dashboard(run, "--verdict", judged) as address:
        shown = service(address)
        assert shown["parity"] == parity
        assert shown["expected"]["mean"] == pytest.approx(expected["expected_mean"])
        assert shown["expected"]["high"] - shown["expected"]["mean"] == pytest.approx(expected["expected_deviation"])
        assert shown["verdict"]["status"] in ("PASS", "WARN", "FAIL", "INCONCLUSIVE", "pass", "warn", "fail")
        [(date, equity)] = shown["equity_by_session"]
        assert date == OPEN[:10] and equity == pytest.approx(shown["equity"])
        assert equity / 100_000 - 1 == pytest.approx(expected["mean"])
    assert run.term() == 0


def test_a_browser_shows_a_running_service(begun: Begun, tmp_path: pathlib.Path) -> None:
    """The page in a real browser, with a token: what is held and ordered, and hostile words in the log as text."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, (
        "chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        without("browser", "no Chromium: apt-get install chromium, or name one in CHROMIUM")
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    run.minute(next_one)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with dashboard(run, "--token-file", token) as address, playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        asked, wrong = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"http://{address}/")
        page.fill("input[name=token]", TOKEN)
        # The form's own answer is 401, which a browser calls an error.
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
        page.click("button")
        page.wait_for_selector("#detail:not([hidden])")
        held = run.positions()
        for symbol, shares in held.items():
            row = page.locator("#detail tr", has_text=symbol).first
            assert f"{shares:,}" in row.inner_text()
        assert "Live" in page.inner_text("#connection")
        page.screenshot(path=tmp_path / "trading.png", full_page=True)
        ask(run, "kill", "--who", HOSTILE, "--why", HOSTILE)
        run.until(lambda: run.phase == "killed", "it is killed")
        page.locator("#log", has_text="taken over").wait_for()
        page.locator("#detail > div > .lead", has_text=HOSTILE).wait_for()
        assert page.title() != "taken over" and page.locator("img").count() == 0
        page.screenshot(path=tmp_path / "killed.png", full_page=True)
        browser.close()
    assert not wrong, wrong
    assert asked and all(url.startswith(f"http://{address}/") and "token" not in url for url in asked), asked
    assert run.term() == 0


# ---- figures ----

def figures(address: str) -> dict[str, float]:
    """What a service measures, all of it about its strategy."""
    answer = get(address, "/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("application/openmetrics-text")
    assert SECRET not in answer.text
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.labels == {"strategy": "bear_trap"} for sample in samples)
    return {sample.name: sample.value for sample in samples}


def measuring(begun: Begun) -> tuple[LiveRun, str]:
    """A run that serves figures, and where."""
    run = eager(begun, arguments=["--metrics-port", "0"])
    log = "".join(file.read_text() for file in (run.state / "logs").glob("*.jsonl"))
    return run, log.split("metrics at http://")[1].split("/metrics")[0]


def test_figures_count_what_the_journal_tells(begun: Begun) -> None:
    """Bars, decisions, orders and executions rise as they happen; the rest is as it is now."""
    run, address = measuring(begun)
    assert address.startswith("127.0.0.1:")
    counters = ("bars", "decisions", "orders", "executions")
    before = figures(address)
    assert {before[f"magellan_{name}_total"] for name in counters} == {0.0}
    start = parse(OPEN)
    for place in range(20):
        run.minute(start + place * MINUTE)
        now = figures(address)
        assert all(now[f"magellan_{name}_total"] >= before[f"magellan_{name}_total"] for name in counters)
        before = now
    records = records_of(run.state)
    sent = [of for of in records if of["what"] == "heard" and of["message"] == "sending" and of["part"] == "main"]
    executed = [of for of in records if of["what"] == "heard" and "execution" in of["message"]]
    assert (now["magellan_bars_total"], now["magellan_decisions_total"]) == (
        sum(len(of["bars"]) for of in records if of["what"] == "bars"), len(decisions(records)))
    assert (now["magellan_orders_total"], now["magellan_executions_total"]) == (len(sent), len(executed))
    assert now["magellan_orders_total"] > 10 and now["magellan_executions_total"] > 10
    # These are as of the last heartbeat.
    held = len(run.positions())
    run.until(lambda: figures(address)["magellan_journal_records"] == len(records_of(run.state)), "it is measured")
    now = figures(address)
    assert now["magellan_last_bar_seconds"] == (start + 19 * MINUTE) / 1e9
    assert (now["magellan_open_positions"], now["magellan_unprotected_positions"]) == (held, 0)
    assert (now["magellan_ready"], now["magellan_trading"], now["magellan_halted"]) == (1, 1, 0)
    assert (now["magellan_feed_up"], now["magellan_updates_up"], now["magellan_errors"]) == (1, 1, 0)
    assert 90_000 < now["magellan_equity_dollars"] < 110_000
    assert 0 < now["magellan_bar_to_order_p50_seconds"] <= now["magellan_bar_to_order_p99_seconds"] < 5
    assert 0 < now["magellan_disk_p50_seconds"] <= now["magellan_disk_p99_seconds"] < 5
    assert run.term() == 0


def test_figures_tell_of_trouble(begun: Begun) -> None:
    """A socket that is down, and a service that needs a person."""
    run, address = measuring(begun)
    run.fault("refuse_handshake", on={"stream": "trading"}, count=None, status=500)
    run.fake.tell("drop", stream="trading")
    run.until(lambda: figures(address)["magellan_updates_up"] == 0, "it is seen that no trade updates come")
    assert figures(address)["magellan_trading"] == 0
    run.fake.clear("faults")
    run.until(lambda: figures(address)["magellan_updates_up"] == 1, "they come again")
    run.fake.tell("positions", positions=[{"symbol": "GME", "qty": "5", "avg_entry_price": "48"}])
    run.fake.tell("drop", stream="trading")
    run.until(lambda: figures(address)["magellan_halted"] == 1, "it is seen that it halts")
    now = figures(address)
    assert now["magellan_errors"] > 0 and now["magellan_trading"] == 0
    assert run.term() == 0


def test_a_port_that_is_taken_is_an_error(begun: Begun) -> None:
    """No service runs unwatched because its figures have no port."""
    run, address = measuring(begun)
    port = address.partition(":")[2]
    said = ask(run, "run", "--metrics-port", port, state=run.place / "other")
    assert said.code == 2 and f"--metrics-port {port}" in said.err, said
    assert run.term() == 0
