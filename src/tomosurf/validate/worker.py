"""The process of one worker: numbers of cases in, keys of their records out, one a line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tomosurf.errors import TomosurfError
from tomosurf.validate.plan import load_plan
from tomosurf.validate.score import Scorer


def main(plan_file: Path, output: Path) -> int:
    """Serve until standard input ends; 1 when a case can't be scored for a reason that isn't the case's."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    plan = load_plan(plan_file)
    scorer = Scorer(plan, output)
    for line in sys.stdin:
        try:
            record, before = scorer.score(plan.cases[int(line)])
        except TomosurfError as error:
            print(f"tomosurf: {error}", file=sys.stderr)
            return 1
        print(f"{'reused ' if before else ''}{record.key}", file=answers, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
