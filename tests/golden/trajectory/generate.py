"""Records 20 optimiser steps of Keras on the `upsample` architecture.

    python tests/golden/trajectory/generate.py      (TensorFlow 2.21, Keras 3.15)

Writes `upsample.json` beside this file: the initial weights, and for each
optimiser the loss before every step and the weights after the last. Batch k
holds images [256 k, 256 k + 256) of the MNIST subset that ships with
host-train, unshuffled, as x / 255. Kernels are OHWI, as in host-train's graph.
"""

import gzip
import json
import os
import pathlib

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

HERE = pathlib.Path(__file__).parent
IMAGES = HERE.parents[2] / "host-train/data/mnist-subset/train-images-idx3-ubyte.gz"
BATCH, STEPS = 256, 20
OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adadelta_default": keras.optimizers.Adadelta,
    "adadelta_lr1": lambda: keras.optimizers.Adadelta(learning_rate=1.0),
    "sgd_lr0.5": lambda: keras.optimizers.SGD(learning_rate=0.5),
}


def network():
    conv = lambda filters, activation: keras.layers.Conv2D(
        filters, 3, padding="same", activation=activation
    )
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            conv(16, "relu"),
            keras.layers.MaxPooling2D(padding="same"),
            conv(4, "relu"),
            keras.layers.UpSampling2D(),
            conv(1, "sigmoid"),
        ]
    )


def record(model):
    weights = {}
    convolutions = [layer for layer in model.layers if layer.weights]
    for name, layer in zip(["conv2d", "conv2d_1", "conv2d_2"], convolutions, strict=True):
        kernel, bias = (np.asarray(w) for w in layer.get_weights())
        for part, value in (("kernel", kernel.transpose(3, 0, 1, 2)), ("bias", bias)):
            weights[f"{name}/{part}"] = {
                "shape": list(value.shape),
                # Nine digits bring every float32 back exactly.
                "values": [float(f"{v:.9g}") for v in value.ravel()],
            }
    return weights


def main():
    pixels = np.frombuffer(gzip.decompress(IMAGES.read_bytes())[16:], np.uint8)
    images = pixels.reshape(-1, 28, 28, 1)[: BATCH * STEPS].astype(np.float32) / np.float32(255)
    keras.utils.set_random_seed(20)
    model = network()
    start = model.get_weights()
    result = {"batch": BATCH, "initial": record(model), "runs": {}}
    for name, optimizer in OPTIMIZERS.items():
        model.set_weights(start)
        model.compile(optimizer=optimizer(), loss="binary_crossentropy")
        losses = []
        for k in range(STEPS):
            batch = images[k * BATCH : (k + 1) * BATCH]
            losses.append(float(model.train_on_batch(batch, batch)))
            model.reset_metrics()
        result["runs"][name] = {"losses": losses, "final": record(model)}
    (HERE / "upsample.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
