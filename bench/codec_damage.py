"""What damaged codestreams do to the process that decodes them: ends, hangs, or neither.

`python -m bench.codec_damage`: each batch of mutations runs in a process of its own; only what
passes our reading of its header reaches the codec, as in the service. Needs `fork`.
"""

import argparse
import ctypes
import multiprocessing
import random
from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from rich.console import Console
from rich.table import Table
from rle.rle import decode_frame as decode_rle

from bench.exposures import bits_of, draw_exposure, encode
from service.core.dicom_codestream import Promise, read_jpeg_2000, split_jpeg
from service.core.errors import PixelDataDamaged

ROWS, COLUMNS = 96, 80
BATCH = 250
PATIENCE_SECONDS = 60
HEADER_BYTES = 220
ODD_BYTES = (0, 1, 0x7F, 0x80, 0xFF)
Decode = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Codec:
    """One library's decoder of a transfer syntax, and what our header reader says of its input."""

    name: str
    syntax: UID
    decode: Decode
    promise: Callable[[bytes], Promise] | None


def _jpeg_promise(codestream: bytes) -> Promise:
    return split_jpeg(codestream).promise


def _decode_jpeg_2000(codestream: bytes) -> object:
    return imagecodecs.jpeg2k_decode(codestream, numthreads=1)


CODECS = (
    Codec("libjpeg-turbo, lossless", JPEGLosslessSV1, imagecodecs.jpeg8_decode, _jpeg_promise),
    Codec("libjpeg-turbo, 12 bit", JPEGExtended12Bit, imagecodecs.jpeg8_decode, _jpeg_promise),
    Codec("libjpeg-turbo, 8 bit", JPEGBaseline8Bit, imagecodecs.jpeg8_decode, _jpeg_promise),
    Codec("CharLS", JPEGLSLossless, imagecodecs.jpegls_decode, _jpeg_promise),
    Codec("OpenJPEG", JPEG2000Lossless, _decode_jpeg_2000, read_jpeg_2000),
    Codec("OpenJPEG, HTJ2K", HTJ2KLossless, _decode_jpeg_2000, read_jpeg_2000),
    Codec("pylibjpeg-rle", RLELossless, lambda b: decode_rle(b, ROWS * COLUMNS, 16, "<"), None),
    Codec("not used: liblj92", JPEGLosslessSV1, imagecodecs.ljpeg_decode, _jpeg_promise),
    Codec("not used: jpg_0xc3", JPEGLosslessSV1, imagecodecs.jpegsof3_decode, _jpeg_promise),
    Codec("not used: OpenJPH", HTJ2KLossless, imagecodecs.htj2k_decode, read_jpeg_2000),
    Codec(
        "not used: imagecodecs, RLE",
        RLELossless,
        lambda codestream: imagecodecs.dicomrle_decode(codestream, "<u2"),
        None,
    ),
)


def mutate(generator: random.Random, codestream: bytes) -> bytes:
    """Change some bytes, of the header more often than not; now and then cut, double or remove."""
    damaged = bytearray(codestream)
    hot = len(damaged) if generator.random() < 0.4 else min(HEADER_BYTES, len(damaged))
    for _ in range(generator.choice((1, 1, 2, 4, 8))):
        damaged[generator.randrange(2, hot)] = generator.choice(
            (*ODD_BYTES, generator.randrange(256))
        )
    at, other = (generator.randrange(60, len(damaged)) for _ in range(2))
    match generator.randrange(20):
        case 0 | 1 | 2:
            return bytes(damaged[:at]) + b"\xff\xd9"
        case 3 | 4:
            damaged[at:at] = damaged[other : other + generator.randrange(1, 40)]
        case 5:
            del damaged[at : at + generator.randrange(1, 20)]
    return bytes(damaged)


def run_batch(codec: Codec, codestream: bytes, seed: int) -> int:
    """Decode a batch, and count what reached the codec."""
    generator = random.Random(seed)
    reached = 0
    for _ in range(BATCH):
        damaged = mutate(generator, codestream)
        if not _is_admitted(codec, damaged):
            continue
        reached += 1
        try:
            codec.decode(damaged)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
    return reached


def _is_admitted(codec: Codec, damaged: bytes) -> bool:
    if codec.promise is None:
        return True
    try:
        promise = codec.promise(damaged)
    except PixelDataDamaged:
        return False
    stated = (promise.rows, promise.columns, promise.samples)
    return stated == (ROWS, COLUMNS, 1) and 2 <= promise.precision <= 16


def _in_a_process(codec: Codec, codestream: bytes, seed: int) -> int | None:
    """What reached the codec; None where it hung, minus one where the process ended."""
    context = multiprocessing.get_context("fork")
    reached = context.Value(ctypes.c_longlong, -1)

    def work() -> None:
        reached.value = run_batch(codec, codestream, seed)

    process = context.Process(target=work)
    process.start()
    process.join(PATIENCE_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return int(reached.value)


def main() -> None:
    """Damage every codec's input and print what became of the processes."""
    parser = argparse.ArgumentParser(prog="python -m bench.codec_damage", description=__doc__)
    parser.add_argument("--batches", type=int, default=40, help=f"of {BATCH} codestreams each")
    arguments = parser.parse_args()
    table = Table(title=f"{arguments.batches} batches of {BATCH} damaged codestreams")
    for heading in ("codec", "reached it", "ended the process", "hung"):
        table.add_column(heading, justify="left" if heading == "codec" else "right")
    for codec in CODECS:
        bits = bits_of(codec.syntax)
        codestream = encode(draw_exposure(ROWS, COLUMNS, bits=bits), codec.syntax)
        ends = [_in_a_process(codec, codestream, seed) for seed in range(arguments.batches)]
        reached = sum(end for end in ends if end is not None and end >= 0)
        ended, hung = ends.count(-1), ends.count(None)
        table.add_row(codec.name, f"{reached:,}", str(ended), str(hung))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
