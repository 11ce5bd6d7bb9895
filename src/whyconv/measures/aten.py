"""What torch's operations mean: one literal table from the name of an operation to how it enters a graph.

Names without a trailing underscore stand for the form that works in place, too. Operations that torch itself calls
pointwise need no row; neither do those that hand their numbers on unchanged.
"""

from __future__ import annotations

from whyconv.counting.building import Value
from whyconv.measures import readers
from whyconv.measures.readers import Operation, Reader

# Their result is the array that went in.
SAME_NUMBERS = frozenset(
    {
        *("alias", "clone", "contiguous", "detach", "_to_copy", "lift_fresh", "lift", "view_of", "dropout"),
        *("native_dropout", "_conj", "resolve_conj", "resolve_neg", "to", "positive"),
    }
)
# Their result depends on the shape of what goes in only.
SAME_SHAPE_ONLY = frozenset(
    {
        *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like"),
        *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
    }
)
# One number from each, though torch does not say so.
POINTWISE = frozenset(
    {"hardswish", "_prelu_kernel", "mish", "log_sigmoid_forward", "hardtanh", "relu6", "rrelu_with_noise"}
)


def read(name: str, operation: Operation) -> list[Value]:
    """Enters an operation into the graph.

    Args:
        name: Such as "convolution".
        operation: With at least one array that depends on the picture.

    Returns:
        What it makes, one for each of ``operation.call.shapes``.
    """
    reader = TABLE.get(name) or TABLE.get(name.removesuffix("_"))
    if reader is not None:
        return reader(operation)
    if operation.is_pointwise or name.removesuffix("_") in POINTWISE:
        return readers.read_pointwise(operation)
    return operation.unknown(f"operation {operation.call.operation} is not known")


TABLE: dict[str, Reader] = {
    "convolution": readers.read_convolution,
    "_convolution": readers.read_convolution,
    "max_pool1d": readers.read_pool(1),
    "max_pool2d": readers.read_pool(2),
    "max_pool2d_with_indices": readers.read_pool(2),
    "max_pool3d_with_indices": readers.read_pool(3),
    "avg_pool1d": readers.read_pool(1),
    "avg_pool2d": readers.read_pool(2),
    "avg_pool3d": readers.read_pool(3),
    "adaptive_avg_pool1d": readers.read_pool_adaptively,
    "_adaptive_avg_pool2d": readers.read_pool_adaptively,
    "adaptive_avg_pool2d": readers.read_pool_adaptively,
    "_adaptive_avg_pool3d": readers.read_pool_adaptively,
    "adaptive_max_pool2d": readers.read_pool_adaptively,
    "adaptive_max_pool3d": readers.read_pool_adaptively,
    "constant_pad_nd": readers.read_pad("zeros"),
    "reflection_pad1d": readers.read_pad("reflect"),
    "reflection_pad2d": readers.read_pad("reflect"),
    "reflection_pad3d": readers.read_pad("reflect"),
    "replication_pad1d": readers.read_pad("replicate"),
    "replication_pad2d": readers.read_pad("replicate"),
    "replication_pad3d": readers.read_pad("replicate"),
    "circular_pad": readers.read_pad("circular"),
    "upsample_nearest1d": readers.read_upsample("nearest"),
    "upsample_nearest2d": readers.read_upsample("nearest"),
    "upsample_nearest3d": readers.read_upsample("nearest"),
    "_upsample_nearest_exact1d": readers.read_upsample("nearest"),
    "_upsample_nearest_exact2d": readers.read_upsample("nearest"),
    "_upsample_nearest_exact3d": readers.read_upsample("nearest"),
    "upsample_linear1d": readers.read_upsample("linear"),
    "upsample_bilinear2d": readers.read_upsample("linear"),
    "upsample_trilinear3d": readers.read_upsample("linear"),
    "upsample_bicubic2d": readers.read_upsample("cubic"),
    "pixel_shuffle": readers.read_upsample("nearest"),
    "im2col": readers.read_im2col,
    "unfold": readers.read_unfold,
    "window_products": readers.read_window_products,
    "mm": readers.read_multiply,
    "addmm": readers.read_multiply,
    "bmm": readers.read_multiply,
    "baddbmm": readers.read_multiply,
    "linear": readers.read_linear,
    "_scaled_dot_product_flash_attention_for_cpu": readers.read_attention,
    "native_batch_norm": readers.read_batch_norm,
    "_native_batch_norm_legit": readers.read_batch_norm,
    "_native_batch_norm_legit_no_training": readers.read_batch_norm,
    "native_layer_norm": readers.read_layer_norm,
    "_fused_rms_norm": readers.read_layer_norm,
    "native_group_norm": readers.read_group_norm,
    "_softmax": readers.read_softmax,
    "_log_softmax": readers.read_softmax,
    "_safe_softmax": readers.read_softmax,
    "mean": readers.read_reduce,
    "sum": readers.read_reduce,
    "amax": readers.read_reduce,
    "amin": readers.read_reduce,
    "max": readers.read_reduce,
    "min": readers.read_reduce,
    "prod": readers.read_reduce,
    "var": readers.read_reduce,
    "std": readers.read_reduce,
    "var_mean": readers.read_reduce,
    "logsumexp": readers.read_reduce,
    "linalg_vector_norm": readers.read_reduce,
    "norm": readers.read_reduce,
    "argmax": readers.read_reduce,
    "view": readers.read_reshape,
    "_unsafe_view": readers.read_reshape,
    "reshape": readers.read_reshape,
    "_reshape_alias": readers.read_reshape,
    "as_strided": readers.read_as_strided,
    "copy": readers.read_copy,
    "permute": readers.read_permute,
    "transpose": readers.read_transpose,
    "t": readers.read_transpose,
    "unsqueeze": readers.read_unsqueeze,
    "squeeze": readers.read_squeeze,
    "expand": readers.read_expand,
    "repeat": readers.read_expand,
    "slice": readers.read_slice,
    "narrow": readers.read_narrow,
    "split": readers.read_split,
    "split_with_sizes": readers.read_split,
    "unsafe_split": readers.read_split,
    "unsafe_split_with_sizes": readers.read_split,
    "unbind": readers.read_select,
    "select": readers.read_select,
    "cat": readers.read_concatenate,
    "stack": readers.read_stack,
    "flip": readers.read_move,
    "roll": readers.read_move,
    "add": readers.read_add,
    "sub": readers.read_add,
}
