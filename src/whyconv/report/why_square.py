"""What a section on why convolutions says about the pictures: claims, control square, learning curves, controls."""

from __future__ import annotations

from markupsafe import Markup

from whyconv.report.blocks import Block, Table, teller
from whyconv.report.curves import Figure
from whyconv.report.learning import learning_figure, learning_legend, learning_title
from whyconv.report.square import square_figure
from whyconv.results import CHANGES, CONTROLS, CORNERS, PLACES, ArmName, Corner, Place, Square
from whyconv.results.claims import claims, matched_words, moved_words, stand_in_words, unlearned_words
from whyconv.results.numbers import (
    as_number,
    crossing_number,
    in_percent,
    in_points,
    steps_needed,
    told_points,
    verdict,
)
from whyconv.results.why import Why


def claims_block(why: Why, language: str) -> Block:
    """Each claim with what was found and whether it holds, as the terminal says it."""
    say = teller(language)
    rows = []
    for claim in claims(why.square):
        words = claim.words(say("curves_unknown"))
        found = say(f"why_found_{claim.sentence}", **words)
        rows.append((say(f"why_claim_{claim.name}"), found, say(f"why_verdict_{claim.holds}")))
    for number, one in enumerate(why.translation):
        kind = say(f"translation_kind_{one.protocol.kind}")
        claim_name = "" if number else say("why_claim_invariance")
        rows.append((claim_name, say("why_moved", kind=kind, **moved_words(one)), ""))
    for missing in why.not_measured:
        kind = say(f"translation_kind_{missing.what}")
        rows.append(("", say("why_not_measured", kind=kind, reason=say(missing.reason)), ""))
    head = [say("report_why_claim"), say("report_why_found"), say("report_why_holds")]
    notes = [*_unlearned(why.square, language), say("why_loose_ends")]
    if beside := matched_words(why.square):
        notes.append(say("why_same_parameters", **beside))
    if why.left_out:
        parts = ", ".join(say(f"why_part_{name}") for name in why.left_out)
        notes.append(say("why_left_out_parts", parts=parts))
    return Block(title=say("report_why_claims"), tag="", tables=[Table(head, rows)], notes=notes)


def _unlearned(square: Square, language: str) -> list[str]:
    say = teller(language)
    told = [
        say(f"square_unlearned_{place}", corner=say(f"square_corner_{corner}"), **words)
        for corner, place, words in unlearned_words(square)
    ]
    return [say("square_unlearned", corners=", ".join(told))] if told else []


def square_block(square: Square, language: str) -> Block:
    """The control square, pictures as they are and moved."""
    say = teller(language)
    protocol = square.protocol
    sizes = {"units": protocol.maps * protocol.side**2, "maps": protocol.maps}
    sizes |= {"side": protocol.side, "kernel": protocol.kernel}
    about = [say("square_networks", readout=say(f"square_readout_{protocol.readout}"), **sizes)]
    about.append(say("report_why_arrows", n=protocol.sizes[-1], chance=square.largest_class_fraction))
    figures = [
        Figure(
            say(f"report_why_square_{place}"),
            Markup(""),
            square_figure(square, place, language),
            _gain(square, place, language),
        )
        for place in PLACES
    ]
    values = {
        "draws": protocol.num_draws,
        "test": square.num_test,
        "rates": ", ".join(f"{rate:g}" for rate in square.learning_rates),
        "decays": ", ".join(f"{decay:g}" for decay in protocol.decays),
        "tuning": protocol.num_tuning_draws,
    }
    notes = [say("square_forgets")] if square.forgets_places else []
    notes.append(say("square_interval_note", **values))
    if square.some_have_no_width:
        notes.append(say("interval_no_width"))
    if square.num_at_edge:
        notes.append(say("square_at_edge", n=square.num_at_edge, total=square.num_trained))
    return Block(title=say("report_why_square"), about=about, figures=figures, notes=notes)


def curves_block(square: Square, language: str) -> Block:
    """Learning curves of every arm, and the pictures that targets need; of one size only what stands nowhere else."""
    say = teller(language)
    is_curve = len(square.protocol.sizes) > 1
    arms: list[tuple[Place, ArmName]] = list(dict.fromkeys((one.place, one.arm) for one in square.splits))
    arms = [(place, arm) for place, arm in arms if is_curve or arm != "plain"]
    arms.sort(key=lambda one: one[1] != "plain")
    figures = [
        Figure(
            learning_title(square, place, arm, language),
            learning_legend(language),
            learning_figure(square, place, arm, language),
        )
        for place, arm in arms
    ]
    tables = [_needed(square, place, language) for place in PLACES]
    told = stand_in_words(square)
    notes = [say(told[0], **told[1])] if told else []
    return Block(
        title=say("report_why_curves"),
        about=_about_curves(square, language, has_figures=bool(figures)),
        figures=figures,
        size="small",
        tables=[one for one in tables if one.rows],
        notes=[*notes, say("curves_normalized")] if ("still", "normalized") in arms else notes,
    )


def _about_curves(square: Square, language: str, *, has_figures: bool) -> list[str]:
    """What the figures show, and what they cannot."""
    say, protocol = teller(language), square.protocol
    if len(protocol.sizes) > 1:
        about = [say("report_why_about_curves", draws=protocol.num_draws)]
        return [*about, say("report_why_about_levels")] if square.needed else about
    about = [say("report_why_one_size", n=protocol.sizes[-1])]
    return [*about, say("report_why_about_points", draws=protocol.num_draws)] if has_figures else about


def corners_block(square: Square, language: str) -> Block:
    """Weights, overfitting, how errors fall, random labels and other stops, corner by corner."""
    say = teller(language)
    gaps = {(one.place, one.corner): in_points(one.gap) for one in square.gaps}
    steps = {one.corner: steps_needed(one) for one in square.memorized}
    rows = [[say("square_parameters"), *(f"{square.weights[corner]:,}" for corner in CORNERS)]]
    for place in PLACES:
        found = [one for one in square.gaps if one.place == place]
        if found:
            label = say(f"report_why_gap_{place}", train=found[0].train_accuracy, n=found[0].n_train)
            rows.append([label, *(gaps[place, corner] for corner in CORNERS)])
    rows += _exponents(square, language)
    if steps:
        label = say("report_why_memorized", n=square.memorized[0].n_train, most=square.memorized[0].most_steps)
        rows.append([label, *(steps[corner] for corner in CORNERS)])
    tables = [Table(["", *_names(language)], rows)]
    if stops := _stops(square, language):
        title = say("report_why_stops", n=square.protocol.sizes[-1])
        tables.append(Table(["", *_names(language)], stops, title=title))
    if square.gap_differences:
        tables.append(_gap_pairs(square, language))
    return Block(title=say("report_why_corners"), tag="", tables=tables)


def _stops(square: Square, language: str) -> list[list[str]]:
    """Accuracies after as many steps for all, and of each draw at its own best; none where there is one stop."""
    say, protocol = teller(language), square.protocol
    rows = []
    for place in PLACES if protocol.most_times > 1 else ():
        found = [in_percent(square.score(corner, place).same_steps_accuracy) for corner in CORNERS]
        rows.append([say(f"report_why_same_steps_{place}", steps=protocol.steps), *found])
    for place in PLACES if protocol.checkpoints > 1 else ():
        found = [in_percent(square.score(corner, place).best_accuracy) for corner in CORNERS]
        rows.append([say(f"report_why_own_best_{place}"), *found])
    return rows


def _exponents(square: Square, language: str) -> list[list[str]]:
    """How errors fall, a row a place; unknown for a corner whose errors end at 0."""
    say = teller(language)
    rows = []
    for place in PLACES:
        found = {one.corner: one for one in square.exponents if (one.place, one.arm) == (place, "plain")}
        if not found:
            continue
        has_floor = any(one.is_floor_fitted for one in found.values())
        name = say(f"report_why_exponent_floor_{place}" if has_floor else f"report_why_exponent_{place}")
        numbers = {corner: as_number(one.exponent) for corner, one in found.items()}
        rows.append([name, *(numbers.get(corner, say("curves_unknown")) for corner in CORNERS)])
    return rows


def controls_block(square: Square, language: str) -> Block:
    """What the structure makes impossible to notice, compared exactly; what controls take, where they were applied."""
    say = teller(language)
    changes = {change: say(f"square_change_{change}", multiplier=square.protocol.multiplier) for change in CHANGES}
    checks = {(one.corner, one.change): one for one in square.checks}
    rows = []
    for change in CHANGES:
        found = [checks[corner, change] for corner in CORNERS]
        rows.append([changes[change], *(f"{'= ' if one.is_unmoved else ''}{one.difference:.1g}" for one in found)])
    head = ["", *_names(language)]
    tables = [Table(head, rows, title=say("square_exact_head", steps=square.protocol.exact_steps))]
    for place in square.protocol.controlled:
        losses = {(one.control, one.corner): one for one in square.losses if one.place == place}
        rows = [
            [
                changes[control],
                *(
                    say("square_unmoved") if one.is_unmoved else in_points(one.points)
                    for one in (losses[control, corner] for corner in CORNERS)
                ),
            ]
            for control in CONTROLS
        ]
        tables.append(Table(head, rows, title=say(f"square_lost_{place}", n=square.protocol.sizes[-1])))
    notes = [say("square_meaning", multiplier=square.protocol.multiplier)]
    return Block(title=say("report_why_controls"), tag="", tables=tables, notes=notes)


def _gain(square: Square, place: Place, language: str) -> str:
    """Who wins, said plainly."""
    say, gain = teller(language), square.split(place).gain
    return say(f"square_{verdict(gain)}_{place}", points=told_points(gain))


def _needed(square: Square, place: Place, language: str) -> Table:
    say = teller(language)
    found: dict[float, dict[Corner, str]] = {
        one.target: {} for one in square.needed if (one.place, one.arm) == (place, "plain")
    }
    for one in square.needed:
        if (one.place, one.arm) == (place, "plain"):
            found[one.target][one.corner] = crossing_number(one.pictures) or say("curves_unknown")
    targets = sorted(found)
    rows = [
        [name, *(found[target][corner] for target in targets)]
        for corner, name in zip(CORNERS, _names(language), strict=True)
    ]
    ratios = [one for one in square.ratios if (one.place, one.arm) == (place, "plain")]
    names: dict[Corner, str] = dict(zip(CORNERS, _names(language), strict=True))
    for corner, beside in dict.fromkeys((one.corner, one.beside) for one in ratios):
        times = {one.target: one.times for one in ratios if (one.corner, one.beside) == (corner, beside)}
        cells = [crossing_number(times[target], is_ratio=True) or say("curves_unknown") for target in targets]
        rows.append([f"{names[corner]} / {names[beside]}", *cells])
    head = ["", *(f"{100 * target:.0f}\u00a0%" for target in targets)]
    return Table(head, rows if targets else [], title=say(f"curves_needed_{place}"))


def _gap_pairs(square: Square, language: str) -> Table:
    """How much more one corner overfits than another, a row a pair."""
    say = teller(language)
    names: dict[Corner, str] = dict(zip(CORNERS, _names(language), strict=True))
    found = {(one.place, one.corner, one.beside): in_points(one.difference) for one in square.gap_differences}
    pairs = dict.fromkeys((one.corner, one.beside) for one in square.gap_differences)
    rows = [[f"{names[a]} - {names[b]}", *(found[place, a, b] for place in PLACES)] for a, b in pairs]
    head = ["", *(say(f"report_why_gap_pair_{place}") for place in PLACES)]
    return Table(head, rows, title=say("report_why_gap_pairs"))


def _names(language: str) -> list[str]:
    say = teller(language)
    return [say(f"square_corner_{corner}") for corner in CORNERS]
