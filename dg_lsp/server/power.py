"""Whether this machine runs on its battery, from what the operating system says.

The answer is kept for a minute, and a thread asks for the next one, so that no request waits
for it. What cannot be found out counts as plugged in.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

log = logging.getLogger(__name__)

KEPT_S = 60.0
SUPPLIES = Path("/sys/class/power_supply")
PMSET_S = 5.0
"""`pmset` answers within milliseconds."""


class Power:
    """The last known answer."""

    def __init__(
        self,
        run: Callable[[Callable[[], None]], object],
        read: Callable[[], bool] | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`run` runs a function on another thread and returns at once."""
        self._run, self._read, self._now_s = run, read or on_battery, now_s
        self._known = False
        self._asked_s: float | None = None

    @property
    def on_battery(self) -> bool:
        """What was known last; asks again if that was a minute ago."""
        now_s = self._now_s()
        if self._asked_s is None or now_s - self._asked_s >= KEPT_S:
            self._asked_s = now_s
            self._run(self._refresh)
        return self._known

    def _refresh(self) -> None:
        try:
            self._known = self._read()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.info("it is not known whether this machine runs on its battery: %s", error)
            self._known = False


def on_battery() -> bool:
    """Ask the operating system; blocks."""
    if sys.platform == "darwin":
        asked = subprocess.run(
            ["/usr/bin/pmset", "-g", "batt"],
            capture_output=True,
            text=True,
            timeout=PMSET_S,
            check=True,
        )
        return says_battery(asked.stdout)
    if sys.platform == "win32":
        return _windows_on_battery()
    return runs_on_battery(read_supplies(SUPPLIES))


def read_supplies(folder: Path) -> list[dict[str, str]]:
    """What Linux says of each power supply: the content of its files `type`, `scope`, `online`
    and `status`, as far as it has them."""
    if not folder.is_dir():
        return []
    supplies = []
    for supply in sorted(folder.iterdir()):
        found = {}
        for name in ("type", "scope", "online", "status"):
            try:
                found[name] = (supply / name).read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
        supplies.append({name: text.strip() for name, text in found.items()})
    return supplies


def runs_on_battery(supplies: Iterable[Mapping[str, str]]) -> bool:
    """Whether a battery of the machine is discharging and nothing else feeds it.

    A battery of the scope "Device" belongs to a mouse or a keyboard.
    """
    own = [one for one in supplies if one.get("scope") != "Device"]
    mains = [one for one in own if one.get("type") not in ("Battery", "UPS")]
    if any(one.get("online") == "1" for one in mains):
        return False
    return any(
        one.get("type") == "Battery" and one.get("status") == "Discharging" for one in own
    )


def says_battery(pmset: str) -> bool:
    """The same from the output of macOS's `pmset -g batt`."""
    first, *_ = pmset.strip().splitlines() or [""]
    return "'Battery Power'" in first


def ac_line_says_battery(ac_line_status: int) -> bool:
    """The same from `ACLineStatus` of Windows: 0 is offline, 1 online, 255 unknown."""
    return ac_line_status == 0


def _windows_on_battery() -> bool:
    import ctypes

    class Status(ctypes.Structure):
        """SYSTEM_POWER_STATUS (winbase.h)."""

        _fields_ = (
            ("ac_line_status", ctypes.c_ubyte),
            ("battery_flag", ctypes.c_ubyte),
            ("battery_life_percent", ctypes.c_ubyte),
            ("system_status_flag", ctypes.c_ubyte),
            ("battery_life_time", ctypes.c_ulong),
            ("battery_full_life_time", ctypes.c_ulong),
        )

    status = Status()
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 (only Windows has it)
    if not kernel.GetSystemPowerStatus(ctypes.byref(status)):
        return False
    return ac_line_says_battery(status.ac_line_status)
