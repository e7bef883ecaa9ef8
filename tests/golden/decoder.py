"""Makes tests/golden/decoder: operators of decoders that TensorFlow Lite has no name for.

    venv/bin/python tests/golden/decoder.py tests/golden/decoder

A case is an `.npz`: `parameters` (int8: kind, window, strides, SAME, zero point),
`input0`, and `expected0`, … with axis 0 the run. Kind 0 is max-pool with indices
and the max-unpool that reads them: `tf.nn.max_pool_with_argmax`, then each
maximum at its index, in the order of the windows, so that a later window wins;
outputs are the unpooled map and the maxima. Kind 1 is bed of nails: each value
at the top left of a cell of zeros. In int8, zero is the zero point.
"""

import os
import pathlib
import sys
import zlib

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

RUNS, ZERO_POINT = 3, -11
POOLS = {
    "unpool": ((1, 6, 8, 3), (2, 2), (2, 2), True),
    "unpool_odd_same": ((1, 7, 5, 2), (2, 2), (2, 2), True),
    "unpool_valid_rest": ((1, 7, 8, 3), (3, 2), (3, 2), False),
    "unpool_overlapping": ((1, 7, 8, 3), (3, 3), (2, 2), True),
    "unpool_every_window": ((1, 5, 6, 2), (2, 3), (1, 1), False),
    "unpool_sparse": ((1, 8, 9, 2), (2, 2), (3, 4), False),
    "unpool_batch": ((2, 4, 4, 5), (2, 2), (2, 2), True),
    "unpool_one_channel": ((1, 9, 4, 1), (3, 4), (3, 4), True),
}
NAILS = {
    "nails": ((1, 3, 4, 2), (2, 2)),
    "nails_unequal": ((1, 4, 3, 3), (3, 1)),
    "nails_batch": ((2, 2, 2, 5), (2, 4)),
}


def unpooled(x, window, strides, same, zero):
    """Unpooled map and maxima of `[n, h, w, c]` floats."""
    maxima, places = tf.nn.max_pool_with_argmax(
        x, window, strides, "SAME" if same else "VALID", include_batch_in_index=True)
    result = np.full(x.size, zero, x.dtype)
    for place, value in zip(places.numpy().ravel(), maxima.numpy().ravel()):
        result[place] = value
    return [result.reshape(x.shape), maxima.numpy()]


def nailed(x, strides, zero):
    n, h, w, c = x.shape
    result = np.full((n, h * strides[0], w * strides[1], c), zero, x.dtype)
    result[:, ::strides[0], ::strides[1]] = x
    return [result]


def draw(shape, rng, run, int8):
    """The last run has few values, so that most windows hold their maximum twice."""
    codes = rng.integers(-2, 3, shape) if run == RUNS - 1 else rng.integers(-128, 128, shape)
    return codes.astype(np.float32) if int8 else (codes / 32).astype(np.float32)


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*POOLS, *NAILS):
        for int8 in (False, True):
            zero = ZERO_POINT if int8 else 0
            rng, arrays = np.random.default_rng(zlib.crc32(name.encode())), {}
            for run in range(RUNS):
                if name in POOLS:
                    shape, window, strides, same = POOLS[name]
                    x = draw(shape, rng, run, int8)
                    outputs = unpooled(x, window, strides, same, zero)
                else:
                    (shape, strides), window, same = NAILS[name], (1, 1), False
                    x = draw(shape, rng, run, int8)
                    outputs = nailed(x, strides, zero)
                values = [x, *outputs]
                keys = ["input0", *(f"expected{i}" for i in range(len(outputs)))]
                for key, value in zip(keys, values):
                    arrays.setdefault(key, []).append(value.astype(np.int8 if int8 else np.float32))
            kind = 0 if name in POOLS else 1
            parameters = np.array([kind, *window, *strides, same, zero], np.int8)
            stacked = {key: np.stack(value) for key, value in arrays.items()}
            form = "i8" if int8 else "f32"
            np.savez_compressed(folder / f"{name}_{form}.npz", parameters=parameters, **stacked)


main(*sys.argv[1:])
