"""The programs of the two wheels."""

from __future__ import annotations

import os
import shutil
import sysconfig


class ProgramError(RuntimeError):
    """A program is missing, or it refused its arguments."""


def find(name: str) -> str:
    """The path of a program that a wheel installed: beside this interpreter, or on ``PATH``."""
    schemes = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    for directory in schemes:
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK):
            return path
    path = shutil.which(name)
    if path is None:
        raise ProgramError(f"{name} is not installed: `pip install {name}`")
    return path


def environment(**more: str) -> dict[str, str]:
    """The environment of a program whose output is read."""
    return {**os.environ, "NO_COLOR": "1", **more}
