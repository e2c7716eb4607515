"""A request, an answer, a refusal; free of any HTTP library."""
import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ask:
    """What a client asks; `part` holds what the path names, such as an order's id."""
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    part: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> dict[str, Any]:
        try:
            said = json.loads(self.body or b"{}")
        except ValueError:
            raise Refusal(400, 40010000, "request body format is invalid") from None
        if not isinstance(said, dict):
            raise Refusal(400, 40010000, "request body format is invalid")
        return said

    def flag(self, name: str) -> bool:
        return self.query.get(name, "false").lower() in ("true", "1")

    def number(self, name: str, default: int, most: int) -> int:
        text = self.query.get(name, "")
        if not text:
            return default
        if not re.fullmatch(r"\d+", text) or not 1 <= int(text) <= most:
            raise Refusal(400, None, f"invalid {name}: must be between 1 and {most}")
        return int(text)

    def names(self, name: str) -> list[str]:
        return [part.strip() for part in self.query.get(name, "").split(",") if part.strip()]


@dataclass
class Answer:
    """`content` is made JSON, unless it is bytes; None is no body at all."""
    content: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes:
        if isinstance(self.content, bytes):
            return self.content
        return b"" if self.content is None else json.dumps(self.content).encode()


class Refusal(Exception):
    """The answer is an error. `more` goes into its body."""

    def __init__(self, status: int, code: int | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more

    def answer(self) -> Answer:
        code = {} if self.code is None else {"code": self.code}
        return Answer(self.more | code | {"message": self.message}, self.status)


HTML_401 = (b"<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n"
            b"<center><h1>401 Authorization Required</h1></center>\r\n<hr><center>nginx</center>\r\n"
            b"</body>\r\n</html>\r\n")


def html(status: int, content: bytes) -> Answer:
    return Answer(content, status, {"Content-Type": "text/html"})


class Routes:
    """Which function answers which method and path. {name} in a path is one part of it."""

    def __init__(self) -> None:
        self._all: list[tuple[str, re.Pattern, Callable[[Ask], Answer]]] = []

    def add(self, method: str, path: str, answer: Callable[[Ask], Answer]) -> None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
        self._all.append((method, re.compile(pattern), answer))

    def answer(self, ask: Ask) -> Answer:
        """404 if nothing is at the path, 405 if the method is another."""
        found = [(method, match, answer) for method, pattern, answer in self._all
                 if (match := pattern.fullmatch(ask.path))]
        for method, match, answer in found:
            if method == ask.method:
                ask.part = match.groupdict()
                return answer(ask)
        if found:
            raise Refusal(405, None, "method not allowed")
        raise Refusal(404, 40410000, "endpoint not found")


def credentials(headers: dict[str, str]) -> tuple[str, ...]:
    """Key and secret, or the OAuth token, as a request names them."""
    given = {name.lower(): value for name, value in headers.items()}
    scheme, _, value = given.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return (value,)
    if scheme.lower() == "basic":
        try:
            key, _, secret = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return ()
        return key, secret
    if "apca-api-key-id" in given:
        return given["apca-api-key-id"], given.get("apca-api-secret-key", "")
    return ()
