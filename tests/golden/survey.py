"""Random Keras models against TensorFlow Lite's reference kernels, without keeping any.

    venv/bin/python tests/golden/survey.py target/release/microconv [COUNT] [FIRST_SEED]

Each seed makes one model of a few random layers, converted in four ways (float32
and full int8, with a batch of one and an open one; a model of float ends now and
then), imported and run by `microconv`, and compared: int8 bit for bit, float32 to
1e-4. Prints one line for each difference, refusal or crash, with its seed, and
leaves the model in `--keep DIR`. Models that TensorFlow cannot convert, or not
run on its reference kernels, are counted and left.
"""

import argparse
import os
import pathlib
import subprocess
import tempfile
import warnings

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

warnings.filterwarnings("ignore")

import keras
import numpy as np
import tensorflow as tf

from flatbuffer import parse
from reference import expected

L = keras.layers
ACTIVATIONS = [None, None, "relu", "relu", "relu6", "sigmoid", "tanh", "leaky_relu", "elu", "hard_swish", "silu"]


class Draw:
    """Random choices, and layers that fit a tensor."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def of(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def upto(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def chance(self, p):
        return self.rng.random() < p

    def kernel(self, x):
        return tuple(min(self.of(1, 2, 3, 3, 3, 5), max(extent, 1)) for extent in x.shape[1:3])

    def window(self, x):
        """Kernel, strides or dilation, padding."""
        how = {"padding": self.of("same", "valid")}
        if self.chance(0.35):
            how["strides"] = self.of(2, 2, 3)
        elif self.chance(0.25):
            how["dilation_rate"] = 2
            how["padding"] = "same"
        return self.kernel(x), how

    def common(self):
        return {
            "use_bias": self.chance(0.8),
            "bias_initializer": "random_normal",
            "activation": self.of(*ACTIVATIONS),
        }

    def maps(self, x):
        """A layer on maps of rank 4."""
        kind = self.of(
            "conv", "conv", "conv", "depthwise", "separable", "transposed", "transposed", "pool", "pool",
            "up", "bn", "activation", "pad", "crop", "residual", "concat", "squeeze", "constant",
            "permute", "slice", "group", "prelu", "reduce", "two", "tile", "split", "reshape",
            "gather", "stack", "depth", "reverse", "sequence")
        h, w, c = x.shape[1:]
        if kind == "conv":
            kernel, how = self.window(x)
            return L.Conv2D(self.upto(1, 9), kernel, **how, **self.common())(x)
        if kind == "group" and c % 2 == 0:
            return L.Conv2D(2 * self.upto(1, 4), self.kernel(x), groups=2, padding="same", **self.common())(x)
        if kind == "depthwise":
            kernel, how = self.window(x)
            if "strides" in how:
                how["strides"] = (how["strides"], how["strides"])
            return L.DepthwiseConv2D(kernel, depth_multiplier=self.of(1, 1, 2, 3), **how, **self.common())(x)
        if kind == "separable":
            return L.SeparableConv2D(self.upto(1, 8), self.kernel(x), padding="same", **self.common())(x)
        if kind == "transposed":
            return L.Conv2DTranspose(
                self.upto(1, 6), self.of(2, 3, 3, 4, 5), strides=self.of(1, 2, 2, 3),
                padding=self.of("same", "valid"), **self.common())(x)
        if kind == "pool":
            layer = self.of(L.MaxPooling2D, L.AveragePooling2D)
            return layer(self.of(2, 2, 3), strides=self.of(None, 1, 2), padding="same")(x)
        if kind == "up":
            if max(h, w) > 16:
                return x
            return L.UpSampling2D(self.of(2, 2, 3, (2, 1), (1, 3)), interpolation=self.of("nearest", "nearest", "bilinear"))(x)
        if kind == "bn":
            y = L.BatchNormalization(
                beta_initializer="random_normal", moving_mean_initializer="random_normal")(x)
            return L.ReLU()(y) if self.chance(0.5) else y
        if kind == "activation":
            return self.of(
                L.ReLU(), L.ReLU(6.0), L.LeakyReLU(negative_slope=0.2), L.ELU(), L.Softmax(),
                L.Activation("tanh"), L.Activation("sigmoid"), L.Activation("hard_swish"),
                L.Activation("silu"), L.Activation("hard_sigmoid"))(x)
        if kind == "prelu":
            return L.PReLU(shared_axes=self.of(None, [1, 2]), alpha_initializer="random_normal")(x)
        if kind == "pad":
            pads = [[self.upto(0, 2), self.upto(0, 2)] for _ in range(2)]
            y = L.ZeroPadding2D(pads)(x)
            return L.Conv2D(self.upto(1, 5), self.of(2, 3), strides=self.of(1, 2), **self.common())(y) if self.chance(0.6) and min(y.shape[1:3]) >= 3 else y
        if kind == "crop" and min(h, w) > 3:
            return L.Cropping2D(((1, self.upto(0, 1)), (0, 1)))(x)
        if kind == "residual":
            y = L.Conv2D(c, 3, padding="same", **self.common())(x)
            y = self.of(L.Add(), L.Add(), L.Subtract(), L.Multiply(), L.Average())([x, y])
            return L.ReLU()(y) if self.chance(0.6) else y
        if kind == "concat":
            y = L.Conv2D(self.upto(1, 5), 3, padding="same", **self.common())(x)
            return L.Concatenate()([x, y, x] if self.chance(0.3) else [x, y])
        if kind == "squeeze":
            y = L.GlobalAveragePooling2D(keepdims=True)(x)
            y = L.Conv2D(self.upto(1, 3), 1, activation="relu")(y)
            return L.Multiply()([x, L.Conv2D(c, 1, activation="sigmoid")(y)])
        if kind == "constant":
            return self.of(
                L.Rescaling(0.5, offset=-0.25), L.Lambda(lambda t: t * 1.5), L.Lambda(lambda t: 1.0 - t),
                L.Lambda(lambda t: t + np.linspace(-1, 1, c).astype(np.float32)))(x)
        if kind == "permute":
            return L.Permute(self.of((2, 1, 3), (3, 1, 2), (1, 3, 2)))(x)
        if kind == "slice" and min(h, w) > 2:
            return self.of(
                L.Lambda(lambda t: t[:, 1:, :-1]), L.Lambda(lambda t: t[:, ::2, ::2]),
                L.Lambda(lambda t: t[:, ::-1]), L.Lambda(lambda t: t[..., :max(1, c // 2)]),
                L.Lambda(lambda t: t[:, 0:2, 1:3]))(x)
        if kind == "reduce":
            return self.of(
                L.Lambda(lambda t: tf.reduce_mean(t, 1, keepdims=True)),
                L.Lambda(lambda t: tf.reduce_max(t, [1, 2], keepdims=True)),
                L.Lambda(lambda t: tf.reduce_mean(t, -1, keepdims=True)))(x)
        if kind == "two":
            return L.Add()([L.MaxPooling2D(2, padding="same")(x), L.AveragePooling2D(2, padding="same")(x)])
        if kind == "tile" and max(h, w) <= 8:
            return L.Lambda(lambda t: tf.tile(t, [1, 2, 1, 2]))(x)
        if kind == "split" and c % 2 == 0:
            def halves(t):
                a, b = tf.split(t, 2, axis=-1)
                return tf.concat([b, a * 2.0], -1)
            return L.Lambda(halves)(x)
        if kind == "gather":
            order = [self.upto(0, c - 1) for _ in range(self.upto(1, 5))]
            return L.Lambda(lambda t: tf.gather(t, order, axis=-1))(x)
        if kind == "stack":
            def swapped(t):
                a, *rest = tf.unstack(t, axis=1)
                return tf.stack([*rest, a], axis=2)
            return L.Lambda(swapped)(x) if h <= 6 else x
        if kind == "depth":
            if c % 4 == 0:
                return L.Lambda(lambda t: tf.nn.depth_to_space(t, 2))(x)
            return L.Lambda(lambda t: tf.nn.space_to_depth(t, 2))(x) if h % 2 == w % 2 == 0 else x
        if kind == "reverse":
            return L.Lambda(lambda t: tf.reverse(t, self.of([1], [2], [1, 2], [3])))(x)
        if kind == "sequence":
            y = L.Reshape((h * w, c))(x)
            y = L.Conv1D(c, min(3, h * w), dilation_rate=self.of(1, 2, 3), padding=self.of("same", "causal"), **self.common())(y)
            return L.Reshape((h, w, c))(y)
        if kind == "reshape":
            return L.Reshape((w, h, c))(x)
        return x

    def model(self, batch):
        shape = (self.upto(1, 13), self.upto(1, 13), self.of(1, 1, 2, 3, 4, 8))
        x = start = L.Input(shape, batch_size=batch)
        for _ in range(self.upto(1, 6)):
            x = self.maps(x)
        ending = self.of("maps", "maps", "dense", "average", "max", "flatten", "sequence", "both")
        common = {"activation": self.of(None, "relu", "softmax", "sigmoid")}
        if ending == "dense":
            x = L.Dense(self.upto(1, 9), use_bias=self.chance(0.7), **common)(L.Flatten()(x))
        elif ending == "average":
            x = L.Dense(self.upto(1, 9), **common)(L.GlobalAveragePooling2D()(x))
        elif ending == "max":
            x = L.GlobalMaxPooling2D()(x)
        elif ending == "flatten":
            x = L.Dense(4, activation="relu")(L.Flatten()(x))
            x = L.Dense(12)(x)
            x = L.Reshape((2, 2, 3))(x)
            x = L.Conv2DTranspose(3, 3, strides=2, padding="same")(x)
        elif ending == "sequence":
            x = L.Reshape((-1, x.shape[-1]))(x)
            x = L.Conv1D(self.upto(1, 5), 3, padding="same", activation="relu")(x)
            x = self.of(L.MaxPooling1D(2, padding="same"), L.UpSampling1D(2), L.Dense(3), L.GlobalAveragePooling1D())(x)
        elif ending == "both":
            return keras.Model(start, [x, L.GlobalAveragePooling2D()(x)])
        return keras.Model(start, x)


def convert(model, kind, rng):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind != "f32":
        shape = model.inputs[0].shape[1:]
        samples = [rng.uniform(-1, 1, (1, *shape)).astype(np.float32) for _ in range(12)]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if kind == "i8":
            converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def command(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip()[-400:]}")


def compare(tool, blob, rng, folder, target):
    """None, or how microconv differs from the reference."""
    graph = parse(blob).subgraphs[0]
    inputs, kinds = [], {0: np.float32, 9: np.int8}
    for id in graph.inputs:
        tensor = graph.tensors[id]
        shape = tuple(max(extent, 1) for extent in tensor.shape)
        kind = kinds[tensor.type]
        inputs.append(rng.integers(-128, 128, shape).astype(kind) if kind == np.int8 else rng.uniform(-1, 1, shape).astype(kind))
    try:
        wanted = expected(blob, inputs)
    except Exception as error:
        return "tensorflow", str(error)[:200]
    (folder / "model.tflite").write_bytes(blob)
    arguments = []
    for i, value in enumerate(inputs):
        np.save(folder / f"in{i}.npy", value)
        arguments += ["--input", folder / f"in{i}.npy"]
    for i in range(len(wanted)):
        (folder / f"out{i}.npy").unlink(missing_ok=True)
        arguments += ["--output", folder / f"out{i}.npy"]
    try:
        command(tool, "import", folder / "model.tflite", "-o", folder / "model.mcv", "--target", target)
        command(tool, "run", folder / "model.mcv", *arguments)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return "refused", str(error)
    for i, want in enumerate(wanted):
        got = np.load(folder / f"out{i}.npy")
        if got.dtype != want.dtype or got.reshape(-1).shape != want.reshape(-1).shape:
            return "differs", f"output {i}: {got.dtype}{got.shape}, not {want.dtype}{want.shape}"
        off = np.abs(got.reshape(-1).astype(np.float64) - want.reshape(-1))
        floats = want.dtype == np.float32 and not any(t.type == 9 for t in graph.tensors)
        limit = 1e-4 * max(1.0, float(np.abs(want).max())) if floats else 0.0
        if not (off <= limit).all():
            return "differs", f"output {i}: {(off > limit).sum()} of {off.size}, by up to {off.max()}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("count", type=int, nargs="?", default=50)
    parser.add_argument("first", type=int, nargs="?", default=0)
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    tally = {"equal": 0}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for seed in range(options.first, options.first + options.count):
            draw = Draw(seed)
            for batch in (1, None):
                keras.backend.clear_session()
                keras.utils.set_random_seed(seed)
                try:
                    model = Draw(seed).model(batch)
                except Exception as error:
                    tally["not built"] = tally.get("not built", 0) + 1
                    break
                for kind in ("f32", "i8") if seed % 4 or batch is None else ("f32", "i8", "ends"):
                    try:
                        blob = convert(model, kind, np.random.default_rng(seed))
                    except Exception as error:
                        tally["not converted"] = tally.get("not converted", 0) + 1
                        continue
                    target = draw.of("portable", "cortex-m4")
                    result = compare(options.tool, blob, draw.rng, folder, target)
                    word, text = result or ("equal", "")
                    tally[word] = tally.get(word, 0) + 1
                    if result:
                        name = f"{seed}_{'one' if batch else 'open'}_{kind}"
                        print(f"{name} ({target}): {word}: {text}", flush=True)
                        if options.keep and word != "tensorflow":
                            options.keep.mkdir(parents=True, exist_ok=True)
                            (options.keep / f"{name}.tflite").write_bytes(blob)
    print(", ".join(f"{count} {word}" for word, count in tally.items()))


main()
