"""``tomosurf demo``: the sample studies, end to end."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tomosurf import resources
from tomosurf.commands import run as run_command
from tomosurf.console import Console

if TYPE_CHECKING:
    from tomosurf.pipeline import Outcome

HELP = "make the sample studies and run them end to end"

QUIET_PREFECT = {
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}
"""Prefect without telemetry and without chatter."""


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``demo``."""
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), help="default: ./demo")
    parser.add_argument(
        "--flow", action="store_true", help="run the Prefect flow process-study on an embedded server"
    )


def execute(arguments: Namespace, console: Console) -> int:
    """Generate, run, show; exit codes as for ``run``."""
    started = time.perf_counter()
    slices, cases = arguments.output / "dicom", arguments.output / "cases"
    console.say("Writing three sample studies: a CT phantom, an MR head, and two crops of it ...")
    with console.progress() as progress:
        load_script("make_sample_data").make(slices, progress)
    if arguments.flow:
        console.say("Running the Prefect flow process-study on them ...")
        outcome = run_flow(slices, cases, arguments.output / "prefect")
    else:
        from tomosurf.pipeline import run

        console.say("Building surfaces ...")
        with console.progress() as progress:
            outcome = run(slices, cases, progress=progress)
    console.emit(run_command.as_document(outcome))
    run_command.show(outcome, console)
    console.say(f"Done in {time.perf_counter() - started:.0f} s.")
    return run_command.exit_code(outcome)


def run_flow(source: Path, output: Path, home: Path) -> Outcome:
    """Run ``process-study`` with Prefect's embedded API and a database of its own under ``home``.

    Raises:
        MissingExtraError: Prefect isn't installed.
    """
    from tomosurf.errors import MissingExtraError
    from tomosurf.pipeline import Outcome, read_case

    if importlib.util.find_spec("prefect") is None:
        raise MissingExtraError("Prefect isn't installed: pip install 'tomosurf[flows]', or leave out --flow")
    os.environ.update(QUIET_PREFECT)
    os.environ["PREFECT_HOME"] = str(home.resolve())
    os.environ.pop("PREFECT_API_URL", None)
    folders = load_flow("process_study").process_study(str(source.resolve()), str(output.resolve()))
    return Outcome(tuple(read_case(Path(folder)) for folder in folders))


def load_flow(name: str) -> ModuleType:
    """The module of a flow, from the shipped folder ``flows``, as part of a package of its own."""
    folder = resources.folder("flows")
    package = "tomosurf_flows"
    if package not in sys.modules:
        _load(package, folder / "__init__.py", [str(folder)])
    return importlib.import_module(f"{package}.{name}")


def load_script(name: str) -> ModuleType:
    """A script of the shipped folder ``sample_data`` as a module."""
    return _load(f"tomosurf_{name}", resources.folder("sample_data") / f"{name}.py", None)


def _load(name: str, path: Path, search: list[str] | None) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
