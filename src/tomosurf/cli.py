"""The command ``tomosurf``: arguments in, exit code out. Each sub-command is a module of ``commands``.

Exit codes: 0 done; 1 a bug of ours or an engine's failure; 2 wrong usage; 3 input refused, nothing usable in it;
4 done, but a finding of severity error marks the result *not for use*.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from tomosurf import __version__
from tomosurf.commands import COMMANDS
from tomosurf.console import Console
from tomosurf.errors import CaseFolderError, ConfigError, InputRefused, TomosurfError, UnknownNameError

DONE, FAILED, USAGE, REFUSED, NOT_FOR_USE = 0, 1, 2, 3, 4


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="tomosurf",
        description="DICOM slices in, surgical-planning surfaces out, with their error in millimetres.",
        epilog="Research software, not a medical device.",
    )
    top.add_argument("--version", action="version", version=f"tomosurf {__version__}")
    top.add_argument("--debug", action="store_true", help="show where in the code an error arose")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        command.add_argument("--json", action="store_true", help="one JSON document on standard output")
        module.configure(command)
        command.set_defaults(execute=module.execute)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    try:
        code: int = chosen.execute(chosen, Console(chosen.json))
        return code
    except (ConfigError, UnknownNameError) as error:
        return _failed(error, USAGE, chosen.debug)
    except (InputRefused, CaseFolderError) as error:
        return _failed(error, REFUSED, chosen.debug)
    except BrokenPipeError:
        raise  # a pager was closed: nobody is left to tell
    except (TomosurfError, MemoryError, OSError) as error:
        return _failed(error, FAILED, chosen.debug)
    except KeyboardInterrupt:
        print("tomosurf: stopped; nothing half-written was left", file=sys.stderr)
        return FAILED


def _failed(error: BaseException, code: int, debug: bool) -> int:
    """Say what went wrong in one line, or all of it with --debug."""
    if debug:
        traceback.print_exception(error)
    text = str(error) or type(error).__name__
    print(f"tomosurf: {text}", file=sys.stderr)
    return code


def entry() -> None:
    """The console script. Leaves through ``os._exit`` when standard output was closed early (a pager).

    OpenMP's threads are asked to sleep while they wait, before anything loads it: torch's and Numba's would
    otherwise spin on each other's processors. A setting from outside stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(FAILED)
    raise SystemExit(code)
