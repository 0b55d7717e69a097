"""What pyproject.toml cannot say: the extension module, the programs, and the wheel's tag."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build_native

setup(
    cffi_modules=["build_native.py:ffibuilder"],
    # Installed into the environment's bin directory, beside the interpreter; wherry.native.program looks there.
    data_files=[("bin", build_native.stage_programs())],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
