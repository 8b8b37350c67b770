"""``tomosurf models``: what can segment; import and pull what others made."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomosurf.console import Console

if TYPE_CHECKING:
    from tomosurf.models.take_in import TakenIn
    from tomosurf.segment.model.imported import ImportChoices
    from tomosurf.segment.model.spec import ModelSpec

HELP = "list, show, import, pull or remove the networks that can segment"


def configure(parser: ArgumentParser) -> None:
    """``models list``, ``show``, ``import``, ``pull``, ``offers`` and ``remove``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    _action(actions, "list", "what can segment")
    _action(actions, "show", "one model in full").add_argument("name", metavar="NAME_OR_DIR")
    taken = _action(actions, "import", "take in a MONAI bundle or an nnU-Net results folder, as data")
    taken.add_argument("folder", type=Path, metavar="DIR")
    _add_choices(taken)
    _action(actions, "offers", "what can be pulled, under which licence").add_argument(
        "--catalogue", type=Path, metavar="FILE", help="another catalogue than the one that ships"
    )
    pulled = _action(actions, "pull", "fetch an offered model, check its digest, take it in")
    pulled.add_argument("offer", metavar="NAME", help="see `tomosurf models offers`")
    pulled.add_argument("--catalogue", type=Path, metavar="FILE")
    pulled.add_argument("--sha256", metavar="HEX", help="the digest that the archive must have")
    pulled.add_argument("--unchecked", action="store_true", help="take it although nobody states a digest")
    pulled.add_argument("--accept-licence", action="store_true", help="don't ask; needed off a terminal")
    _add_choices(pulled)
    _action(actions, "remove", "take an imported model out").add_argument("name", metavar="NAME")


def _action(actions: _SubParsersAction[ArgumentParser], name: str, text: str) -> ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text)
    parser.add_argument(
        "--json", action="store_true", default=SUPPRESS, help="one JSON document on standard output"
    )
    return parser


def _add_choices(parser: ArgumentParser) -> None:
    """What a folder may not say."""
    parser.add_argument("--name", help="the model's name here")
    parser.add_argument("--licence", help="under which its weights may be used, where the folder doesn't say")
    parser.add_argument("--modality", choices=("CT", "MR", "PT", "any"))
    parser.add_argument(
        "--order", metavar="A,B,C", help="overlapping structures, a later one painted over an earlier one"
    )
    parser.add_argument("--configuration", help="which one of several in an nnU-Net folder, 3d_fullres say")
    parser.add_argument("--folds", metavar="0,1,...", help="which folds of an nnU-Net folder; default all")
    parser.add_argument(
        "--orientation", metavar="RAS", help="how an nnU-Net's training images lay, where nothing says it"
    )


def execute(arguments: Namespace, console: Console) -> int:
    """Do one action; ``list`` without any.

    Raises:
        ConfigError: a choice is missing, doesn't fit, or a name is taken.
        UnknownNameError: no model or offer of that name.
        ModelError: a folder isn't understood, or a download failed.
    """
    actions = {
        "list": _list,
        "show": _show,
        "import": _import,
        "offers": _offers,
        "pull": _pull,
        "remove": _remove,
    }
    return actions[arguments.action or "list"](arguments, console)


def _list(_: Namespace, console: Console) -> int:
    from tomosurf.errors import ConfigError
    from tomosurf.segment.model.catalogue import find_model, model_names, user_models
    from tomosurf.segment.model.spec import load_spec

    sound, broken = [], []
    for name in model_names():
        folder = find_model(name)
        try:
            sound.append((load_spec(folder), folder))
        except ConfigError as error:  # one spoilt folder doesn't hide the others
            broken.append({"name": name, "folder": str(folder), "reason": str(error)})
    console.emit(
        {
            "models": [
                {
                    "name": s.name,
                    "version": s.version,
                    "title": s.title,
                    "licence": s.licence,
                    "modality": s.modality,
                    "source": s.source,
                    "sha256": [w.sha256 for w in s.weights],
                    "folder": str(folder),
                }
                for s, folder in sound
            ],
            "broken": broken,
        }
    )
    rows = [[s.name, s.version, s.title, s.modality, s.licence] for s, _ in sound]
    console.table("Models", ["name", "version", "segments", "from", "licence"], rows)
    for entry in broken:
        console.warn(f"{entry['name']} can't be used: {entry['reason']}")
    console.say(f"imported models are kept in {user_models()}")
    return 0


def _show(arguments: Namespace, console: Console) -> int:
    from tomosurf.segment.model.catalogue import find_model
    from tomosurf.segment.model.spec import load_spec

    folder = find_model(arguments.name)
    spec = load_spec(folder)
    console.emit({**spec.as_yaml_values(), "folder": str(folder)})
    _tell(spec, console)
    card = folder / "README.md"
    if card.is_file():
        console.say(f"model card: {card}")
    return 0


def _tell(spec: ModelSpec, console: Console) -> None:
    console.say(f"{spec.name} {spec.version}: {spec.title}")
    console.say(f"licence: {spec.licence}")
    if spec.source:
        console.say(f"source:  {spec.source}")
    for weights in spec.weights:
        console.say(f"weights: {weights.file}, sha256 {weights.sha256}")
    steps = ", ".join(step.do for step in spec.input.steps)
    console.say(f"network: {spec.architecture.name}, {spec.channels} outputs ({spec.activation})")
    console.say(f"input:   {spec.input.channels} x {spec.modality}; {steps}")
    if spec.earlier_sha256:
        console.say(f"cascade: a first stage in the same folder finds {len(spec.earlier)} labels for it,")
        console.say(f"         sha256 {spec.earlier_sha256}")
    if spec.calibration:
        console.say(
            f"doubt:   calibrated on {spec.calibration.cases} cases,"
            f" expected error {spec.calibration.error:.3f}"
        )
    else:
        console.say("doubt:   not calibrated: its probabilities were held against no cases")
    rows = [[str(s.label), s.name, f"{s.code.scheme} {s.code.value} {s.code.meaning}"] for s in spec.segments]
    console.table("Segments", ["label", "name", "code"], rows)


def _choices(arguments: Namespace) -> ImportChoices:
    from tomosurf.segment.model.imported import ImportChoices

    def parts(text: str | None) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()

    return ImportChoices(
        name=arguments.name,
        licence=arguments.licence,
        modality=arguments.modality,
        order=parts(arguments.order),
        configuration=arguments.configuration,
        folds=parts(arguments.folds),
        orientation=arguments.orientation,
    )


def _import(arguments: Namespace, console: Console) -> int:
    from tomosurf.models.take_in import take_in

    return _taken(take_in(arguments.folder, _choices(arguments)), console)


def _taken(taken: TakenIn, console: Console) -> int:
    from tomosurf.segment.model.spec import load_spec

    spec = load_spec(taken.folder)
    document: dict[str, Any] = spec.as_yaml_values()
    console.emit({**document, "folder": str(taken.folder), "kind": taken.kind, "notes": list(taken.notes)})
    _tell(spec, console)
    for note in taken.notes:
        console.say(f"note: {note}")
    console.say(f"kept in {taken.folder}; use it with --model {spec.name}")
    return 0


def _offers(arguments: Namespace, console: Console) -> int:
    from tomosurf.models.offers import load_offers

    offers = load_offers(arguments.catalogue).values()
    console.emit({"offers": [offer.model_dump(mode="json") for offer in offers]})
    rows = [[o.name, o.title, o.segments, o.licence, o.publisher, _digest_kind(o)] for o in offers]
    console.table("Offers", ["name", "title", "segments", "licence", "publisher", "digest"], rows)
    return 0


def _digest_kind(offer: Any) -> str:
    return "sha256" if offer.sha256 else "sha1" if offer.sha1 else "none stated"


def _pull(arguments: Namespace, console: Console) -> int:
    import sys

    from tomosurf.errors import ConfigError
    from tomosurf.models.offers import find_offer
    from tomosurf.models.pull import pull

    offer = find_offer(arguments.offer, arguments.catalogue)
    console.warn(f"{offer.title}, published by {offer.publisher}\nlicence: {offer.licence}")
    if not arguments.accept_licence:
        if not sys.stdin.isatty():
            raise ConfigError("say that you accept the licence above: --accept-licence")
        console.warn("fetch it under this licence? [y/N]")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            console.warn("nothing was fetched")
            return 2
    with console.progress() as progress:
        taken = pull(
            offer,
            _choices(arguments),
            sha256=arguments.sha256,
            unchecked=arguments.unchecked,
            progress=progress,
        )
    return _taken(taken, console)


def _remove(arguments: Namespace, console: Console) -> int:
    from tomosurf.segment.model.library import remove

    folder = remove(arguments.name)
    console.emit({"removed": arguments.name, "folder": str(folder)})
    console.say(f"{arguments.name} was removed from {folder.parent}")
    return 0
