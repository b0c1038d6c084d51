"""The inside of the sandbox: isolates itself, then runs one program.

sandbox.py starts this script, which needs only the standard library, in a separate interpreter.
It reads one JSON object from stdin. To isolate, it enters new namespaces (mounts, processes,
network, IPC, host name, for ordinary users also users) with a small read-only file system in
memory that contains the interpreter's libraries, and drops every privilege. It also limits
time, memory, files and processes. It writes the word it was given only if the program ran to
its end; the program's own output is discarded.

Isolation works only on Linux: namespaces(7), pivot_root(2), capabilities(7).
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
from typing import Any, NoReturn

NOBODY = 65534
_CLONE_NEWNS, _CLONE_NEWCGROUP, _CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
_CLONE_NEWIPC, _CLONE_NEWUSER = 0x08000000, 0x10000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 1, 2, 4, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
# What statvfs(3) reports of a mount and what mount(2) calls it; none of it may be lost.
_KEPT_FLAGS = {8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SIGKILL = 9
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
_CAPABILITY_VERSION_3 = 0x20080522

CANNOT_ISOLATE = 77
"""Exit status if the machine lacks what the sandbox needs."""
MAX_DETAIL = 300


def main() -> NoReturn:
    order = json.load(sys.stdin)
    answer = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    if order["root"] is not None:
        is_root = os.geteuid() == 0
        try:
            _enter_namespaces()
        except OSError as error:
            os.write(answer, str(error).encode())
            os._exit(CANNOT_ISOLATE)
        # The first process in a process namespace; all others end with it.
        _in_child(lambda: _isolated(order, answer, is_root))
    _in_child(lambda: _run(order, answer))
    os._exit(0)


def _in_child(work: Any) -> None:
    """Do the work in a child and exit with its status."""
    child = os.fork()
    if child == 0:
        try:
            _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status):
        os._exit(abs(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _isolated(order: dict[str, Any], answer: int, is_root: bool) -> None:
    try:
        _change_root(order["root"], order["libraries"])
        _drop_privileges(is_root)
    except OSError as error:
        os.write(answer, str(error).encode())
        os._exit(CANNOT_ISOLATE)
    _in_child(lambda: _run(order, answer))


def _run(order: dict[str, Any], answer: int) -> None:
    """Run the program and write the word, or the error."""
    _limit(order["limits"])
    try:
        exec(compile(order["program"], "program.py", "exec"), {"__name__": "program"})
    except BaseException as error:
        detail = f"{type(error).__name__}: {error}"[:MAX_DETAIL]
        os.write(answer, detail.encode(errors="replace"))
        os._exit(1)
    os.write(answer, order["word"].encode())
    # Exit immediately, without the program's threads and exit handlers.
    os._exit(0)


def _limit(limits: dict[str, int]) -> None:
    # Not at the top: Windows has no such module, and sandbox.py reads this one there too.
    import resource

    for name, value in limits.items():
        which = getattr(resource, name, None)
        if which is not None:
            _, hard = resource.getrlimit(which)
            hard = sys.maxsize if hard == resource.RLIM_INFINITY else hard
            value = min(value, hard)
            # A second after the signal that tells of it, processor time is up for good.
            grace = 1 if name == "RLIMIT_CPU" and value < hard else 0
            resource.setrlimit(which, (value, value + grace))


def _enter_namespaces() -> None:
    flags = _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC
    flags |= _CLONE_NEWUTS | _CLONE_NEWCGROUP
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _call("unshare", flags)
        return
    _call("unshare", flags | _CLONE_NEWUSER)
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def _change_root(root: str, libraries: list[str]) -> None:
    """A read-only file system in memory, with only the libraries of the host."""
    # Whoever the program becomes must get through the directories made here.
    os.umask(0o022)
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    options = "size=16m,nr_inodes=4096,mode=755"
    _mount("none", root, "tmpfs", _MS_NOSUID | _MS_NODEV, options)
    for library in libraries:
        place = root + library
        os.makedirs(place, exist_ok=True)
        _mount(library, place, None, _MS_BIND)
        reported = os.statvfs(place).f_flag
        kept = sum(flag for shown, flag in _KEPT_FLAGS.items() if reported & shown)
        flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
        _mount(None, place, None, flags | kept)
    os.mkdir(f"{root}/tmp")
    os.chmod(f"{root}/tmp", 0o1777)
    os.chdir(root)
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"pivot_root is not known on {platform.machine()}")
    # The old root is mounted on top of the new one and then unmounted: pivot_root(2).
    _call("syscall", ctypes.c_long(number), b".", b".")
    _call("umount2", b".", _MNT_DETACH)
    os.chdir("/tmp")


def _drop_privileges(is_root: bool) -> None:
    """Become nobody, or the root of a user namespace without root's capabilities."""
    if is_root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # Changing the user clears the setting to die with the parent.
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts = [
        None if text is None else text.encode() for text in (source, target, kind, options)
    ]
    _call("mount", texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _call("prctl", option, ctypes.c_ulong(value), *(ctypes.c_ulong(0),) * 3)


def _call(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
