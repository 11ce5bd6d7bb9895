"""One answer and what it rests on."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import PictureError, UsageError, nearest
from whyconv.evidence.field import box_of, map_field, place_field
from whyconv.evidence.nearest import nearest as nearest_pictures
from whyconv.evidence.occlusion import occlusion_map, patches_for
from whyconv.evidence.opening import Explainer, LogitParts, open_explainer
from whyconv.evidence.views import on_the_picture
from whyconv.images.png import as_png_text
from whyconv.images.prepare import prepare
from whyconv.images.sources.listing import read_file
from whyconv.recognizer import Picture, Recognizer
from whyconv.results.evidence import Evidence, EvidenceMap, MapKind, NearPicture, PlaceField, WhyNoNearest, WhyOcclusion

NEAREST = 6


def explain(
    model: Explainer | Recognizer | str | PathLike[str],
    picture: Picture,
    *,
    run: str | PathLike[str] | None = None,
    label: str | None = None,
    kind: MapKind | None = None,
    num_nearest: int = NEAREST,
) -> Evidence:
    """Says what the answer for one picture rests on.

    A class activation map where the network ends in pooling and a linear layer: exact parts of the logit. Elsewhere an
    occlusion map: what the probability loses when a patch is hidden. Both are maps of the answer that is given: where
    it is the mean over views, so is the map.

    Args:
        model: A run folder or what ``train`` returned, an ONNX file, an open recognizer, or an ``Explainer``, which is
            quicker for many pictures.
        picture: A path, file content, or an array (h, w) or (h, w, c).
        run: The run folder, where ``model`` is not one: for the nearest training pictures.
        label: The class that is asked about; by default the answer.
        kind: Of the map; by default a class activation map where there can be one.
        num_nearest: How many of the nearest training pictures to give, at most; 0 says nothing of them.

    Raises:
        PictureError: The picture cannot be read.
        UsageError: There is no such class; or a class activation map is asked for, and the network has none; or
            ``picture``, ``kind`` or ``num_nearest`` is nothing of what it may be.
        ModelFileError: The file is missing, damaged or not written by whyconv; or ``run`` is no folder.
    """
    if not _is_whole(num_nearest):
        raise UsageError(f"num_nearest is {num_nearest!r}. Expected a whole number from 0.")
    explainer = model if isinstance(model, Explainer) else open_explainer(model, run)
    recognizer = explainer.recognizer
    pixels = read_pixels(recognizer, picture)
    answers = recognizer.run(pixels[None])
    probabilities = answers.probabilities[0]
    answer = int(probabilities.argmax())
    asked = answer if label is None else _number_of(label, recognizer.classes)
    found = evidence_map(explainer, pixels, asked, kind)
    near = _nearest(explainer, None if answers.features is None else answers.features[0], int(num_nearest))
    return Evidence(
        picture=str(picture) if isinstance(picture, str | Path) else "",
        label=recognizer.classes[asked],
        probability=float(probabilities[asked]),
        answer=recognizer.classes[answer],
        answer_probability=float(probabilities[answer]),
        side=recognizer.policy.side,
        png=as_png_text(pixels),
        map=found,
        field=_strongest_field(explainer, found),
        nearest=[] if isinstance(near, str) else near,
        num_known=0 if isinstance(explainer.examples, str) else len(explainer.examples),
        why_no_nearest=near if isinstance(near, str) else "",
    )


def read_pixels(recognizer: Recognizer, picture: Picture) -> NDArray[np.uint8]:
    """Returns a picture as the network sees it, uint8 (side, side, channels).

    Raises:
        PictureError: It cannot be read.
        UsageError: It is nothing that can be read as a picture.
    """
    if isinstance(picture, bytearray | memoryview):
        picture = bytes(picture)
    if not isinstance(picture, str | Path | bytes | np.ndarray):
        raise UsageError(f"{type(picture).__name__} is no picture. Expected a path, file content or an array.")
    try:
        content = read_file(Path(picture)) if isinstance(picture, str | Path) else picture
        return prepare(content, recognizer.policy, white=recognizer.metadata.array_white)
    except PictureError as error:
        raise PictureError(f"{picture}: {error}" if isinstance(picture, str | Path) else str(error)) from error


def evidence_map(
    explainer: Explainer, pixels: NDArray[np.uint8], label: int, kind: MapKind | None = None
) -> EvidenceMap:
    """Returns the map of one class over one picture.

    Args:
        explainer: Of the recognizer.
        pixels: uint8 (side, side, channels), as the network sees them.
        label: Number of the class.
        kind: Of the map; by default a class activation map where there can be one.

    Raises:
        UsageError: There is no such kind; or a class activation map is asked for, and the network has none.
    """
    if kind is not None and kind not in get_args(MapKind):
        raise UsageError(f"kind is {kind!r}. Expected {' or '.join(get_args(MapKind))}.")
    parts: LogitParts | WhyOcclusion = "" if kind == "occlusion" else explainer.logit_parts(pixels, label)
    if isinstance(parts, LogitParts):
        return _class_activation(explainer, parts)
    if kind == "class activation":
        raise UsageError(
            f"{explainer.recognizer.where} has no class activation map: its network does not end in pooling over all "
            "places and one linear layer. Ask for an occlusion map."
        )
    return _occlusion(explainer, pixels, label, parts)


def _class_activation(explainer: Explainer, parts: LogitParts) -> EvidenceMap:
    recognizer, graph, head = explainer.recognizer, explainer.field_graph, explainer.head
    assert graph is not None
    assert not isinstance(head, str)
    side, views = recognizer.policy.side, recognizer.metadata.views
    box = box_of(map_field(graph), (parts.parts.shape[1], parts.parts.shape[2]), side)
    values = on_the_picture(parts.parts, views, box, side)
    return EvidenceMap(
        kind="class activation",
        values=values.tolist(),
        box=box,
        views=list(views),
        pooling=head.pooling,
        logit=parts.logit,
        bias=parts.bias,
        difference=abs(float(values.sum()) + parts.bias - parts.logit),
    )


def _occlusion(explainer: Explainer, pixels: NDArray[np.uint8], label: int, why: WhyOcclusion) -> EvidenceMap:
    recognizer, patches = explainer.recognizer, patches_for(explainer.recognizer.policy.side)
    values = occlusion_map(pixels, lambda hidden: recognizer.run(hidden).probabilities, label, patches, explainer.level)
    return EvidenceMap(
        kind="occlusion",
        values=values.tolist(),
        box=patches.box,
        views=list(recognizer.metadata.views),
        why_occlusion=why,
        patch=patches.size,
        step=patches.step,
        level=explainer.level.tolist(),
    )


def _strongest_field(explainer: Explainer, found: EvidenceMap) -> PlaceField | None:
    if found.kind == "occlusion" or explainer.field_graph is None:
        return None
    return place_field(explainer.field_graph, found.strongest, found.views)


def _nearest(
    explainer: Explainer, features: NDArray[np.float32] | None, count: int
) -> list[NearPicture] | WhyNoNearest:
    examples = explainer.examples
    if not count:
        return []
    return examples if isinstance(examples, str) else nearest_pictures(examples, features, count)


def _is_whole(value: object) -> bool:
    """Whether this is a whole number from 0, Python's or numpy's."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 0


def _number_of(label: object, classes: tuple[str, ...]) -> int:
    if not isinstance(label, str):
        raise UsageError(
            f"label is {label!r}; expected the name of a class, as text.{nearest(str(label), classes)} "
            f"Classes: {', '.join(classes)}."
        )
    if label not in classes:
        raise UsageError(f"There is no class '{label}'.{nearest(str(label), classes)} Classes: {', '.join(classes)}.")
    return classes.index(label)
