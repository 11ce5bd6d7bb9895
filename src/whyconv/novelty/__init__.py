"""How unlike the training pictures a picture is: one number, computed inside of the exported file."""

from whyconv.novelty.fitting import KnownPictures, Novelty, fit_novelty
from whyconv.novelty.graph import add_novelty

__all__ = ["KnownPictures", "Novelty", "add_novelty", "fit_novelty"]
