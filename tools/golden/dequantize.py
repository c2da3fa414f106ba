"""Blocks of each number format with random bits, as the Python package `gguf` decodes them.

Bits rather than quantised numbers: every pattern of a block occurs, with scales of both signs, subnormal ones and the largest.

    python tools/golden/dequantize.py
"""

import base64
import importlib.metadata

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGML_QUANT_SIZES
from gguf.quants import dequantize

from golden_file import write

SEED = 3
BLOCKS = 5
# Where a block's half-precision scales (and minimums) lie, in bytes.
SCALES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q2_K: [80, 82],
    Type.Q3_K: [108],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}
FORMATS = [Type.F32, Type.F16, Type.BF16, *SCALES]
# Numbers whose decoding is easy to get wrong: zeros, the largest, the smallest subnormal, the smallest normal, one.
HALVES = [0.0, -0.0, 65504.0, -65504.0, 2.0**-24, 2.0**-14, -(2.0**-15), 1.0, -0.333251953125]


def bits(generator, format):
    if format == Type.F32:
        return np.float32(generator.standard_normal(64)).view(np.uint8)
    if format == Type.F16:
        return np.concatenate([np.float16(HALVES), np.float16(generator.standard_normal(55))]).view(np.uint8)
    if format == Type.BF16:
        return (np.float32([*HALVES, *generator.standard_normal(55)]).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    block, size = GGML_QUANT_SIZES[format]
    data = generator.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for place, offset in enumerate(SCALES[format]):
        values = np.float16(generator.standard_normal(BLOCKS) * 0.1)
        # The first three blocks are extreme: the smallest scale with an ordinary minimum, the largest, and zero of either sign.
        values[:3] = [[2.0**-24, 65504.0, -0.0], [0.333251953125, -65504.0, 0.0]][place]
        data[:, offset : offset + 2] = values.reshape(-1, 1).view(np.uint8)
    return data.reshape(-1)


def main():
    generator = np.random.default_rng(SEED)
    rows = []
    for format in FORMATS:
        data = bits(generator, format)
        values = dequantize(data, format).astype(np.float32).reshape(-1)
        rows.append({
            "format": format.name,
            "bytes": base64.b64encode(data.tobytes()).decode(),
            "float32": base64.b64encode(values.tobytes()).decode(),
        })
    write("dequantize", "dequantize.py", SEED, {"gguf": importlib.metadata.version("gguf"), "formats": rows})


if __name__ == "__main__":
    main()
