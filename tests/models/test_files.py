"""Which changes of a loaded model's files are noticed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dg_lsp.cli.compose import open_infiller
from dg_lsp.job import InfillJob
from dg_lsp.models.files import changed_file, stamp
from dg_lsp.reason import ReasonCode
from dg_lsp.service.process.host import EngineHost

JOB = InfillJob("name = ", ".name\n")


@pytest.fixture
def weights(tmp_path) -> Path:
    for name in ("a.safetensors", "b.safetensors", "config.json"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_what_is_a_change(weights):
    before, one = stamp(weights), weights / "b.safetensors"
    assert changed_file(weights, before) is None
    # Removed ones stay mapped as they were, and new ones are not in use.
    (weights / "a.safetensors").unlink()
    (weights / "c.safetensors").touch()
    (weights / "config.json").write_text("else")
    assert changed_file(weights, before) is None

    os.truncate(one, 3)
    assert changed_file(weights, before) == one


def test_a_change_of_the_same_size_and_a_replacement(weights):
    before, one = stamp(weights), weights / "b.safetensors"
    with one.open("r+b") as file:
        file.write(b"B")
    assert changed_file(weights, before) == one
    before, other = stamp(weights), weights / "new"
    shutil.copy2(one, other)
    other.replace(one)
    assert changed_file(weights, before) == one


class Loader:
    """Loads the packed checkpoint, as an engine process does."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.opened = directory, 0

    def open(self):
        self.opened += 1
        return open_infiller(str(self.directory), "cpu")

    def loading_percent(self):
        return None

    def release(self):
        pass

    def device_memory_bytes(self):
        return 0


def flip_a_bit(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        byte = opened.read(1)[0]
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte ^ 4]))


def cut(file: Path) -> None:
    os.truncate(file, 100)


@pytest.mark.parametrize("spoil", [flip_a_bit, cut])
async def test_a_packed_model_that_is_spoiled_while_it_is_in_use(
    packed_checkpoint, tmp_path, spoil
):
    directory = Path(shutil.copytree(packed_checkpoint, tmp_path / "tiny-nf4"))
    loader = Loader(directory)
    host = EngineHost(loader)
    first = (await host.submit(JOB).result()).infill
    again = (await host.submit(JOB).result()).infill
    assert (first.reason, again.reason, loader.opened) == (None, None, 1)

    file = directory / "layer-01.safetensors"
    spoil(file)
    infill = (await host.submit(JOB).result()).infill
    assert infill.candidates == ()
    assert infill.reason.code is ReasonCode.BAD_CHECKPOINT
    assert file.name in infill.reason.message
    # A whole file in its place, and the engine works again.
    shutil.copy(packed_checkpoint / file.name, file)
    host._retry_load_s = 0.0
    assert (await host.submit(JOB).result()).infill.reason is None
    await host.close()
