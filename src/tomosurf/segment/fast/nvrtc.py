"""CUDA source compiled for this GPU by the compiler that comes with torch, and launched on torch's stream.

NVRTC and the driver are called through ctypes: no toolkit is needed. (NVRTC user guide; CUDA driver API.)
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any

import torch

from tomosurf.errors import ModelError

MAX_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES

Triple = tuple[int, int, int]


class Kernel:
    """One kernel of a compiled module, with the most shared memory that it may ask for."""

    def __init__(self, module: Module, name: str, shared: int = 0) -> None:
        self._module = module
        self._function = ctypes.c_void_p()
        self._shared = shared
        driver = module.driver
        _check(driver.cuModuleGetFunction(ctypes.byref(self._function), module.handle, name.encode()), name)
        if shared:
            _check(driver.cuFuncSetAttribute(self._function, MAX_SHARED, shared), name)

    def __call__(self, grid: Triple, threads: int, *arguments: torch.Tensor | float | None) -> None:
        """Launch on torch's current stream; tensors go as addresses, None as none, numbers as int or float.

        Raises:
            ModelError: the driver refuses the launch.
        """
        values = [_argument(value) for value in arguments]
        places = (ctypes.c_void_p * len(values))(
            *(ctypes.cast(ctypes.pointer(value), ctypes.c_void_p) for value in values)
        )
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        driver = self._module.driver
        _check(
            driver.cuLaunchKernel(self._function, *grid, threads, 1, 1, self._shared, stream, places, None),
            "a launch",
        )


class Module:
    """Compiled CUDA source, loaded into the current device's context."""

    def __init__(self, source: str, architecture: str, options: Sequence[str] = ()) -> None:
        """Compile ``source`` for ``architecture``, as "sm_90a".

        Raises:
            ModelError: the compiler or the driver isn't there, or refuses the source.
        """
        torch.cuda.current_stream().synchronize()  # a context must exist
        self.driver = _library("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        self.handle = ctypes.c_void_p()
        image = _compiled(source, (f"--gpu-architecture={architecture}", "--std=c++17", *options))
        _check(self.driver.cuModuleLoadData(ctypes.byref(self.handle), image), "loading a module")


def _compiled(source: str, options: Sequence[str]) -> bytes:
    """A cubin."""
    major = str(torch.version.cuda).partition(".")[0]
    nvrtc = _library(f"nvrtc64_{major}0_0.dll" if sys.platform == "win32" else f"libnvrtc.so.{major}")
    program = ctypes.c_void_p()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None))
    try:
        flags = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if nvrtc.nvrtcCompileProgram(program, len(options), flags):
            raise ModelError(f"the GPU kernels don't compile here: {_log(nvrtc, program)[:2000]}")
        size = ctypes.c_size_t()
        _check(nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)))
        image = ctypes.create_string_buffer(size.value)
        _check(nvrtc.nvrtcGetCUBIN(program, image))
        return image.raw
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _log(nvrtc: ctypes.CDLL, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(max(size.value, 1))
    nvrtc.nvrtcGetProgramLog(program, text)
    return text.value.decode(errors="replace")


def _library(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise ModelError(f"{name} was not found; torch's CUDA libraries are incomplete here") from error


def _argument(value: torch.Tensor | float | None) -> Any:
    if value is None:
        return ctypes.c_void_p(0)
    if isinstance(value, torch.Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_int(value) if isinstance(value, int) else ctypes.c_float(value)


def _check(code: int, what: str = "the compiler") -> None:
    if code:
        raise ModelError(f"the GPU's driver answers {code} ({what})")
