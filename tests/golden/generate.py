"""Makes tests/golden/vectors: small models with inputs and TensorFlow's outputs.

    python -m venv venv && venv/bin/pip install tensorflow-cpu      (TensorFlow 2.21, Keras 3.15)
    venv/bin/python tests/golden/generate.py tests/golden/vectors [NAME...]

Each case is `<name>_f32` and `<name>_i8`: a `.tflite` and an `.npz` (`input0`, …,
`expected0`, …; axis 0 is the run). With names, only those cases are made.

`keras_models.py` holds models of Keras as the converter writes them; `linear.py`,
`elementwise.py` and `arrange.py` hold operators one by one, as a flatbuffer
written here (`flatbuffer.py`), with scales and options that the converter
seldom chooses. `reference.py` says which reference an expected output comes from.
Beside the folder, `builtins_*.tflite` name every builtin operator: the test asks
the importer which of them it takes, and wants a vector for each.
"""

import os
import pathlib
import sys
import zlib

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

import arrange
import elementwise
import keras_models
import linear
from flatbuffer import FLOAT, INT32, Builder, parse, schema
from reference import DTYPES, expected

RUNS = 3


def draw(tensor, rng, run):
    """Values of an input: any code; the extremes and the zero point; codes and a few extremes."""
    shape = tuple(max(extent, 1) for extent in tensor.shape)
    if tensor.type == FLOAT:
        values = rng.uniform(-2, 2, shape)
        return np.where(rng.random(shape) < 0.1 * run, 0.0, values * 2**run).astype(np.float32)
    codes = rng.integers(-128, 128, shape)
    few = rng.choice([-128, 127, int(tensor.quantization.zeroPoint[0])], shape)
    return np.where(rng.random(shape) < [0.0, 1.0, 0.2][run], few, codes).astype(np.int8)


def write(folder, name, blob):
    model = parse(blob)
    graph = model.subgraphs[0]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    arrays = {}
    for run in range(RUNS):
        inputs = [draw(graph.tensors[id], rng, run) for id in graph.inputs]
        outputs = expected(blob, inputs)
        for kind, values in (("input", inputs), ("expected", outputs)):
            for i, value in enumerate(values):
                arrays.setdefault(f"{kind}{i}", []).append(value)
    (folder / f"{name}.tflite").write_bytes(blob)
    np.savez_compressed(folder / f"{name}.npz", **{key: np.stack(v) for key, v in arrays.items()})
    print(name, len(blob), flush=True)


def every_case():
    """Names and functions that give the file."""
    for name, build, shapes, settings in keras_models.models():
        for int8 in (False, True):
            def blob(build=build, shapes=shapes, settings=settings, int8=int8):
                keras.utils.set_random_seed(7)
                samples = keras_models.samples_of(shapes, np.random.default_rng(11))
                return keras_models.convert(build(), shapes, int8, samples, **settings)
            yield f"{name}_{'i8' if int8 else 'f32'}", blob
    for module in (linear, elementwise, arrange):
        for name, build in module.cases():
            for int8 in (False, True):
                seed = zlib.crc32(name.encode())
                yield (f"{name}_{'i8' if int8 else 'f32'}",
                       lambda build=build, int8=int8, seed=seed: build(Builder(int8, seed)))
    for name, build in elementwise.conversions():
        yield f"{name}_i8", lambda build=build, name=name: build(Builder(True, zlib.crc32(name.encode())))


def every_builtin(integers):
    """A model that cannot run: each builtin operator once, reading one tensor."""
    b = Builder(False, 0)
    x = b.ints([1]) if integers else b.input((1, 2, 2, 1))
    b.input((1, 1), kind=FLOAT)
    numbers = [v for k, v in vars(schema.BuiltinOperator).items() if k.isupper() and v < 162]
    for number in sorted(numbers):
        b.operator(number, [x], b.tensor([1], INT32 if integers else FLOAT))
    return b.finish(x)


def main(folder, *wanted):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    refused = []
    for name, blob in every_case():
        if wanted and not any(name == w or name.rpartition("_")[0] == w for w in wanted):
            continue
        try:
            write(folder, name, blob())
        except Exception as error:
            refused.append(f"{name}: {error}")
    if not wanted:
        for kind in ("f32", "i32"):
            (folder.parent / f"builtins_{kind}.tflite").write_bytes(every_builtin(kind == "i32"))
    for line in refused:
        print("refused:", line, file=sys.stderr)
    sys.exit(1 if refused else 0)


main(*sys.argv[1:])
