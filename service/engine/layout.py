"""How a network lies in memory while OpenVINO computes it: channels last, or in blocks of eight.

With AVX2 alone OpenVINO takes kernels that want channels last. There each concatenation is a copy,
pixel by pixel, and DenseNet-121 has 58. In blocks of eight channels the parts are computed where
the whole will lie (`python -m bench.engines`). Networks without concatenations gain too
(docs/performance.md).

OpenVINO is asked for it by an attribute of each convolution, `primitives_priority`, which only its
own file format carries; so the network is written in it and read back. The attribute stands in its
source (`primitives_priority_attribute.hpp`) and not in its manual: a kernel that it does not know
is an error when the network is compiled, and the golden self-test holds what was compiled to the
scores that the release was measured with.
"""

import re
import tempfile
from pathlib import Path
from typing import Any, Final

import openvino
import structlog
from openvino import Model

from service.core.precision import Precision
from service.engine.rewrites import rewrite

log: structlog.stdlib.BoundLogger = structlog.get_logger()

KERNELS: Final = "cpu:jit_avx2_1x1,cpu:jit_avx2"
"""In blocks of eight channels: the first can 1 x 1 alone, the second takes the others."""

_WISH: Final = "primitives_priority_0"
"""As the attribute below is named in a network that was read."""

_ATTRIBUTE: Final = f'<attribute name="primitives_priority" version="0" value="{KERNELS}"/>'
_CONVOLUTION: Final = re.compile(
    r'(<layer [^>]*type="Convolution"[^>]*>\s*<data [^>]*/>\s*)(?:<rt_info>(.*?)</rt_info>)?',
    re.DOTALL,
)


def prepare(core: Any, model: Model, precision: Precision) -> Model:
    """The same function, as this CPU computes it fastest; `model` itself is changed too."""
    rewrite(model)
    return lay_in_blocks(core, model) if _is_quicker_in_blocks(precision) else model


def is_prepared(model: Model, precision: Precision) -> bool:
    """Whether it lies as it should; not so where there was no room to write it."""
    convolutions = (node for node in model.get_ops() if node.get_type_name() == "Convolution")
    return not _is_quicker_in_blocks(precision) or all(
        _WISH in node.get_rt_info() for node in convolutions
    )


def lay_in_blocks(core: Any, model: Model) -> Model:
    """The network with the wish at each convolution; as it is where there is no room to write it.

    It takes as much room as the weights, in the folder of temporary files, and only for a moment.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="network-") as place:
            network = Path(place, "network.xml")
            openvino.serialize(model, network)
            network.write_text(_with_wish(network.read_text(encoding="utf-8")), encoding="utf-8")
            return core.read_model(network)
    except (OSError, RuntimeError) as error:
        log.warning("engine.layout_unavailable", error=type(error).__name__)
        return model


def read_cpu_flags() -> frozenset[str]:
    """Instruction sets by the names that Linux gives them; empty where it does not tell."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    flags = re.search(r"^flags\s*:(.*)$", told, re.MULTILINE)
    return frozenset(flags[1].split()) if flags else frozenset()


def _is_quicker_in_blocks(precision: Precision) -> bool:
    cpu = read_cpu_flags()
    return precision is Precision.F32 and "avx2" in cpu and "avx512f" not in cpu


def _with_wish(network: str) -> str:
    """By text: to parse and print its 780 kB takes longer than all else here together."""

    def add(found: re.Match[str]) -> str:
        return f"{found[1]}<rt_info>{found[2] or ''}{_ATTRIBUTE}</rt_info>"

    return _CONVOLUTION.sub(add, network)
