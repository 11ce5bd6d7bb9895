"""The words of the control square: its corners, and what is done to the pictures."""

from __future__ import annotations

from typing import Literal

Corner = Literal["dense", "local", "shared_global", "convolution"]
# What is done to every picture, once and for all.
ControlName = Literal["permuted", "signs", "multiplied"]
# Whether pictures stay where they are, or each is moved at random around the ring.
Place = Literal["still", "moved"]
Readout = Literal["mean", "places"]
# What is trained, and how it is asked, besides place and control: "plain"; "places": the readout sees every place
# instead of the mean; "shifts": training pictures shifted a little; "averaged": these networks, their answers averaged
# over the same shifts; "random_labels": labels drawn anew; "normalized": each map normalized over pictures and places;
# "same_parameters", "same_multiply_adds": a dense network with as many as the convolution, and no other corner.
ArmName = Literal[
    "plain", "places", "shifts", "averaged", "random_labels", "normalized", "same_parameters", "same_multiply_adds"
]
# What a dense network has as much of as the convolution.
Match = Literal["units", "parameters", "multiply_adds"]
# Changes of pictures that are compared exactly: the controls, and the move.
Change = Literal["moved", "permuted", "signs", "multiplied"]

CHANGES: tuple[Change, ...] = ("moved", "permuted", "signs", "multiplied")
CORNERS: tuple[Corner, ...] = ("dense", "local", "shared_global", "convolution")
# Part of the training pictures with the right answer from which on a network counts as having learned them.
LEARNED = 0.99
CONTROLS: tuple[ControlName, ...] = ("permuted", "signs", "multiplied")
PLACES: tuple[Place, ...] = ("still", "moved")
MATCHES: tuple[Match, ...] = ("units", "parameters", "multiply_adds")
# The arm that a dense network of each matching is trained in; with as many units it is the dense corner itself.
MATCHED_ARMS: dict[Match, ArmName] = {
    "units": "plain",
    "parameters": "same_parameters",
    "multiply_adds": "same_multiply_adds",
}
