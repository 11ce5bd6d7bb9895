"""The verbs that look: doctor at the machine, check at pictures, cache at what was kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from whyconv import texts
from whyconv.cli.options import GroupBy, Json, LabelFrom, Lang, Layout, Store
from whyconv.cli.terminal import listening, print_json, print_text


def doctor(as_json: Json = False, lang: Lang = None) -> None:
    """See what is installed and what to do next."""
    from whyconv.doctor import diagnose, diagnosis_lines
    from whyconv.images.cache import default_folder

    diagnosis = diagnose(default_folder())
    if as_json:
        print_json(diagnosis.model_dump_json())
    print_text(diagnosis_lines(diagnosis, texts.language(lang)))
    if diagnosis.missing or diagnosis.too_old:
        raise typer.Exit(1)


def check(  # noqa: PLR0913, PLR0917
    pictures: Annotated[
        str,
        typer.Argument(help="A folder of class folders, an archive of one, a labels file, an .npz or .h5 file."),
    ],
    layout: Layout = None,
    label_from: LabelFrom = None,
    group_by: GroupBy = None,
    store: Store = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Look at pictures before training.

    Says what is there, what cannot be read, and what would mislead: copies, copies across a split, one
    picture under two labels, classes that are small or missing.
    """
    from whyconv import inspection
    from whyconv.images.check import require_trainable
    from whyconv.show.data import check_lines
    from whyconv.show.text import printable

    language = texts.language(lang)
    given = {"layout": layout, "label_from": label_from, "group_by": group_by}
    flags = {name: value for name, value in given.items() if value is not None}
    with listening(language) as notify:
        report = inspection.check(pictures, store=Path(store) if store else None, notify=notify, **flags)
    if as_json:
        print_json(report.model_dump_json())
    print_text(check_lines(report, language))
    require_trainable(report)
    given["store"] = store
    options = [
        word for name, value in given.items() if value is not None for word in (f"--{name.replace('_', '-')}", value)
    ]
    typed = " ".join([texts.as_typed(pictures), *([texts.as_typed(*options)] if options else [])])
    print_text([texts.say("check_next", language, words=printable(typed))])


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove them; they can be made again.")] = False,
    store: Store = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """List or remove what is kept of decoded pictures."""
    from whyconv.images.cache import clear_command, default_folder, list_stores, remove_stores
    from whyconv.show.text import printable

    language = texts.language(lang)
    folder = Path(store) if store else default_folder()
    entries = remove_stores(folder) if clear else list_stores(folder)
    if as_json:
        stores = [
            {"path": str(one.path), "kind": one.kind, "where": one.where, "bytes": one.num_bytes} for one in entries
        ]
        print_json(json.dumps({"folder": str(folder), "is_cleared": clear, "stores": stores}))
    total = texts.size(sum(one.num_bytes for one in entries))
    head = "cache_cleared" if clear else "cache_head"
    lines = [texts.say(head, language, n=len(entries), size=total, folder=printable(str(folder)))]
    lines += [f"  {texts.size(one.num_bytes):>9}  {one.kind:<7}  {printable(one.where)}" for one in entries]
    if entries and not clear:
        lines.append(texts.say("cache_next", language, command=printable(clear_command(folder))))
    print_text(lines)
