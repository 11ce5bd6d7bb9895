"""Pictures in many files that are read a little at a time, here or elsewhere: tar files of samples, and Parquet."""

from whyconv.images.shards.order import Blocks, Order
from whyconv.images.shards.places import are_shards, expand
from whyconv.images.shards.sample import Sample, draw_sample
from whyconv.images.shards.shards import Shards, open_shards

__all__ = ["Blocks", "Order", "Sample", "Shards", "are_shards", "draw_sample", "expand", "open_shards"]
