"""A machine to deploy to: a real systemd in systemd-nspawn, over an overlay of this system.

It has no units of its own, a host name, the services' user `magellan`, whose releases are on a disk of
their own, and this system's network, so that it reaches an emulator on 127.0.0.1. The user `ssm-user` with a
git checkout is what an old layout needs. Nothing of this system is changed: all its mounts are
in a mount namespace and all its processes in a process namespace that the kernel ends with this process,
however that ends. Needs root, overlayfs and systemd-container.

The kernel also ends it with the thread that booted it: boot it in the main one.
"""
import atexit
import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from typing import NamedTuple

NAME, SECOND = "magellan-test", "magellan-second"
USER = "magellan"
ROOT = "/opt/magellan"
RELEASES = "/opt/magellan/releases"
COMMITS = "/opt/magellan/commits"
BOUND = "/opt/magellan/units"
MIRROR = "/opt/magellan/mirror.git"
ETC = "/etc/magellan"
STATE = "/var/lib/magellan"
DEPLOY_STATE = "/var/lib/magellan-deploy"
UNITS = "/etc/systemd/system"
# Of the old layout.
OLD_USER = "ssm-user"
CHECKOUT = "/home/ssm-user/magellan"
OLD_RELEASES = "/home/ssm-user/magellan-releases"
# What a command sent through SSM finds: no HOME, no language.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
# The whole disk of the releases, seen from inside.
DISK = "/srv/disk"
SCRATCH = "/var/tmp"
PREFIX = "magellan-host-"
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
TOOLS = ["chroot", "git", "mount", "nsenter", "setpriv", "systemd-nspawn", "unshare", "useradd"]

# Runs in the namespaces, with the scratch folder, the machine's name and the rest of nspawn's arguments.
# - What is mounted over /run and /mnt keeps files of nspawn and of the machine out of this system; an
#   overlay's upper layer can't be on an overlay, a tmpfs is fine.
# - Without a control group of its own, two machines would share one.
SETUP = f"""
set -eu
scratch=$1 name=$2
shift 2
for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -e $tree/cgroup.procs ] || continue
    mkdir $tree/${{scratch##*/}}
    echo $$ > $tree/${{scratch##*/}}/cgroup.procs
done
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o size=512M,mode=755 none /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/disk
mount -t tmpfs -o size=512M,mode=755 none /mnt/disk
mkdir /mnt/disk/magellan
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work none /mnt/root
cd /mnt/root
rm -rf .{UNITS} etc/fstab var/lib/dbus/machine-id var/log/journal
mkdir -p .{UNITS}
: > etc/machine-id
echo "$name" > etc/hostname
chroot . useradd --system --no-create-home --shell /usr/sbin/nologin {USER}
chroot . useradd --create-home {OLD_USER}
mkdir .{ROOT} .{OLD_RELEASES}
exec systemd-nspawn --quiet --directory=/mnt/root --machine="$name" --register=no --keep-unit \
    --resolv-conf=off --timezone=off --link-journal=no --console=pipe \
    --bind="$scratch" --bind=/mnt/disk/magellan:{ROOT} --bind=/mnt/disk:{DISK} "$@"
"""

# What a deploy has made, undone.
RESET = f"""
systemctl kill --signal=KILL 'magellan-*'
systemctl stop 'magellan-*'
rm -rf {UNITS}/magellan-* {UNITS}/*.wants/magellan-* /run/systemd/system/magellan-*
find {ROOT} {OLD_RELEASES} -mindepth 1 -delete
chown root:root {ROOT}
chmod 0755 {ROOT} /opt
rm -rf {STATE} {DEPLOY_STATE} {ETC} {CHECKOUT} /run/magellan
id -u {USER} || useradd --system --no-create-home --shell /usr/sbin/nologin {USER}
systemctl daemon-reload
systemctl reset-failed
"""


class Result(NamedTuple):
    """What a command came to."""
    code: int
    out: str
    err: str


class Host:
    """One booted machine.

    `shared` is a folder with the same path inside and outside. In it are `remote`, the bare repository
    that the checkout's origin is, and `work`, a developer's clone of it.
    `prefix` is what makes a command run inside.
    """

    @staticmethod
    def permitted() -> tuple[bool, str]:
        """Whether such a machine can be booted here, and why not."""
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if os.geteuid() != 0 or missing:
            return False, f"needs root and {', '.join(TOOLS)}; missing: {', '.join(missing) or 'root'}"
        with Scratch() as scratch:
            setup = [*NAMESPACES, "bash", "-c", SETUP, "setup", str(scratch), NAME, "--as-pid2", "true"]
            tried = subprocess.run(setup, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return tried.returncode == 0, tried.stderr.strip()

    def __init__(self, name: str = NAME, beside: "Host | None" = None) -> None:
        """`beside` is another machine whose repositories this one sees, too."""
        self._scratch = Scratch()
        self.shared = self._scratch.path
        self.remote = self.shared / "magellan.git"
        self.work = self.shared / "work"
        boot = ["setpriv", "--pdeathsig", "KILL", *NAMESPACES, "bash", "-c", SETUP, "setup", str(self.shared), name,
                *([f"--bind={beside.shared}"] if beside else []), "--boot", "systemd.unit=basic.target"]
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(boot, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        atexit.register(self.close)
        self._leader = self._wait_for(self._find_leader)
        self.prefix = ["nsenter", "-t", self._leader, "-m", "-u", "-i", "-p", "--", "env", "-i",
                       *(f"{name}={value}" for name, value in ENVIRONMENT.items())]
        # Degraded: a unit of this system that a container can't start.
        self._wait_for(lambda: self.run(["systemctl", "is-system-running"]).out.strip() in ("running", "degraded"))
        self.sh("systemctl reset-failed")
        # No remote is a path in real life: git's check of its owner would say nothing about a deploy.
        self.sh("git config --system --add safe.directory '*'")
        self._make_repositories()

    def run(self, argv: list[str], timeout: float = 120, **options) -> Result:
        """Runs a command inside, as root."""
        done = subprocess.run([*self.prefix, *argv], text=True, capture_output=True, timeout=timeout, **options)
        return Result(done.returncode, done.stdout, done.stderr)

    def sh(self, script: str) -> str:
        """Output of a shell script that must succeed."""
        done = self.run(["bash", "-c", script])
        if done.code != 0:
            raise RuntimeError(f"{script}: exit {done.code}\n{done.out}{done.err}")
        return done.out

    def path(self, inside: str) -> pathlib.Path:
        """Where a file inside is seen from outside; absolute links on the way lead astray."""
        return pathlib.Path(f"/proc/{self._leader}/root{inside}")

    def write(self, inside: str, content: str | bytes, mode: int = 0o644) -> None:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)

    def read(self, inside: str) -> str:
        return self.path(inside).read_text()

    def exists(self, inside: str) -> bool:
        return os.path.lexists(self.path(inside))

    def push(self, files: dict[str, str], branch: str = "main") -> str:
        """Commits files to a branch of the remote, as a developer does; the commit's id."""
        for name, content in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(content)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "--message", f"Change {', '.join(files)}")
        git(self.work, "push", "--quiet", "origin", f"HEAD:{branch}")
        return git(self.work, "rev-parse", "HEAD")

    def fill_disk(self, disk: str = "releases", leave_kib: int = 0) -> None:
        """Leaves only so much room on the disk of the releases (all below ROOT), or of all else, "system"."""
        filler = self._filler(disk)
        free = os.statvfs(filler.parent)
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leave_kib * 1024)

    def free_disk(self) -> None:
        for disk in ("releases", "system"):
            self._filler(disk).unlink(missing_ok=True)

    def reset(self) -> None:
        """Back to how it booted, without a boot."""
        self.free_disk()
        self.sh(RESET)
        self._make_repositories()

    def close(self) -> None:
        """Ends the machine; mounts go with its last process."""
        atexit.unregister(self.close)
        if self._process.poll() is None:
            # Not the process itself: it ends after all others that way.
            for pid in children(self._process.pid) or [self._process.pid]:
                os.kill(int(pid), signal.SIGKILL)
            self._process.wait()
        self._scratch.close()

    def _filler(self, disk: str) -> pathlib.Path:
        return pathlib.Path(f"/proc/{self._process.pid}/root/mnt/{'disk/' if disk == 'releases' else ''}filler")

    def _find_leader(self) -> str | None:
        """The id of systemd: a grandchild of the process that holds the namespaces."""
        for pid in (grandchild for child in children(self._process.pid) for grandchild in children(child)):
            # One that has just ended isn't it.
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                    return pid
        return None

    def _wait_for(self, condition, seconds: float = 30):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process.poll() is None:
            if found := condition():
                return found
            time.sleep(0.05)
        self._log.seek(0)
        log = self._log.read()
        self.close()
        raise RuntimeError(f"the machine didn't boot:\n{log}")

    def _make_repositories(self) -> None:
        for folder in (self.remote, self.work):
            shutil.rmtree(folder, ignore_errors=True)
        git(self.shared, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        git(self.shared, "init", "--quiet", "--initial-branch=main", str(self.work))
        git(self.work, "remote", "add", "origin", str(self.remote))
        self.push({"README.md": "# Magellan\n"})

    def make_checkout(self) -> None:
        """Where the old layout's deploys checked commits out."""
        self.sh(f"runuser -u {OLD_USER} -- git clone --quiet {self.remote} {CHECKOUT}")


class Scratch:
    """A folder and the control groups of its name, for one process; those of dead processes are removed."""

    def __init__(self) -> None:
        scratches = locked(pathlib.Path(SCRATCH), wait=True)
        for left in pathlib.Path(SCRATCH).glob(f"{PREFIX}*"):
            if (lock := locked(left)) is not None:
                # Its last processes may still be ending: then the next one removes it.
                with contextlib.suppress(OSError):
                    remove(left)
                os.close(lock)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX, dir=SCRATCH))
        self.path.chmod(0o755)
        self._lock = locked(self.path)
        os.close(scratches)

    def close(self) -> None:
        remove(self.path)
        os.close(self._lock)

    def __enter__(self) -> pathlib.Path:
        return self.path

    def __exit__(self, *_) -> None:
        self.close()


def locked(folder: pathlib.Path, wait: bool = False) -> int | None:
    """A descriptor that holds the folder's lock until it is closed, by the kernel at the latest."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def remove(scratch: pathlib.Path) -> None:
    for tree in ("", "systemd", "unified"):
        group = pathlib.Path("/sys/fs/cgroup", tree, scratch.name)
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    shutil.rmtree(scratch)


def children(pid: int | str) -> list[str]:
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def git(folder: pathlib.Path, *arguments: str) -> str:
    """A git that knows no settings of this system or its user."""
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))}
    environment = ENVIRONMENT | who | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", "-C", folder, *arguments], env=environment, check=True, text=True,
                          stdout=subprocess.PIPE)
    return done.stdout.strip()
