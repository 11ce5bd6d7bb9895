"""What a section on why convolutions says about the run's own network: moved, layer by layer, repaired, untied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from whyconv.report.blocks import Block, Table, teller
from whyconv.report.curves import Figure
from whyconv.report.detectors import detector_figure
from whyconv.report.equivariance import equivariance_figure, equivariance_legend
from whyconv.report.names import shown
from whyconv.report.price import direction_figure, drift_figure, gain_figure
from whyconv.report.translation import shift_map
from whyconv.report.unit_fields import fields_figure, fields_legend
from whyconv.results import Estimate
from whyconv.results.certificate import Certificate
from whyconv.results.detectors import QUADRANTS, Detector, Detectors, LayerDetectors
from whyconv.results.equivariance import Equivariance
from whyconv.results.numbers import (
    added_spread,
    as_number,
    ends_in_points,
    in_percent,
    in_points,
    in_spread,
    number_after,
    percent_after,
    points_with_ends,
)
from whyconv.results.price import LayerPrice, PriceOfSharing
from whyconv.results.surgery import Surgery
from whyconv.results.translation import Translation, TranslationProtocol
from whyconv.results.unit_fields import UnitFields

# Pixels (high, wide, channels) of the patches of a layer's detector, strongest first.
Patches = Mapping[tuple[str, int], Sequence[NDArray[np.uint8]]]

_RATES = (
    *("consistency", "kappa", "worst_case", "correct_and_same", "worst_case_correct"),
    *("accuracy", "shifted_accuracy", "pair_consistency", "probability_change"),
)
_MOST_DRAWN_LAYERS, _MOST_DRAWN = 6, 4


def moved_block(found: Sequence[Translation], language: str) -> Block:
    """How answers hold under every shift, a map and a column of rates for each kind."""
    say = teller(language)
    kinds = [say(f"translation_kind_{one.protocol.kind}") for one in found]
    figures = [
        Figure(kind, Markup(""), shift_map(one, language), _card(one.protocol, language))
        for kind, one in zip(kinds, found, strict=True)
    ]
    rows = [
        [
            say("surgery_column_consistency") if name == "consistency" else say(f"translation_row_{name}"),
            *(_rate(getattr(one, name), name) for one in found),
        ]
        for name in _RATES
    ]
    note = say("report_why_percent")
    return Block(title=say("translation_head"), figures=figures, tables=[Table(["", *kinds], rows, note=note)])


def certificate_block(found: Certificate, language: str) -> Block:
    """What the certificate of an invariant run says, in one sentence."""
    say, told = teller(language), found.sentence
    return Block(title=say("report_why_certificate"), tag="", about=[say(told.key, **told.values)])


def fields_block(found: UnitFields, pixels: NDArray[np.uint8] | None, language: str) -> Block:
    """What the middle unit of a few layers sees, on one test picture and as numbers."""
    say = teller(language)
    chart = fields_figure(found, pixels, language)
    figure = Figure(say("fields_figure", n=len(found.units)), fields_legend(found), chart)
    rows = [
        [
            *(shown(one.layer), f"{one.places[0]} x {one.places[1]}", f"{one.place[0] + 1}, {one.place[1] + 1}"),
            *(f"{one.size[0]} x {one.size[1]}", f"{one.box[2]} x {one.box[3]}"),
            f"{100 * one.box[2] * one.box[3] / (found.picture[0] * found.picture[1]):.1f} %",
        ]
        for one in found.units
    ]
    head = [say(f"unit_column_{name}") for name in ("layer", "places", "unit", "field", "on_picture", "share")]
    high, wide = found.picture
    about = [say("unit_about", high=high, wide=wide)]
    notes = [say("unit_no_picture")] if pixels is None else []
    return Block(
        title=say("report_why_fields"),
        tag="exact",
        about=about,
        figures=[figure],
        tables=[Table(head, rows)],
        notes=notes,
    )


def equivariance_block(found: Equivariance, language: str) -> Block:
    """Errors layer by layer, and what each cause adds."""
    say = teller(language)
    chart = equivariance_figure(found, language)
    figures = [Figure(say("report_why_layers"), equivariance_legend(language), chart)] if chart else []
    head = [say("equivariance_column_cause"), say("equivariance_column_adds"), say("equivariance_column_alone")]
    rows = [
        [
            say(f"equivariance_cause_{one.cause}"),
            *(added_spread(one.error), in_spread(one.alone), ", ".join(map(shown, one.layers)) or "-"),
        ]
        for one in found.causes
    ]
    error = found.logits
    title = say("equivariance_logits", error=f"{in_percent(error)} %")
    tables = [Table([*head, say("report_why_at")], rows, title=title)]
    notes = [say(key) for key in found.told()]
    notes += [
        say("equivariance_not_analyzed", name=name, reason=_on_one_line(why))
        for name, why in found.not_analyzed.items()
    ]
    protocol = found.protocol
    values = {"n": protocol.n, "draws": protocol.num_draws, "seed": protocol.seed, "reach": protocol.reach}
    values |= {"high": protocol.side[0], "wide": protocol.side[1]}
    notes.append(
        say(
            "equivariance_card",
            dtype=protocol.dtype,
            resampling=say(f"equivariance_by_{protocol.resampling}"),
            **values,
        )
    )
    kind = say(f"translation_kind_{protocol.kind}")
    return Block(
        title=say("report_why_layers"),
        about=[say("equivariance_head", kind=kind)],
        figures=figures,
        tables=tables,
        notes=notes,
    )


def surgery_block(found: Surgery, language: str) -> Block:
    """The same weights with one repair at a time."""
    say = teller(language)
    head = [say(f"surgery_column_{name}") for name in ("repair", "consistency", "kappa", "accuracy")]
    tables = []
    for before in found.before:
        numbers = [in_percent(before.consistency), as_number(before.kappa), in_percent(before.accuracy)]
        rows = [[say("surgery_repair_before"), *numbers]]
        for repair in found.repairs:
            for one in repair.scores:
                if one.kind == before.protocol.kind:
                    consistency = percent_after(one.consistency, one.consistency_change)
                    accuracy = percent_after(one.accuracy, one.accuracy_change)
                    kappa = number_after(one.kappa, one.kappa_change)
                    rows.append([say(f"surgery_repair_{repair.name}"), consistency, kappa, accuracy])
        kind = say(f"translation_kind_{before.protocol.kind}")
        tables.append(Table(head, rows, title=kind, note=_card(before.protocol, language)))
    notes = [say("surgery_note"), *_unrepaired(found, language)]
    return Block(title=say("report_why_repairs"), about=[say("surgery_head")], tables=tables, notes=notes)


def price_block(found: PriceOfSharing, language: str) -> Block:
    """What each convolution gains without sharing, and where its filters went."""
    say = teller(language)
    before = found.accuracy_before
    about = [say("price_head", steps=found.protocol.steps)]
    about.append(say("price_before", share=before.value, low=before.low, high=before.high, n=found.num_test))
    figures = [Figure(say("price_figure_gain"), Markup(""), gain_figure(found, language))] if found.layers else []
    for one in found.layers[:_MOST_DRAWN_LAYERS]:
        layer = shown(one.layer)
        figures.append(Figure(say("price_figure_drift", layer=layer), Markup(""), drift_figure(one, language)))
        figures.append(Figure(say("price_figure_direction", layer=layer), Markup(""), direction_figure(one, language)))
    columns = ("layer", "places", "tied", "gain", "pictures", "drift")
    table = Table([say(f"price_column_{name}") for name in columns], [_price_row(one) for one in found.layers])
    notes = [_layer_note(one, language) for one in found.layers]
    notes += [
        say(
            f"price_left_{one.cause}",
            **{
                "layer": one.layer,
                "num_bytes": one.num_bytes,
                "seconds": one.seconds,
                "reason": _on_one_line(one.reason),
            },
            most=found.protocol.most_bytes,
        )
        for one in found.left_out
    ]
    if any(each.has_no_width for one in found.layers for each in (one.tied, one.gain)):
        notes.append(say("interval_no_width"))
    rates = ", ".join(f"{rate:g}" for rate in found.protocol.learning_rates)
    notes.append(say("price_note", rates=rates, validation=found.num_validation, train=found.num_train))
    return Block(
        title=say("report_why_price"),
        about=about,
        figures=figures,
        tables=[table] if found.layers else [],
        notes=([say("price_legend", seeds=found.protocol.num_seeds)] if found.layers else []) + notes,
    )


def detectors_block(found: Detectors, patches: Patches, language: str) -> Block:
    """Where detectors fire, what their silence costs, and what they answer to most."""
    say = teller(language)
    about = [say("detectors_head", n=found.n, accuracy=f"{in_percent(found.accuracy)} %")]
    figures = []
    for layer in _spread_out(found.layers):
        for one in layer.detectors[:_MOST_DRAWN]:
            cut = patches.get((layer.layer, one.channel), [])
            title = say("detectors_figure", channel=one.channel, layer=layer.layer, n=len(cut))
            figures.append(Figure(title, Markup(""), detector_figure(layer, one, cut, language)))
    notes = [say("detectors_legend")] if found.layers else []
    if figures and not patches:
        notes.append(say("report_why_no_patches"))
    notes += [
        say("detectors_left_out", layer=layer, reason=_on_one_line(reason)) for layer, reason in found.left_out.items()
    ]
    tables = [_detector_table(layer, language) for layer in found.layers]
    return Block(
        title=say("report_why_detectors"), about=about, figures=figures, size="small", tables=tables, notes=notes
    )


def _spread_out(layers: Sequence[LayerDetectors]) -> list[LayerDetectors]:
    """At most six layers, the first and the last among them."""
    if len(layers) <= _MOST_DRAWN_LAYERS:
        return list(layers)
    return [layers[round(place)] for place in np.linspace(0, len(layers) - 1, _MOST_DRAWN_LAYERS)]


def _detector_table(layer: LayerDetectors, language: str) -> Table:
    say = teller(language)
    head = [say("detectors_column_channel"), say("detectors_column_spread")]
    head += [say(f"detectors_quadrant_{one}") for one in QUADRANTS]
    total, count = layer.num_detectors, len(layer.detectors)
    values = {"layer": layer.layer, "total": total, "shown": count, "high": layer.places[0], "wide": layer.places[1]}
    title = say("detectors_layer_all", **values) if count == total else say("detectors_layer_strongest", **values)
    note = f"{say('detectors_summary', **values | layer.needed())} {say('detectors_summary_loss', **layer.useful())}"
    if not layer.is_activated:
        note = f"{say('detectors_not_activated', module=layer.activation)} {note}"
    rows = [_detector_row(one, language) for one in layer.detectors]
    return Table([*head, say("detectors_column_everywhere")], rows, title=title, note=note)


def _detector_row(one: Detector, language: str) -> list[str]:
    spread = teller(language)("detectors_never") if one.spread is None else in_percent(one.spread)
    return [str(one.channel), spread, *map(points_with_ends, [*one.lost, one.lost_everywhere])]


def _rate(estimate: Estimate, name: str) -> str:
    return as_number(estimate) if name == "kappa" else in_percent(estimate)


def _card(protocol: TranslationProtocol, language: str) -> str:
    say = teller(language)
    values = {"n": protocol.n, "draws": protocol.num_draws, "seed": protocol.seed, "shifts": len(protocol.shifts)}
    values |= {"high": protocol.side[0], "wide": protocol.side[1]}
    return say(
        "translation_card",
        reach=protocol.reach,
        dtype=protocol.dtype,
        views=say(f"translation_views_{protocol.views}"),
        **values,
    )


def _unrepaired(found: Surgery, language: str) -> list[str]:
    say = teller(language)
    notes = []
    for repair in found.repairs:
        name = say(f"surgery_repair_{repair.name}")
        left = repair.not_repaired()
        if not repair.scores and not left:
            notes.append(say("surgery_nothing", repair=name))
        notes += [
            say("surgery_left", repair=name, layer=one.layer, reason=say(f"surgery_left_{one.reason}")) for one in left
        ]
    return notes


def _on_one_line(reason: str) -> str:
    return " ".join(reason.split())


def _price_row(one: LayerPrice) -> list[str]:
    places = f"{one.places[0]} x {one.places[1]}"
    over_pictures = ends_in_points(one.gain_over_pictures)
    numbers = [in_percent(one.tied), in_points(one.gain), over_pictures, in_percent(one.drift.mean)]
    return [shown(one.layer), places, *numbers]


def _layer_note(one: LayerPrice, language: str) -> str:
    """What was found about one layer, in sentences."""
    say = teller(language)
    points = in_points(one.gain) if one.verdict == "undecided" else in_points(one.gain).lstrip("+-")
    ratio = one.untied_parameters / one.tied_parameters
    sentences = [say(f"price_verdict_{one.verdict}", layer=one.layer, points=points, ratio=ratio)]
    sentences += [
        say("price_drift", **one.drift.words()),
        say("price_own_rates", points=in_points(one.gain_at_own_rates)),
    ]
    if one.is_rate_at_edge:
        sentences.append(say("price_at_edge", rate=one.learning_rate))
    return " ".join(sentences)
