"""Whether the machine runs on its battery."""

from __future__ import annotations

import pytest

from dg_lsp.server.power import (
    KEPT_S,
    Power,
    ac_line_says_battery,
    read_supplies,
    runs_on_battery,
    says_battery,
)

MAINS = {"type": "Mains", "online": "1"}
UNPLUGGED = {"type": "Mains", "online": "0"}
DISCHARGING = {"type": "Battery", "status": "Discharging"}
CHARGING = {"type": "Battery", "status": "Charging"}
FULL = {"type": "Battery", "status": "Not charging"}
MOUSE = {"type": "Battery", "scope": "Device", "status": "Discharging"}
DOCK = {"type": "USB", "online": "1"}
NO_DOCK = {"type": "USB", "online": "0"}


@pytest.mark.parametrize(
    ("supplies", "expect"),
    [
        ([UNPLUGGED, DISCHARGING], True),
        # Some laptops have no supply but the battery.
        ([DISCHARGING], True),
        ([UNPLUGGED, NO_DOCK, FULL, DISCHARGING], True),
        ([MAINS, CHARGING], False),
        ([MAINS, FULL], False),
        # A weak charger: the battery helps.
        ([MAINS, DISCHARGING], False),
        ([UNPLUGGED, DOCK, DISCHARGING], False),
        ([], False),
        ([MOUSE], False),
        ([MAINS, MOUSE], False),
        ([{"type": "Battery", "status": "Unknown"}], False),
        ([{"type": "Battery"}], False),
        ([{}], False),
    ],
)
def test_power_supplies_of_linux(supplies, expect):
    assert runs_on_battery(supplies) is expect


def test_the_supplies_are_read_from_their_files(tmp_path):
    for name, files in (("AC", UNPLUGGED), ("BAT0", DISCHARGING)):
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(f"{text}\n")
    (tmp_path / "BAT0" / "scope").mkdir()

    assert read_supplies(tmp_path) == [UNPLUGGED, DISCHARGING]
    assert read_supplies(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("said", "expect"),
    [
        (
            "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4653155)\t92%; "
            "discharging; 5:20 remaining present: true\n",
            True,
        ),
        (
            "Now drawing from 'AC Power'\n -InternalBattery-0 (id=4653155)\t92%; charging\n",
            False,
        ),
        ("Now drawing from 'UPS Power'\n", False),
        ("", False),
        ("pmset: unknown", False),
    ],
)
def test_what_pmset_says_on_macos(said, expect):
    assert says_battery(said) is expect


@pytest.mark.parametrize(("status", "expect"), [(0, True), (1, False), (255, False)])
def test_what_windows_says(status, expect):
    assert ac_line_says_battery(status) is expect


class Machine:
    """A machine whose plug and clock the test moves, and whose threads it lets run."""

    def __init__(self):
        self.on_battery, self.now_s, self.error = True, 0.0, None
        self.waiting = []
        self.power = Power(self.waiting.append, self.read, lambda: self.now_s)

    def read(self):
        if self.error is not None:
            raise self.error
        return self.on_battery

    def run(self):
        for ask in self.waiting:
            ask()
        self.waiting.clear()


def test_nobody_waits_for_the_answer_which_is_kept_for_a_minute():
    machine = Machine()
    # Until it is known, the machine counts as plugged in.
    assert not machine.power.on_battery
    machine.run()
    assert machine.power.on_battery

    machine.on_battery = False
    machine.now_s = KEPT_S - 1
    assert machine.power.on_battery
    assert machine.waiting == []
    machine.now_s = KEPT_S
    assert machine.power.on_battery
    assert len(machine.waiting) == 1
    machine.run()
    assert not machine.power.on_battery


@pytest.mark.parametrize("error", [OSError("no such program"), ValueError("what?")])
def test_what_cannot_be_found_out_counts_as_plugged_in(error):
    machine = Machine()
    assert not machine.power.on_battery
    machine.run()
    machine.error, machine.now_s = error, KEPT_S
    assert machine.power.on_battery
    machine.run()
    assert not machine.power.on_battery
