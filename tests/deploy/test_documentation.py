"""The commands for a host that README.md and docs/ show, run as they stand there.

    python tests/deploy/test_documentation.py PROGRAM [TEST …]
    python tests/deploy/test_documentation.py --list

PROGRAM is a magellan with the features aws and live. Each page has a machine of its own: a systemd in a container with
an emulated AWS, as in test_deploy.py. tests/documentation.rs runs all other commands of the pages, and compares what it
leaves to this file with what --list prints.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest
from typing import NamedTuple

import test_deploy
from faults import instead
from host import Host
from test_deploy import PASSED, PROJECT, Deployed

# Commands of magellan that change or look at a host, and programs that run on it.
COMMANDS = ["bundle", "deploy", "doctor", "health", "logs", "prune", "releases", "rollback", "status", "watch"]
PROGRAMS = ["journalctl", "systemctl"]
# Services are watched for a second instead of thirty, and for some seconds instead of minutes.
WATCHED = ["deploy --environment", "health", "rollback"]
ABRIDGED = r"--for \d+[mh]\b", "--for 3s"


class Command(NamedTuple):
    """A command as a page shows it, with the exit code that the page promises."""
    page: str
    line: int
    text: str
    exit: int

    @property
    def words(self) -> list[str]:
        return self.text.split()

    def is_for_a_host(self) -> bool:
        return self.words[0] in PROGRAMS or self.words[0] == "magellan" and self.words[1] in COMMANDS

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text} (exit {self.exit})"


def commands(page: pathlib.Path) -> list[Command]:
    """What stands in the blocks tagged `sh`; a line that ends with a backslash goes on."""
    found, in_block, begun, text = [], False, 0, ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            in_block = line == "```sh"
        elif in_block and line.strip():
            begun = begun if text else number
            text += line.strip().removesuffix("\\")
            if not line.endswith("\\"):
                bare, _, comment = text.partition(" # ")
                promised = re.match(r"exit (\d+)\b", comment.strip())
                found.append(Command(str(page.relative_to(PROJECT)), begun, " ".join(bare.split()),
                                     int(promised[1]) if promised else PASSED))
                text = ""
    return found


def for_a_host() -> dict[str, list[Command]]:
    """By page, those that need a host."""
    pages = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
    found = {str(page.relative_to(PROJECT)): [c for c in commands(page) if c.is_for_a_host()] for page in pages}
    return {page: shown for page, shown in found.items() if shown}


def setUpModule() -> None:
    test_deploy.setUpModule()


class Page(Deployed):
    """One deployed strategy, judged, and the environment that the pages name."""

    STRATEGIES = test_deploy.Judged.STRATEGIES
    deployed_as = test_deploy.Judged.deployed_as
    judge = test_deploy.Judged.judge

    def setUp(self) -> None:
        super().setUp()
        self.environment = "staging"
        # Each page begins with a bucket in which nothing has been deployed.
        test_deploy.emulator.forget("index/staging/2.json")
        self.deployed_as("staging", ["daily_trend"])
        self.judge()
        path = test_deploy.host.shared / "bin"
        path.mkdir(exist_ok=True)
        (path / "magellan").unlink(missing_ok=True)
        (path / "magellan").symlink_to(test_deploy.program)
        self.path = f"{path}:{os.environ['PATH']}"

    def current(self, unit: str = test_deploy.OTHER_UNIT, on: Host | None = None) -> str | None:
        return super().current(unit, on)

    def run_page(self, shown: list[Command]) -> None:
        for command in shown:
            code, out, err = self.run_in_shell(command, **self.prepare(command))
            self.assertEqual(code, command.exit, f"{command}\n{out}\n{err}")

    def run_in_shell(self, command: Command, **variables: str) -> tuple[int, str, str]:
        host, text = test_deploy.host, re.sub(*ABRIDGED, command.text)
        if any(text.startswith(f"magellan {words}") for words in WATCHED) and "--dry-run" not in text:
            text += " --stabilize 1"
        environment = self.variables(PATH=self.path, **variables)
        argv = ["bash", "-c", text]
        if command.words[0] in PROGRAMS or "--transport local" in text:
            inside = ["HOME=/root", f"PATH={self.path}", *(f"{k}={v}" for k, v in environment.items() if "GIT" in k)]
            argv = [*host.prefix, "env", f"--chdir={host.work}", *inside, *argv]
        return self.ended(subprocess.Popen(argv, cwd=host.work, env=environment, text=True, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def prepare(self, command: Command) -> dict[str, str]:
        """What the page takes for granted where it shows this command, and the variables that stand for values."""
        words = command.words[1:]
        if "--transport local" in command.text:
            # Another way to a machine, so another machine.
            self.setUp()
        elif words[0] == "rollback":
            if self.current() is None:
                self.roll_out()
            former = self.current()
            self.roll_out()
            return {"RELEASE": former}
        elif words[:2] == ["deploy", "resume"] and command.exit == PASSED:
            self.roll_out(killed=True)
        elif words[0] not in ("bundle", "deploy", "doctor") and self.current() is None:
            self.roll_out()
        return {}

    def roll_out(self, killed: bool = False) -> None:
        """Deploys a changed config, to the end or until it is killed."""
        config = "deployed/daily_trend/config.json"
        text = (test_deploy.host.work / config).read_text()
        seed = int(re.search(r'"seed": (\d+)', text)[1])
        test_deploy.host.push({config: text.replace(f'"seed": {seed}', f'"seed": {seed + 1}')})
        self.judge()
        process = None
        if killed:
            test_deploy.faults.on("PutObject", instead(lambda: process.kill()), skip=test_deploy.STAGE_ENDS,
                                   key=test_deploy.JOURNAL)
        process = self.start(*self.deploying(stabilize=1))
        code, out, err = self.ended(process)
        test_deploy.faults.clear()
        self.assertEqual(code, -signal.SIGKILL if killed else PASSED, out + err)


class Documented(Page):
    """Every other page."""


class DocumentedToo(Page):
    """The pages between them, so that both halves may run at once."""


for number, (page, shown) in enumerate(for_a_host().items()):
    name = "test_" + re.sub(r"\W", "_", page)
    setattr((Documented, DocumentedToo)[number % 2], name, lambda self, shown=shown: self.run_page(shown))


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        for shown in for_a_host().values():
            print(*shown, sep="\n")
        sys.exit()
    test_deploy.PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
