"""A network in a process of its own, which can be stopped, and whose end ends nothing else.

Values cross as files in a private folder that is removed in every case. The result is the same to the last bit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread, Timer
from typing import Any

from tomosurf import errors
from tomosurf.config import NetworkMethod
from tomosurf.data.notice import Notice
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import InputRefused, ModelError, TomosurfError
from tomosurf.progress import Progress, silent
from tomosurf.registry import SEGMENTERS
from tomosurf.segment.options import SegmentOptions
from tomosurf.store import load_segmentation, load_volume, save_segmentation, save_volume
from tomosurf.whole_file import whole_file

ORDER, RESULT, ERROR = "order.json", "result.npz", "error.json"


def segment_in_child(
    volume: Volume,
    method: NetworkMethod,
    options: SegmentOptions = SegmentOptions(),  # noqa: B008  (frozen)
    progress: Progress = silent,
    others: Sequence[Volume] = (),
    timeout: float | None = None,
) -> Segmentation:
    """What ``tomosurf.segment.network.segment`` gives, from a child process; ``timeout`` is in seconds.

    Networks that ``options.engine`` holds are of no use to a child: it loads its own. An exception here, a
    KeyboardInterrupt too, ends the child.

    Raises:
        TomosurfError: as the segmenter does, the same type.
        ModelError: the child was killed, crashed, or took too long.
    """
    with TemporaryDirectory(prefix="tomosurf-") as name:
        folder = Path(name)
        volumes = [f"{n}.npz" for n in range(1 + len(others))]
        for one, file in zip((volume, *others), volumes, strict=True):
            save_volume(one, folder / file)
        order = {
            "method": method.model_dump(mode="json"),
            "options": asdict(replace(options, engine=None)),
            "volumes": volumes,
            "threads": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None,
        }
        (folder / ORDER).write_text(json.dumps(order), encoding="utf-8")
        with _child(folder) as child:
            overdue = _follow(child, progress, timeout)
        if (folder / RESULT).is_file():
            return load_segmentation(folder / RESULT)
        if (folder / ERROR).is_file():
            raise _told(json.loads((folder / ERROR).read_text(encoding="utf-8")))
        raise ModelError(_ended(child.returncode, timeout if overdue else None))


@contextmanager
def _child(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The child, gone afterwards, whatever happened; it also goes when this process does."""
    path = os.pathsep.join(filter(None, sys.path))
    child = subprocess.Popen(
        [sys.executable, "-m", "tomosurf.isolated", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _follow(child: subprocess.Popen[str], progress: Progress, timeout: float | None) -> bool:
    """Pass the child's progress on until it ends; True when it was ended for taking too long."""
    overdue: list[bool] = []

    def end() -> None:
        overdue.append(True)
        child.kill()

    clock = Timer(timeout, end) if timeout is not None else None
    if clock:
        clock.daemon = True
        clock.start()
    try:
        for line in child.stdout or ():
            stage, fraction = json.loads(line)
            progress(stage, fraction)
        child.wait()
    finally:
        if clock:
            clock.cancel()
    return bool(overdue)


def _ended(code: int, timeout: float | None) -> str:
    what = "the process that ran the network"
    if timeout is not None:
        return f"{what} took more than {timeout:g} s and was ended; allow it more time"
    if code < 0:
        return f"{what} was killed by signal {-code}: most likely the memory didn't suffice"
    return f"{what} ended with exit code {code}; see its messages above"


def _told(error: dict[str, Any]) -> TomosurfError:
    if "refused" in error:
        return Notice.from_dict(error["refused"]).error()
    told: TomosurfError = getattr(errors, error["type"], ModelError)(error["message"])
    return told


def main(folder: Path) -> int:
    """The child: the order in ``folder`` to a result or an error beside it; progress on standard output."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what libraries print isn't progress
    Thread(target=_end_with_parent, daemon=True).start()
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    if order["threads"]:
        import torch

        torch.set_num_threads(order["threads"])
    volume, *others = (load_volume(folder / file) for file in order["volumes"])
    method = NetworkMethod.model_validate(order["method"])
    segment = SEGMENTERS.load(method.method)
    try:
        found = segment(
            volume,
            method,
            SegmentOptions(**order["options"]),
            lambda stage, fraction: print(json.dumps([stage, fraction]), file=told),
            others,
        )
    except InputRefused as error:
        return _failed(folder, {"refused": Notice.of(error).as_dict()})
    except TomosurfError as error:
        return _failed(folder, {"type": type(error).__name__, "message": str(error)})
    save_segmentation(found, folder / RESULT)
    return 0


def _failed(folder: Path, told: dict[str, Any]) -> int:
    with whole_file(folder / ERROR) as partial:
        partial.write_text(json.dumps(told))
    return 1


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # returns when the parent is gone
    os._exit(1)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
