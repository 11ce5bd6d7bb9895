"""One corner of a measured square, trained once more to be kept: its scores came from networks that were not."""

from __future__ import annotations

from whyconv.results import Corner, Place, Square
from whyconv.study.control_square import make_study
from whyconv.study.corners import OneHiddenLayer
from whyconv.study.draws import SquarePictures
from whyconv.study.protocol import Training
from whyconv.study.trials import Member, Settings
from whyconv.training.torch_habits import torch_habits


def train_corner(pictures: SquarePictures, square: Square, corner: Corner, place: Place = "still") -> OneHiddenLayer:
    """Trains the corner of the first draw, on the largest set, with the settings that the square has found.

    It is the network behind the first of ``by_draw`` of that score, trained by the same steps.

    Args:
        pictures: That the square was measured on.
        square: As measured.
        corner: Which network.
        place: Whether it learns from pictures as they are, or moved around the ring.
    """
    score = square.score(corner, place)
    training = Training(corner, place, None, score.n_train)
    member = Member(0, Settings(score.learning_rate, score.decay))
    study = make_study(pictures, square.protocol)
    with torch_habits(1):
        stack = study.train(training, [member], score.num_steps)
    network = study.starting_network(training, 0)
    network.load_state_dict({name: weight.detach()[0] for name, weight in stack.weights.items()})
    return network.eval()
