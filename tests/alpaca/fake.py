"""A stand-in for Alpaca, for tests: both REST hosts, both sockets, one account, and a clock that a test moves.

    python tests/alpaca/fake.py [--now TIME] [--lifetime SECONDS] [--stay]

listens on 127.0.0.1 only, on ports that are free, and prints one line of JSON that says where:

    {"trading": "http://…", "data": "http://…", "data_stream": "ws://…", "trading_stream": "ws://…/stream",
     "control": "http://…/_fake", "key": "FAKEKEY", "secret": "FAKESECRET"}

It ends when its standard input ends, so with the process that started it, unless told to --stay; and after its
lifetime in any case. How to tell it what to do is in README.md beside this file.
"""
import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

START = "2026-01-05T14:00:00Z"


class Refused(Exception):
    """The fake doesn't do what a test told it to."""


class Running:
    """A fake in a process of its own, for tests in Python. `at` holds its addresses."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen([sys.executable, __file__, *arguments], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)
        self.at: dict[str, str] = json.loads(self._process.stdout.readline())

    def tell(self, path: str, said: dict[str, Any] | None = None, /, **more: Any) -> Any:
        """POST to a control endpoint: tell("clock", advance="1m")."""
        return self._call("POST", path, {**(said or {}), **more})

    def ask(self, path: str, /, **query: Any) -> Any:
        return self._call("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)

    def clear(self, path: str, /, **said: Any) -> None:
        self._call("DELETE", path, said)

    def wait(self, **query: Any) -> list[dict[str, Any]]:
        """Until records fit, or an error."""
        return self.ask("wait", **query)

    def _call(self, method: str, path: str, said: dict[str, Any] | None = None) -> Any:
        body = None if said is None else json.dumps(said).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.at['control']}/{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                raise Refused(f"{method} {path}: {refused.code} {refused.read().decode()}") from None

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


async def serve(now: str, lifetime: float, stay: bool) -> None:
    from aiohttp import web

    from control import Control
    from server import Fake, apps
    fake = Fake(now)
    ports, runners = {}, []
    for name, app in (apps(fake) | {"control": Control(fake).app()}).items():
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports[name] = site._server.sockets[0].getsockname()[1]
        runners.append(runner)
    addresses = {"trading": f"http://127.0.0.1:{ports['trading']}", "data": f"http://127.0.0.1:{ports['data']}",
                 "data_stream": f"ws://127.0.0.1:{ports['data_stream']}",
                 "trading_stream": f"ws://127.0.0.1:{ports['trading']}/stream",
                 "control": f"http://127.0.0.1:{ports['control']}/_fake",
                 "key": fake.world.settings.key, "secret": fake.world.settings.secret}
    print(json.dumps(addresses), flush=True)
    ended = asyncio.Event()
    if not stay:
        loop = asyncio.get_running_loop()

        def watch() -> None:
            sys.stdin.buffer.read()
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)
        threading.Thread(target=watch, daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), lifetime)
    await fake.hub.end_all()
    for runner in runners:
        await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for Alpaca, for tests.")
    parser.add_argument("--now", default=START, help="the time at the start")
    parser.add_argument("--lifetime", type=float, default=600, help="seconds after which it ends in any case")
    parser.add_argument("--stay", action="store_true", help="go on when standard input ends")
    said = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(said.now, said.lifetime, said.stay))


if __name__ == "__main__":
    main()
