"""The store of models: names, order, and which one is best for a device."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from dg_lsp.models import store as models
from dg_lsp.models.nf4.manifest import read_manifest

GB = 10**9


@pytest.fixture
def add(packed_checkpoint, store):
    """Put a model into the store that says to have so many parameters."""

    def add(name: str, parameters: int):
        directory = shutil.copytree(packed_checkpoint, store / name)
        manifest = read_manifest(directory)
        dataclasses.replace(manifest, parameters=parameters).write(directory)
        return directory

    return add


def test_the_largest_comes_first(add):
    for name, parameters in (("b", 2 * GB), ("a", 26 * GB), ("c", GB // 2)):
        add(name, parameters)

    assert [model.name for model in models.list_models()] == ["a", "b", "c"]


def test_the_best_that_the_device_can_run_comes_first(add):
    assert models.candidates(True) == []
    add("small", GB // 2)
    large = add("large", 26 * GB)

    def names(is_gpu: bool) -> list[str]:
        return [model.name for model in models.candidates(is_gpu)]

    assert names(True) == ["large", "small"]
    assert names(False) == ["small"]
    (large / "shared.safetensors").unlink()
    assert names(True) == ["small"]


@pytest.mark.parametrize("name", ["../a", "/etc", ".hidden", "a b", "", "a" * 101])
def test_only_names_are_looked_for(add, name):
    assert models.find(name) is None


def test_what_is_there_is_found(add):
    directory = add("mine", GB)

    assert models.find("mine") == directory
    assert models.find("other") is None
