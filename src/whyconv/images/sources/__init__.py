"""Pictures and their labels, however they lie on disk: folders, labels files, tables, arrays."""

from whyconv.images.sources.arrays import pictures_from_arrays
from whyconv.images.sources.listing import PART_NAMES, Contents, Names, Pictures, are_reordered, numbers_among
from whyconv.images.sources.reading import LAYOUTS, read_pictures
from whyconv.images.sources.walk import list_images

__all__ = [
    "LAYOUTS",
    "PART_NAMES",
    "Contents",
    "Names",
    "Pictures",
    "are_reordered",
    "list_images",
    "numbers_among",
    "pictures_from_arrays",
    "read_pictures",
]
