"""What goes wrong between a deployer and AWS: a proxy in front of the emulator that fails as it is told.

A fault is a function of a request and of `forward`, which gets the emulator's answer; it returns the answer
that the deployer gets, or None: the connection breaks. Rules say which requests a fault is for:

    with Faults(emulator.port) as faults:
        faults.on("PutObject", s3_error(503, "SlowDown"), times=2)
        faults.on("GetObject", forbidden_if_missing, times=ALWAYS)
        faults.on("*", instead(deployer.kill), skip=6)      # kill -9 when the 7th request comes
        faults.command("activate", lost)                    # what SSM says of the host script's next switch

All rules that fit apply, the first one outermost: one that doesn't go on hides those after it, so a test asks
`unused` at its end. Every request is recorded, with the answer's status.
"""
import http.client
import http.server
import json
import math
import re
import sys
import threading
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from emulator import STDOUT_LIMIT, cut

ALWAYS = math.inf
# Of S3, by method and what the path or the query names; other protocols name theirs.
OPERATIONS = {
    "GET bucket": "ListBucket", "HEAD bucket": "HeadBucket", "PUT bucket": "CreateBucket",
    "DELETE bucket": "DeleteBucket", "POST bucket": "DeleteObjects",
    "GET object": "GetObject", "HEAD object": "HeadObject", "PUT object": "PutObject",
    "DELETE object": "DeleteObject",
    "POST uploads": "CreateMultipartUpload", "PUT uploadId": "UploadPart",
    "POST uploadId": "CompleteMultipartUpload", "DELETE uploadId": "AbortMultipartUpload",
}


class Answer(NamedTuple):
    """What a client gets."""
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Request:
    """What a client asked; `status` is that of the answer, None if it got none."""
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None

    @property
    def operation(self) -> str:
        """As AWS calls it: PutObject, SendCommand, GetCallerIdentity."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "x-amz-target" in headers:
            return headers["x-amz-target"].split(".")[-1]
        if (self.method, self.path) == ("POST", "/"):
            return urllib.parse.parse_qs(self.body.decode())["Action"][0]
        query = urllib.parse.parse_qs(self.query, keep_blank_values=True)
        level = "object" if self.path.strip("/").count("/") else "bucket"
        upload = next((name for name in ("uploads", "uploadId") if name in query), level)
        return OPERATIONS.get(f"{self.method} {upload}", self.method)


Forward = Callable[[], Answer | None]
Fault = Callable[[Request, Forward], Answer | None]


@dataclass
class Rule:
    """Which requests a fault is for: after `skip` that fit, the next `times`.

    `seen` requests did fit, and the fault came `used` times.
    """
    operation: str
    fault: Fault
    times: float
    skip: int
    key: str
    where: Callable[[Request], bool]
    seen: int = 0
    used: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def applies(self, request: Request) -> bool:
        if self.operation not in ("*", request.operation) or not re.search(self.key, request.path):
            return False
        if not self.where(request):
            return False
        self.seen += 1
        return self.skip < self.seen <= self.skip + self.times

    def use(self, request: Request, forward: Forward) -> Answer | None:
        with self.lock:
            self.used += 1
        return self.fault(request, forward)

    @property
    def is_used(self) -> bool:
        """As often as was said; at least once, if that was always."""
        return self.used >= (1 if self.times == ALWAYS else self.times)


class Faults:
    """The proxy, at `url`, in front of a port of this machine; `requests` are all it has seen."""

    def __init__(self, port: int) -> None:
        self.requests: list[Request] = []
        self._rules: list[Rule] = []
        self._commands: list[Rule] = []
        self._lock = threading.Lock()
        self._server = Server(("127.0.0.1", 0), handler(self, port))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def on(self, operation: str, fault: Fault, times: float = 1, skip: int = 0, key: str = "",
           where: Callable[[Request], bool] = lambda _: True) -> Rule:
        """Adds a rule. Operations are AWS's, "*" is any; `key` is a pattern of a part of the path."""
        self._rules.append(Rule(operation, fault, times, skip, key, where))
        return self._rules[-1]

    def command(self, operation: str, fault: Fault, times: float = 1, skip: int = 0) -> Rule:
        """A fault of what SSM says of ended commands that run an operation of the host script."""
        commands: set[str] = set()

        def note(request: Request, forward: Forward) -> Answer | None:
            answer = forward()
            commands.add(json.loads(answer.body)["Command"]["CommandId"])
            return answer

        def once_ended(request: Request, forward: Forward) -> Answer | None:
            answer = forward()
            ended = answer.status == 200 and json.loads(answer.body)["Status"] not in ("Pending", "InProgress")
            return rule.use(request, lambda: answer) if ended else answer

        self.on("SendCommand", note, times, skip, where=runs(operation))
        self.on("GetCommandInvocation", once_ended, ALWAYS,
                where=lambda request: json.loads(request.body)["CommandId"] in commands)
        # Stands for both: it is used once a command whose end is told.
        rule = Rule(operation, fault, times, skip, "", runs(operation))
        self._commands.append(rule)
        return rule

    def undelivered(self, status: str = "Failed", details: str = "Undeliverable", skip: int = 0,
                    operation: str = "") -> Rule:
        """The next command, or one after it, is taken and never runs; also TimedOut with DeliveryTimedOut."""
        command = str(uuid.uuid4())
        ends = {"CommandId": command, "Status": status, "StatusDetails": details, "ResponseCode": -1,
                "StandardOutputContent": "", "StandardErrorContent": ""}

        def send(request: Request, _: Forward) -> Answer:
            sent = {"CommandId": command, "Status": "Pending", "StatusDetails": "Pending"}
            return in_json(200, {"Command": sent | {"InstanceIds": json.loads(request.body)["InstanceIds"]}})

        def get(request: Request, forward: Forward) -> Answer | None:
            asked = json.loads(request.body)
            if asked["CommandId"] != command:
                return forward()
            return in_json(200, ends | {"InstanceId": asked["InstanceId"]})

        self.on("GetCommandInvocation", get, times=ALWAYS)
        return self.on("SendCommand", send, skip=skip, where=runs(operation))

    @property
    def unused(self) -> list[Rule]:
        """Rules whose fault didn't come as often as was said."""
        return [rule for rule in [*self._rules, *self._commands] if not rule.is_used]

    def count(self, operation: str) -> int:
        return sum(request.operation == operation for request in self.requests)

    def clear(self) -> None:
        """No rules, no records."""
        with self._lock:
            self._rules.clear()
            self._commands.clear()
            self.requests.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "Faults":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def answer(self, request: Request, forward: Forward) -> Answer | None:
        """The emulator's answer through all faults that apply."""
        with self._lock:
            self.requests.append(request)
            faults = [rule.use for rule in self._rules if rule.applies(request)]
        for fault in reversed(faults):
            forward = bind(fault, request, forward)
        answer = forward()
        request.status = answer and answer.status
        return answer


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address) -> None:
        """Clients that are gone are what tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def bind(fault: Fault, request: Request, forward: Forward) -> Forward:
    return lambda: fault(request, forward)


def handler(faults: Faults, port: int) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def serve(self) -> None:
            assert "Transfer-Encoding" not in self.headers, "a body without a length"
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path, _, query = self.path.partition("?")
            request = Request(self.command, path, query, dict(self.headers), body)
            answer = faults.answer(request, lambda: forward(port, request))
            if answer is None:
                self.close_connection = True
                return
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

        def log_message(self, *_) -> None:
            """Requests are recorded, not printed."""

    return Handler


def forward(port: int, request: Request) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    target = f"{request.path}?{request.query}" if request.query else request.path
    connection.request(request.method, target, request.body, request.headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    headers = {name: value for name, value in answer.getheaders()
               if name.lower() not in ("connection", "keep-alive", "transfer-encoding", "content-length")}
    # The length of what a HEAD is about is in its header alone.
    length = answer.getheader("Content-Length") if request.method == "HEAD" else str(len(body))
    return Answer(answer.status, headers | ({"Content-Length": length} if length else {}), body)


def in_json(status: int, value: dict) -> Answer:
    body = json.dumps(value).encode()
    return Answer(status, {"Content-Type": "application/x-amz-json-1.1", "Content-Length": str(len(body))}, body)


def runs(operation: str) -> Callable[[Request], bool]:
    """Whether a command runs this operation of the host script; any, without a name."""
    return lambda request: not operation or json.loads(request.body).get("Comment") == f"magellan {operation}"


def s3_error(status: int, code: str) -> Fault:
    """500 InternalError, 503 SlowDown, 409 ConditionalRequestConflict, 403 AccessDenied."""
    body = f"<Error><Code>{code}</Code><Message>Injected.</Message></Error>".encode()
    headers = {"Content-Type": "application/xml", "Content-Length": str(len(body))}
    return lambda request, forward: Answer(status, headers, body)


def json_error(code: str) -> Fault:
    """ThrottlingException, InvalidInstanceId, InvocationDoesNotExist, AccessDeniedException."""
    return lambda request, forward: in_json(400, {"__type": code, "message": "Injected."})


def forbidden_if_missing(request: Request, forward: Forward) -> Answer | None:
    """403 for 404, as S3 answers who may not list the bucket."""
    answer = forward()
    missing = answer is not None and answer.status == 404
    return s3_error(403, "AccessDenied")(request, forward) if missing else answer


def flip_byte(request: Request, forward: Forward) -> Answer | None:
    """One bit of the middle byte is another."""
    answer = forward()
    body = bytearray(answer.body)
    body[len(body) // 2] ^= 1
    return answer._replace(body=bytes(body))


def invocation(**fields) -> Fault:
    """Other fields in what GetCommandInvocation says of a command, which does run."""
    return edited(lambda said: said | fields)


def noisy(before: str = "", after: str = "") -> Fault:
    """More output of a command, cut as AWS cuts it."""
    def edit(said: dict) -> dict:
        out = said["StandardOutputContent"]
        return said | ({"StandardOutputContent": cut(before + out + after, STDOUT_LIMIT)} if out else {})
    return edited(edit)


def edited(edit: Callable[[dict], dict]) -> Fault:
    def fault(request: Request, forward: Forward) -> Answer | None:
        answer = forward()
        return in_json(200, edit(json.loads(answer.body))) if answer.status == 200 else answer
    return fault


def lost(request: Request, forward: Forward) -> Answer | None:
    """The command was done, and SSM doesn't know how it ended."""
    return invocation(Status="TimedOut", StatusDetails="ExecutionTimedOut", StandardOutputContent="")(request, forward)


def before(function: Callable[[], object]) -> Fault:
    """Calls the function, then does what was asked."""
    def fault(request: Request, forward: Forward) -> Answer | None:
        function()
        return forward()
    return fault


def after(function: Callable[[], object]) -> Fault:
    """Does what was asked, then calls the function; the answer is lost if that kills the client."""
    def fault(request: Request, forward: Forward) -> Answer | None:
        answer = forward()
        function()
        return answer
    return fault


def instead(function: Callable[[], object]) -> Fault:
    """Calls the function; what was asked is lost on the way."""
    def fault(request: Request, forward: Forward) -> Answer | None:
        function()
        return None
    return fault
