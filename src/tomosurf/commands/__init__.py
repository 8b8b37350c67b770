"""The sub-commands, one module each: ``HELP``, ``configure(parser)`` and ``execute(arguments, console)``.

A command imports what it needs when it runs, so that ``tomosurf --help`` stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, ModuleType

from tomosurf.commands import (
    access,
    deidentify,
    demo,
    doctor,
    inspect,
    models,
    protocols,
    run,
    segment,
    surface,
    train,
    validate,
    verify,
    volume,
)

COMMANDS: Mapping[str, ModuleType] = MappingProxyType(
    {
        "run": run,
        "inspect": inspect,
        "volume": volume,
        "deidentify": deidentify,
        "segment": segment,
        "surface": surface,
        "access": access,
        "validate": validate,
        "train": train,
        "models": models,
        "protocols": protocols,
        "verify": verify,
        "demo": demo,
        "doctor": doctor,
    }
)
