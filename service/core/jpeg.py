"""Whether a JPEG scan holds all the blocks that its header promises.

libjpeg, and all that is built on it, paints missing blocks in one grey without a word; a radiograph
with half of its lungs missing would then be scored.
"""

import imagecodecs
import numpy as np
from numpy.typing import NDArray

END_OF_IMAGE = b"\xff\xd9"
BLOCK_PX = 8
FILLER = bytes(range(1, 255)) * 64
"""To be read on where a scan ends early; without FF, so that nothing of it is a marker."""

Samples = NDArray[np.uint8 | np.uint16]


def ends_early(codestream: bytes, samples: Samples) -> bool:
    """Decode once more with something behind the scan: only a scan that lacks blocks reads it.

    Parameters
    ----------
    samples
        (H, W) or (H, W, C), what the codestream decodes to. Only where their last block is flat
        can blocks be missing, so that most pictures cost nothing.
    """
    if np.ptp(samples[-BLOCK_PX:, -BLOCK_PX:], axis=(0, 1)).any():
        return False
    end = codestream.rfind(END_OF_IMAGE)
    longer = codestream[:end] + FILLER + codestream[end:]
    return not np.array_equal(
        imagecodecs.jpeg8_decode(codestream), imagecodecs.jpeg8_decode(longer)
    )
