"""``tomosurf protocols``: what can be built."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from tomosurf.console import Console

HELP = "list what can be built"


def configure(parser: ArgumentParser) -> None:
    """No arguments."""


def execute(arguments: Namespace, console: Console) -> int:
    """List the shipped protocols."""
    from tomosurf.config import load_protocol, protocol_names

    protocols = [load_protocol(name) for name in protocol_names()]
    console.emit({"protocols": [{**p.model_dump(mode="json"), "sha256": p.digest()} for p in protocols]})
    rows = [[p.name, p.title, p.series.modality, p.segment.method, ", ".join(p.exports)] for p in protocols]
    console.table("Protocols", ["name", "builds", "from", "by", "mesh formats"], rows)
    return 0
