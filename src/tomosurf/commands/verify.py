"""``tomosurf verify``: is a case folder what its manifest says, and can it be made again."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tomosurf.console import Console

HELP = "check a case folder against its sealed manifest; with --rebuild, make it again and compare bytes"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``verify``."""
    parser.add_argument("case", type=Path, help="a case folder")
    parser.add_argument(
        "--rebuild", action="store_true", help="make labels and meshes again from its volumes"
    )


def execute(arguments: Namespace, console: Console) -> int:
    """Check; exit code 0 when it holds, 4 (not for use) when it doesn't.

    Raises:
        CaseFolderError: it is no case folder.
    """
    from tomosurf.verify import rebuild, verify

    result = verify(arguments.case)
    if result.ok and arguments.rebuild:
        with console.progress() as progress:
            result = rebuild(arguments.case, progress)
    console.emit({"case": str(arguments.case), "ok": result.ok, "problems": list(result.problems)})
    for problem in result.problems:
        console.warn(f"  {problem}")
    what = "made again, byte for byte" if arguments.rebuild else "what its manifest says"
    console.say(f"{arguments.case} is {'' if result.ok else 'NOT '}{what}")
    return 0 if result.ok else 4
