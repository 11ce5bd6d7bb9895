"""The atlas: on each set of pictures, points gained by locality against points gained by sharing, in one figure."""

from whyconv.atlas.measuring import measure_atlas
from whyconv.atlas.own_run import add_run, add_to_report, own_set, read_atlas
from whyconv.atlas.places import NamedPlace, Reading, name_places

__all__ = [
    "NamedPlace",
    "Reading",
    "add_run",
    "add_to_report",
    "measure_atlas",
    "name_places",
    "own_set",
    "read_atlas",
]
