"""Makes tests/golden/refused: small models that cannot be imported, one for each reason.

    venv/bin/python tests/golden/refused.py tests/golden/refused

Each is what the TensorFlow converter writes, or a converted model with one
thing changed where no converter writes it. The messages that they get stand
in tests/tests/refused.rs.
"""
import os
import sys

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

L = tf.keras.layers
OPS = tf.lite.OpsSet


def keras(*layers, shape):
    tf.keras.utils.set_random_seed(7)
    return tf.keras.Sequential([L.Input(shape, batch_size=1), *layers])


def convert(model, ops=None, types=None, samples=None, io=None, optimize=False):
    """A converted model; `samples` is the shape that the representative dataset has."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if optimize or samples or types:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if samples:
        rng = np.random.default_rng(11)
        data = rng.uniform(-1, 1, (8, 1, *samples)).astype(np.float32)
        converter.representative_dataset = lambda: ([s] for s in data)
    if types:
        converter.target_spec.supported_types = types
    if ops:
        converter.target_spec.supported_ops = ops
    if io:
        converter.inference_input_type = converter.inference_output_type = io
    return converter.convert()


def int8(*layers, shape, io=tf.int8):
    return convert(keras(*layers, shape=shape), ops=[OPS.TFLITE_BUILTINS_INT8], samples=shape, io=io)


def function(call, *shapes, flex=False, custom=False):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    concrete = tf.function(call, input_signature=specs).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if flex:
        converter.target_spec.supported_ops = [OPS.TFLITE_BUILTINS, OPS.SELECT_TF_OPS]
    converter.allow_custom_ops = custom
    return converter.convert()


def changed(blob, change):
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(blob))
    change(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def loop(x):
    return tf.while_loop(lambda i, _: i < tf.reduce_max(x), lambda i, v: (i + 1.0, v * 1.5), [0.0, x])[1]


def branch(x):
    return tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * 2.0, lambda: x - 1.0)


def two_signatures():
    class Two(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 4])])
        def encode(self, x):
            return x * 2.0

        @tf.function(input_signature=[tf.TensorSpec([1, 4])])
        def decode(self, x):
            return x - 1.0

    two = Two()
    concrete = [two.encode.get_concrete_function(), two.decode.get_concrete_function()]
    return tf.lite.TFLiteConverter.from_concrete_functions(concrete, two).convert()


def stateful():
    class Count(tf.Module):
        def __init__(self):
            super().__init__()
            self.sum = tf.Variable(tf.zeros([1, 4]))

        @tf.function(input_signature=[tf.TensorSpec([1, 4])])
        def add(self, x):
            self.sum.assign_add(x)
            return self.sum + x

    count = Count()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([count.add.get_concrete_function()], count)
    converter.experimental_enable_resource_variables = True
    return converter.convert()


def no_scale(model):
    graph = model.subgraphs[0]
    graph.tensors[graph.operators[0].outputs[0]].quantization = None


def no_weight_scale(model):
    graph = model.subgraphs[0]
    graph.tensors[graph.operators[0].inputs[1]].quantization = None


def sparse(model):
    graph = model.subgraphs[0]
    graph.tensors[graph.operators[0].inputs[1]].sparsity = schema.SparsityParametersT()


def cycle(model):
    first, second = model.subgraphs[0].operators[:2]
    first.inputs[0] = second.outputs[0]


def swapped(model):
    operators = model.subgraphs[0].operators
    operators[0], operators[1] = operators[1], operators[0]


def cases():
    conv = lambda: L.Conv2D(2, 3, name="conv")
    yield "float16", convert(keras(conv(), shape=(6, 6, 1)), types=[tf.float16])
    # Weights below 1,024 elements stay floats.
    yield "dynamic_range_dense", convert(keras(L.Dense(26, name="dense"), shape=(40,)), optimize=True)
    yield "dynamic_range_conv", convert(keras(L.Conv2D(8, 4, name="conv"), shape=(6, 6, 8)), optimize=True)
    yield "uint8", int8(conv(), shape=(6, 6, 1), io=tf.uint8)
    int16 = OPS.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    yield "int16x8", convert(keras(conv(), shape=(6, 6, 1)), ops=[int16], samples=(6, 6, 1), io=tf.int16)
    yield "int16x8_float_ends", convert(keras(conv(), shape=(6, 6, 1)), ops=[int16], samples=(6, 6, 1))
    yield "while", function(loop, [1, 4])
    yield "if", function(branch, [1, 4])
    yield "two_signatures", two_signatures()
    yield "variable", stateful()
    yield "custom", function(lambda x: tf.raw_ops.Cross(a=x, b=x + 1.0), [1, 3], custom=True)
    yield "flex", function(lambda x: tf.linalg.inv(x + 1.0), [1, 3, 3], flex=True)
    yield "lstm", convert(keras(L.LSTM(3, name="lstm"), shape=(4, 2)))
    yield "matmul", function(lambda x, y: tf.matmul(x, y), [1, 2, 3], [1, 3, 2])
    yield "cumsum", function(lambda x: tf.cumsum(x + 1.0, axis=1), [1, 4])
    yield "dynamic_height", function(lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME"), [1, None, None, 3])
    yield "dynamic_batch_and_width", function(lambda x: tf.nn.relu(x), [None, 4, None, 3])
    conv3d = lambda x: tf.nn.conv3d(x, tf.ones([2, 2, 2, 1, 1]), [1, 1, 1, 1, 1], "VALID")
    yield "conv3d", function(conv3d, [1, 3, 3, 3, 1])
    small = int8(conv(), L.MaxPooling2D(2), shape=(6, 6, 1))
    yield "no_scale", changed(small, no_scale)
    yield "no_weight_scale", changed(small, no_weight_scale)
    yield "sparse", changed(small, sparse)
    yield "cycle", changed(small, cycle)
    yield "swapped", changed(small, swapped)
    yield "integer_input", tf.lite.TFLiteConverter.from_concrete_functions([
        tf.function(lambda x: x * 2, input_signature=[tf.TensorSpec([1, 4], tf.int32)]).get_concrete_function()
    ]).convert()
    yield "embedding", convert_embedding()


def convert_embedding():
    model = tf.keras.Sequential([L.Input((4,), batch_size=1), L.Embedding(5, 3), L.Flatten(), L.Dense(2)])
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, blob in cases():
        with open(os.path.join(folder, name + ".tflite"), "wb") as file:
            file.write(blob)


main(sys.argv[1])
