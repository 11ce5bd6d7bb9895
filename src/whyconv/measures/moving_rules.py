"""One literal table from the name of an operation to the rule by which what it makes moves.

Operations that torch calls pointwise need no row.
"""

from __future__ import annotations

from whyconv.measures import moving_axes as axes
from whyconv.measures import moving_windows as windows
from whyconv.measures.moving import Rule

RULES: dict[str, Rule] = {
    **dict.fromkeys(("convolution", "_convolution"), windows.convolve),
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices", "avg_pool2d"), windows.pool),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"), windows.pool_adaptively),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), windows.pad),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "prod", "var", "std", "var_mean"), windows.reduce),
    **dict.fromkeys(("logsumexp", "linalg_vector_norm", "norm", "argmax", "argmin"), windows.reduce),
    **dict.fromkeys(("_softmax", "_log_softmax"), windows.soften),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit"), windows.normalize_batch),
    "_native_batch_norm_legit_no_training": windows.normalize_batch,
    "native_group_norm": windows.normalize_group,
    "native_layer_norm": windows.normalize_layer,
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), axes.reshape),
    **dict.fromkeys(("permute", "transpose", "t"), axes.permute),
    "unsqueeze": axes.unsqueeze,
    "squeeze": axes.squeeze,
    "select": axes.select,
    "unbind": axes.unbind,
    **dict.fromkeys(("slice", "narrow", "split", "split_with_sizes"), axes.cut),
    "cat": axes.join,
    "expand": axes.expand,
    "roll": axes.roll,
}
# Of these the border of a padded map may be an argument.
TAKE_PADDED = ("convolution", "_convolution", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d")
