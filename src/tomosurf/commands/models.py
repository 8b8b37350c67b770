"""``tomosurf models``: what can segment."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from tomosurf.console import Console

HELP = "list the networks that can segment, or show one"


def configure(parser: ArgumentParser) -> None:
    """``models list`` and ``models show NAME``."""
    parser.add_argument("action", choices=("list", "show"), nargs="?", default="list")
    parser.add_argument("name", nargs="?", help="a model's name or folder, for show")


def execute(arguments: Namespace, console: Console) -> int:
    """List or show.

    Raises:
        ConfigError: ``show`` without a name.
        UnknownNameError: no model of that name.
    """
    from tomosurf.errors import ConfigError

    if arguments.action == "show":
        if not arguments.name:
            raise ConfigError("name a model: tomosurf models show NAME")
        return _show(arguments.name, console)
    return _list(console)


def _list(console: Console) -> int:
    from tomosurf.segment.catalogue import find_model, model_names
    from tomosurf.segment.spec import load_spec

    specs = [load_spec(find_model(name)) for name in model_names()]
    console.emit(
        {
            "models": [
                {
                    "name": s.name,
                    "version": s.version,
                    "title": s.title,
                    "licence": s.licence,
                    "modality": s.modality,
                    "sha256": [w.sha256 for w in s.weights],
                }
                for s in specs
            ]
        }
    )
    rows = [[s.name, s.version, s.title, s.modality, s.licence] for s in specs]
    console.table("Models", ["name", "version", "segments", "from", "licence"], rows)
    return 0


def _show(name: str, console: Console) -> int:
    from tomosurf.segment.catalogue import find_model
    from tomosurf.segment.spec import load_spec

    folder = find_model(name)
    spec = load_spec(folder)
    console.emit({**spec.as_yaml_values(), "folder": str(folder)})
    console.say(f"{spec.name} {spec.version}: {spec.title}")
    console.say(f"licence: {spec.licence}")
    for weights in spec.weights:
        console.say(f"weights: {weights.file}, sha256 {weights.sha256}")
    steps = ", ".join(step.do for step in spec.input.steps)
    console.say(f"input:   {spec.input.channels} x {spec.modality}; {steps}")
    rows = [[str(s.label), s.name, f"{s.code.value} {s.code.meaning}"] for s in spec.segments]
    console.table("Segments", ["label", "name", "SNOMED CT"], rows)
    card = folder / "README.md"
    if card.is_file():
        console.say(f"model card: {card}")
    return 0
