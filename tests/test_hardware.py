"""What keeps dg-lsp from using a GPU, on machines that are made up."""

from __future__ import annotations

import os
import sys

import pytest

from dg_lsp import hardware
from dg_lsp.hardware import Gpu, Machine, gpu_obstacle, kernel_obstacle
from dg_lsp.reason import ReasonCode

GPU = Gpu("NVIDIA L4", (8, 9), 24 * 10**9, 20 * 10**9)


def machine(**changes) -> Machine:
    facts = {
        "system": "Linux",
        "gpus": (GPU,),
        "driver": "580.95.05",
        "torch": "2.15.0",
        "cuda_build": "13.0",
        "has_bitsandbytes": True,
        "has_triton": True,
        "has_compiler": True,
        "has_headers": True,
    }
    return Machine(**(facts | changes))


@pytest.mark.parametrize("torch_finds_gpu", [None, True])
def test_nothing_is_wrong_with_a_machine_that_has_all(torch_finds_gpu):
    found = machine(torch_finds_gpu=torch_finds_gpu)

    assert gpu_obstacle(found) is None
    assert kernel_obstacle(found) is None
    assert hardware.bitsandbytes_obstacle(found) is None


@pytest.mark.parametrize(("changes", "code", "words"), [
    ({"system": "Darwin", "gpus": ()}, ReasonCode.NO_GPU, ["Mac"]),
    ({"is_rocm": True, "cuda_build": "", "gpus": ()}, ReasonCode.NO_GPU, ["ROCm", "2.15.0"]),
    ({"is_rocm": True, "torch_finds_gpu": True}, ReasonCode.NO_GPU, ["ROCm"]),
    ({"gpus": ()}, ReasonCode.NO_GPU, ["nvidia-smi"]),
    ({"cuda_build": ""}, ReasonCode.NO_CUDA, ["2.15.0", "NVIDIA L4"]),
    ({"torch": "", "cuda_build": ""}, ReasonCode.NO_CUDA, ["not installed"]),
    ({"driver": "560.35.03"}, ReasonCode.OLD_DRIVER, ["560.35.03", "580.65", "13.0"]),
    ({"driver": "470.1", "cuda_build": "12.8"}, ReasonCode.OLD_DRIVER, ["525.60"]),
    ({"torch_finds_gpu": False}, ReasonCode.NO_GPU, ["CUDA_VISIBLE_DEVICES"]),
    ({"gpus": (Gpu("T4", (7, 5), 1),)}, ReasonCode.OLD_GPU, ["T4", "7.5", "8.0"]),
])  # fmt: skip
def test_a_gpu_that_cannot_be_used(changes, code, words):
    found = gpu_obstacle(machine(**changes))

    assert found is not None
    assert found.code is code
    assert all(word in found.message for word in [*words, "--device cpu"])


@pytest.mark.parametrize("driver", ["", "580.65.06", "595.1", "odd"])
def test_a_driver_that_is_new_enough_or_unknown(driver):
    assert gpu_obstacle(machine(driver=driver)) is None


def test_a_driver_is_not_judged_where_torch_finds_the_gpu():
    # A data centre's driver may be older, with NVIDIA's compatibility package.
    assert gpu_obstacle(machine(driver="535.1", torch_finds_gpu=True)) is None


@pytest.mark.parametrize(("changes", "code", "words"), [
    ({"has_triton": False}, ReasonCode.MISSING_PACKAGE, ["pip install triton"]),
    ({"has_triton": False, "system": "Windows"}, ReasonCode.MISSING_PACKAGE,
     ["pip install triton-windows"]),
    ({"has_compiler": False}, ReasonCode.NO_COMPILER, ["gcc"]),
    ({"has_headers": False}, ReasonCode.NO_COMPILER, ["Python.h"]),
])  # fmt: skip
def test_what_the_kernels_lack(changes, code, words):
    found = kernel_obstacle(machine(**changes))

    assert found is not None
    assert found.code is code
    assert all(word in found.message for word in words)


def test_triton_for_windows_brings_its_compiler():
    bare = machine(system="Windows", has_compiler=False, has_headers=False)
    assert kernel_obstacle(bare) is None


@pytest.mark.parametrize(("present", "named", "found"), [
    (["gcc"], None, True),
    (["clang"], None, True),
    (["cc"], None, False),
    (["mine"], "mine", True),
    (["gcc"], "gone", False),
])  # fmt: skip
def test_the_compiler_is_the_one_that_triton_takes(
    tmp_path, monkeypatch, present, named, found
):
    for name in present:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    if named is not None:
        monkeypatch.setenv("CC", named)

    assert hardware.has_compiler() is found


@pytest.mark.parametrize(
    ("environment", "expect"),
    [
        ({}, ["NVIDIA H200, the first", "T4"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"PATH": "/nowhere"}, []),
    ],
)
def test_the_driver_is_asked(tmp_path, monkeypatch, environment, expect):
    smi = tmp_path / "nvidia-smi"
    smi.write_text(
        "#!/bin/sh\necho '580.1, 143771, 1000, 9.0, NVIDIA H200, the first'\necho odd\n"
        "echo '580.1, [N/A], 1, 7.5, X'\necho '580.1, 15000, 14000, 7.5, T4'\n"
    )
    smi.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    gpus, driver = hardware.ask_driver()
    assert [gpu.name for gpu in gpus] == expect
    assert driver == ("580.1" if expect else "")
    if gpus:
        assert (gpus[0].free_bytes, gpus[1].capability) == (1000 * 2**20, (7, 5))


@pytest.mark.parametrize(("cuda", "hip", "expect"), [
    ("'12.8'", "None", ("2.15.0", "12.8", False)),
    ("None", "'6.4.1'", ("2.15.0", "", True)),
    ("None", "None", ("2.15.0", "", False)),
])  # fmt: skip
def test_torch_is_read_without_importing_it(tmp_path, monkeypatch, cuda, hip, expect):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit")
    (tmp_path / "torch" / "version.py").write_text(
        f"__version__ = '2.15.0'\ncuda: Optional[str] = {cuda}\nhip: Optional[str] = {hip}\n"
    )
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    assert hardware.torch_files() == expect
