"""A network is rewritten before it is compiled: the same function by fewer operations.

The release stays as it was verified; the golden self-test at start holds the rewritten network to
the scores that the release was measured with.
"""

from typing import Any, Final

from openvino import Model, Output
from openvino import opset13 as ops

NO_PADS: Final = {"pads_begin": [0, 0], "pads_end": [0, 0]}
POINTWISE: Final = {"strides": [1, 1], "dilations": [1, 1], **NO_PADS}
UNPADDED: Final = {"rounding_type": "floor", **NO_PADS}


def rewrite(model: Model) -> int:
    """Make the network cheaper, in place; OpenVINO's own passes leave these as they are.

    Returns
    -------
    Places that were rewritten.
    """
    changed = pool_first(model) + chain_concatenations(model)
    model.validate_nodes_and_infer_types()
    return changed


def pool_first(model: Model) -> int:
    """1x1 convolution, then average pool -> average pool, then 1x1 convolution.

    The one mixes channels and the other averages pixels, so they may change places, and behind a
    pool of 2 x 2 the convolution has a quarter of the pixels to mix. The three transitions of
    DenseNet-121 at 224 px cost it a fifteenth of its time (docs/performance.md).
    """
    pools = [node for node in model.get_ordered_ops() if _is_plain_pool(node)]
    for pool in pools:
        mixing, pooling = pool.input_value(0).get_node(), pool.get_attributes()
        pooled = ops.avg_pool(
            mixing.input_value(0),
            pooling["strides"],
            pooling["pads_begin"],
            pooling["pads_end"],
            pooling["kernel"],
            pooling["exclude-pad"],
        )
        mixed = ops.convolution(pooled, mixing.input_value(1), **POINTWISE)
        _take_place(pool.output(0), mixed.output(0))
    return len(pools)


def chain_concatenations(model: Model) -> int:
    """What begins as an earlier concatenation does becomes that one and the rest.

    Each layer of a DenseNet reads all before it, and so each part would be in many concatenations;
    OpenVINO computes a part in place for one whole alone, and copies it for the others.
    """
    joining = [node for node in model.get_ordered_ops() if node.get_type_name() == "Concat"]
    wholes: dict[tuple[int, tuple[Output, ...]], Output] = {}
    changed = 0
    for node in sorted(joining, key=lambda node: node.get_input_size()):
        axis, parts = node.get_attributes()["axis"], tuple(node.input_values())
        whole = node.output(0)
        longest_first = range(len(parts) - 1, 1, -1)
        known = next((n for n in longest_first if (axis, parts[:n]) in wholes), None)
        if known is not None:
            whole = ops.concat([wholes[axis, parts[:known]], *parts[known:]], axis).output(0)
            _take_place(node.output(0), whole)
            changed += 1
        wholes[axis, parts] = whole
    return changed


def _is_plain_pool(node: Any) -> bool:
    """An unpadded average pool that alone reads a 1x1 convolution."""
    if node.get_type_name() != "AvgPool" or not _has(node, UNPADDED):
        return False
    mixing = node.input_value(0).get_node()
    if mixing.get_type_name() != "Convolution" or not _has(mixing, POINTWISE):
        return False
    is_pointwise = list(mixing.input_value(1).get_partial_shape().to_shape())[2:] == [1, 1]
    return is_pointwise and len(mixing.output(0).get_target_inputs()) == 1


def _has(node: Any, wanted: dict[str, Any]) -> bool:
    attributes = node.get_attributes()
    is_explicit = attributes.get("auto_pad", "explicit") == "explicit"
    return is_explicit and all(attributes.get(name) == value for name, value in wanted.items())


def _take_place(old: Output, new: Output) -> None:
    """Who read the old value reads the new one, which is called the same."""
    for reader in old.get_target_inputs():
        reader.replace_source_output(new)
    new.set_names(old.get_names())
