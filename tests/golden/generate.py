"""Makes tests/golden/vectors: small models converted by TensorFlow, with inputs and outputs.

    python -m venv venv && venv/bin/pip install tensorflow-cpu
    venv/bin/python tests/golden/generate.py tests/golden/vectors

Each case is `<name>.tflite` and `<name>.npz` (`input0`, `expected0`; axis 0 is the
run). Expected outputs are those of TensorFlow Lite's reference kernels.
"""
import os
import sys

import numpy as np
import tensorflow as tf

L = tf.keras.layers


def cases():
    yield "conv2d_same_s2", (13, 11, 3), [L.Conv2D(8, 3, strides=2, padding="same", activation="relu")]
    yield "conv2d_dilated_valid", (15, 13, 3), [L.Conv2D(5, 3, dilation_rate=2)]
    yield "conv2d_10x4_wide", (20, 10, 1), [L.Conv2D(6, (10, 4), strides=(2, 2), padding="same")]
    yield "depthwise_m2", (12, 11, 4), [L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu")]
    yield "transposed_s2_same", (5, 6, 3), [L.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu")]
    yield "transposed_k2_s3_valid", (5, 6, 3), [L.Conv2DTranspose(4, 2, strides=3)]
    yield "max_pool_same", (9, 7, 5), [L.MaxPooling2D(3, strides=2, padding="same")]
    yield "average_pool_same", (9, 7, 5), [L.AveragePooling2D((2, 3), strides=(1, 2), padding="same")]
    yield "global_average", (7, 5, 17), [L.GlobalAveragePooling2D()]
    yield "separable_sigmoid", (8, 8, 3), [L.SeparableConv2D(4, 3, padding="same", activation="sigmoid")]
    yield "batch_norm_conv", (6, 6, 2), [L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()]
    yield "leaky_tanh", (4, 4, 3), [L.LeakyReLU(negative_slope=0.1), L.Activation("tanh")]
    yield "bilinear", (5, 4, 3), [L.UpSampling2D(2, interpolation="bilinear")]
    yield "pad_crop_permute", (5, 6, 3), [L.ZeroPadding2D(((1, 2), (3, 0))), L.Cropping2D(1), L.Permute((2, 1, 3))]
    yield "autoencoder", (12, 12, 1), [
        L.Conv2D(4, 3, padding="same", activation="relu"),
        L.MaxPooling2D(2),
        L.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu"),
        L.Conv2D(1, 3, padding="same", activation="sigmoid"),
    ]


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, shape, layers in cases():
        for int8 in (False, True):
            tf.keras.utils.set_random_seed(7)
            rng = np.random.default_rng(11)
            model = tf.keras.Sequential([L.Input(shape, batch_size=1), *layers])
            samples = rng.uniform(-1, 1, (32, 1, *shape)).astype(np.float32)
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
            if int8:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: ([s] for s in samples)
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = tf.int8
                converter.inference_output_type = tf.int8
            blob = converter.convert()
            interpreter = tf.lite.Interpreter(
                model_content=blob,
                experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
            )
            interpreter.allocate_tensors()
            (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
            inputs, outputs = [], []
            for run in range(2):
                if int8:
                    x = rng.integers(-128, 128, source["shape"], dtype=np.int8)
                else:
                    x = samples[run]
                interpreter.set_tensor(source["index"], x)
                interpreter.invoke()
                inputs.append(x)
                outputs.append(interpreter.get_tensor(sink["index"]))
            stem = os.path.join(folder, f"{name}_{'i8' if int8 else 'f32'}")
            with open(stem + ".tflite", "wb") as file:
                file.write(blob)
            np.savez_compressed(stem + ".npz", input0=np.stack(inputs), expected0=np.stack(outputs))


main(sys.argv[1])
