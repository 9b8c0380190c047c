"""Run a command under the restrictions of a unit file, as far as a machine without systemd can apply them.

    python -m lab.confined UNIT WRITABLE USER_ID COMMAND…

Applied here: a file system that is read-only but for WRITABLE, with no homes and another /tmp, no
capabilities, another user, no new privileges, limits, system calls and address families by seccomp, no memory
that is writable and executable. ``APPLIED`` names the settings that this stands for. Needs root, Linux 6.3.
"""

import ctypes
import ctypes.util
import errno
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

APPLIED = frozenset(
    {
        *("ProtectSystem", "ProtectHome", "PrivateTmp", "CapabilityBoundingSet", "User"),
        *("NoNewPrivileges", "SystemCallFilter", "SystemCallErrorNumber", "RestrictAddressFamilies"),
        *("MemoryDenyWriteExecute", "LimitNOFILE", "LimitCORE", "UMask"),
    }
)
ROOT = Path(__file__).parents[2]
HIDDEN = (Path("/root"), Path("/home"), Path("/tmp"))
FILTER = "--filter"
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EQUAL = 4
_PR_SET_MDWE, _PR_GET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN = 65, 66, 1
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp: a system call's argument is compared with a value."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def settings_of(unit: Path) -> dict[str, list[str]]:
    """The [Service] section: the values of each name, in their order."""
    found: dict[str, list[str]] = {}
    section = unit.read_text("utf-8").partition("[Service]")[2].partition("\n[")[0]
    for line in section.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def allowed_calls(filters: list[str]) -> set[str]:
    """The system calls that SystemCallFilter= lines leave."""
    allowed: set[str] = set()
    for line in filters:
        taken = line.startswith("~")
        for group in line.removeprefix("~").split():
            calls = set(_members(group))
            allowed = allowed - calls if taken else allowed | calls
    return allowed


def _members(group: str) -> Iterator[str]:
    if not group.startswith("@"):
        yield group
        return
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    ).stdout
    for name in said.split("\n"):
        if (name := name.strip()) and not name.startswith("#") and name != group:
            yield from _members(name)


class Filter:
    """A seccomp filter of libseccomp: what is not allowed fails with EPERM."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2", use_errno=True)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.EPERM)))

    def allow(self, name: str, *comparisons: _Comparison) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            self._add(_ALLOW, number, comparisons)

    def allow_families(self, families: set[int]) -> None:
        """socket(2) for these families only."""
        for family in families:
            self.allow("socket", _Comparison(0, _EQUAL, family, 0))

    def load(self) -> None:
        if self._library.seccomp_load(self._context):
            raise OSError("the seccomp filter cannot be loaded")

    def _add(self, action: int, number: int, comparisons: tuple[_Comparison, ...]) -> None:
        array = (_Comparison * len(comparisons))(*comparisons)
        rule = self._library.seccomp_rule_add_array
        if rule(self._context, ctypes.c_uint32(action), number, len(comparisons), array):
            raise OSError(f"no seccomp rule for system call {number}")


def missing() -> str | None:
    """Why nothing can be confined here; None if it can."""
    if os.geteuid():
        return "only root can confine a process as systemd does"
    if ctypes.CDLL(None).prctl(_PR_GET_MDWE, 0, 0, 0, 0) < 0:
        return "the kernel cannot refuse memory that is writable and executable (Linux 6.3)"
    return None


def enclosed(unit: Path, writable: Path, user_id: int, command: list[str]) -> list[str]:
    """The command that runs another one so."""
    own = [sys.executable, "-m", "lab.confined", str(unit), str(writable), str(user_id)]
    return ["unshare", "--mount", "--propagation=private", "--", *own, *command]


def _mount(*arguments: str | Path) -> None:
    subprocess.check_call(["mount", *map(str, arguments)])


def _enclose(writable: Path) -> None:
    """ProtectSystem=strict, ProtectHome=, PrivateTmp=, in the mount namespace that we are in.

    Of a place that is hidden, this Python, these scripts and the shipper's directory are shown.
    """
    os.umask(0o022)
    kept = [path for path in (Path(sys.base_prefix), ROOT, writable) if _is_hidden(path)]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as aside:
        places = [Path(aside, str(number)) for number in range(len(kept))]
        for path, place in zip(kept, places, strict=True):
            place.mkdir()
            _mount("--bind", path, place)
        for hidden in HIDDEN:
            _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", hidden)
        for path, place in zip(kept, places, strict=True):
            path.mkdir(parents=True)
            _mount("--move", place, path)
    _mount("--bind", writable, writable)
    for place in ("/", *(path for path in kept if path != writable)):
        _mount("-o", "remount,bind,ro", place)


def _is_hidden(path: Path) -> bool:
    return any(hidden in path.parents for hidden in HIDDEN)


def _drop(unit: Path, user_id: int, command: list[str]) -> None:
    """Become another user without capabilities, and run this file once more for the rest."""
    limits = settings_of(unit)
    os.chdir(ROOT / "scripts")
    os.umask(int(limits["UMask"][0], 8))
    for name, limit in (("LimitNOFILE", resource.RLIMIT_NOFILE), ("LimitCORE", resource.RLIMIT_CORE)):
        granted = resource.getrlimit(limit)[1]
        wanted = int(limits[name][0])
        most = wanted if granted == resource.RLIM_INFINITY else min(wanted, granted)
        resource.setrlimit(limit, (most, most))
    own = ["setpriv", f"--reuid={user_id}", f"--regid={user_id}", "--clear-groups", "--bounding-set=-all"]
    own += [
        "--inh-caps=-all",
        "--no-new-privs",
        "--",
        sys.executable,
        "-m",
        "lab.confined",
        str(unit),
        FILTER,
    ]
    os.execvp(own[0], [*own, *command])


def _filter(unit: Path, command: list[str]) -> None:
    limits = settings_of(unit)
    made = Filter()
    for name in allowed_calls(limits["SystemCallFilter"]) - {"socket"}:
        made.allow(name)
    made.allow_families({_FAMILIES[name] for name in limits["RestrictAddressFamilies"][0].split()})
    if ctypes.CDLL(None).prctl(_PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        raise OSError("memory that is writable and executable cannot be refused")
    made.load()
    os.execvp(command[0], command)


def main(unit: str, second: str, *rest: str) -> None:
    if second == FILTER:
        _filter(Path(unit), list(rest))
    found = Path(unit).absolute()
    _enclose(Path(second))
    _drop(found, int(rest[0]), list(rest[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
