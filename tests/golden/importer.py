"""Makes tests/golden/importer: what the importer folds, drops and renames, with TensorFlow's outputs.

    venv/bin/python tests/golden/importer.py tests/golden/importer

Each case is `<name>.tflite` and `<name>.npz` (`input0`, …, `expected0`, …, in
the model's order; axis 0 is the run). Expected outputs are those of TensorFlow
Lite's reference kernels, or of the float model where `BUILTIN_REF` lacks a kernel.
"""
import os
import sys

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

L = tf.keras.layers
OPS = tf.lite.OpsSet


def functional(build, *shapes, batch=1):
    tf.keras.utils.set_random_seed(7)
    inputs = [L.Input(shape, batch_size=batch, name=f"in{i}") for i, shape in enumerate(shapes)]
    return tf.keras.Model(inputs, build(*inputs)), shapes


def keras(name, build, *shapes, batch=1, kinds=("f32", "i8", "ends")):
    """A Keras model as floats, as int8, and as int8 between float ends."""
    model, shapes = functional(build, *shapes, batch=batch)
    rng = np.random.default_rng(11)
    samples = [[rng.uniform(-1, 1, (1, *s)).astype(np.float32) for s in shapes] for _ in range(16)]
    for kind in kinds:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if kind != "f32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: iter(samples)
            converter.target_spec.supported_ops = [OPS.TFLITE_BUILTINS_INT8]
        if kind == "i8":
            converter.inference_input_type = converter.inference_output_type = tf.int8
        yield f"{name}_{kind}", converter.convert()


def function(name, call, *shapes):
    """A TensorFlow function, as floats."""
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    concrete = tf.function(call, input_signature=specs).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    # Leaves constants and shape arithmetic in the graph as far as possible.
    converter._experimental_disable_fuse_mul_and_fc = True
    yield f"{name}_f32", converter.convert()


def conv(filters, size, **how):
    return L.Conv2D(filters, size, bias_initializer="random_normal", **how)


def cases():
    yield from keras("pad_conv", lambda x: conv(4, 3)(L.ZeroPadding2D(((1, 2), (0, 3)))(x)), (7, 6, 2))
    yield from keras("pad_conv_stride", lambda x: conv(4, 3, strides=2)(L.ZeroPadding2D(((0, 1), (0, 1)))(x)), (8, 8, 3))
    yield from keras("pad_conv_same", lambda x: conv(3, 3, strides=2, padding="same")(L.ZeroPadding2D(((1, 0), (2, 1)))(x)), (8, 7, 2))
    yield from keras("pad_wide", lambda x: conv(2, 3)(L.ZeroPadding2D(((4, 5), (3, 6)))(x)), (4, 3, 2))
    yield from keras("pad_depthwise", lambda x: L.DepthwiseConv2D(3, strides=2)(L.ZeroPadding2D(1)(x)), (7, 9, 3))

    def shared_padding(x):
        padded = L.ZeroPadding2D(1)(conv(2, 1)(x))
        return [conv(2, 3)(padded), L.MaxPooling2D(2)(padded)]

    yield from keras("pad_shared", shared_padding, (5, 4, 2))
    yield from keras("two_inputs", lambda a, b: conv(2, 3)(L.Concatenate()([a, L.ReLU()(b)])), (5, 6, 2), (5, 6, 3))
    yield from keras("two_in_two_out", lambda a, b: [L.Subtract()([a, b]), L.Dense(3)(L.Flatten()(a))], (4, 3, 2), (4, 3, 2))
    yield from keras("output_twice", lambda x: [L.ReLU(name="r")(x), L.Flatten()(x)], (3, 2, 2), kinds=("f32",))
    upsample = lambda x: conv(2, 3, padding="same")(L.UpSampling2D(2)(conv(3, 3, padding="same", activation="relu")(x)))
    yield from keras("upsample_dynamic_batch", upsample, (4, 5, 2), batch=None, kinds=("f32",))
    dynamic = lambda x: L.Dense(3)(L.Flatten()(L.Conv2DTranspose(2, 3, strides=2, padding="same")(L.Reshape((3, 2, 4))(x))))
    yield from keras("dynamic_batch", dynamic, (24,), batch=None)
    yield from keras("reshapes", lambda x: L.Reshape((-1, 4))(L.Permute((2, 1, 3))(L.Reshape((4, 3, 2))(x))), (6, 4))
    yield from keras("repeat", lambda x: L.Dense(2)(L.RepeatVector(3)(x)), (4,), batch=None, kinds=("f32",))

    one = tf.constant(np.linspace(-1, 1, 3, dtype=np.float32))
    yield from function("broadcast_to", lambda x: tf.broadcast_to(x, [2, 4, 3]) + one, [1, 1, 3])
    yield from function("broadcast_to_rank", lambda x: tf.broadcast_to(x, [2, 4, 3]) * 2.0, [4, 1])
    yield from function("broadcast_constant", lambda x: x + tf.broadcast_to(one, tf.shape(x)), [None, 3])
    yield from function("fill", lambda x: tf.concat([x, tf.fill(tf.shape(x), 0.5)], -1), [None, 2, 3])
    yield from function("zeros_like", lambda x: tf.concat([x, tf.zeros([tf.shape(x)[0], 2, 3])], 1), [None, 2, 3])
    yield from function("halves", lambda x: tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1] // 2, 2 * tf.shape(x)[2]]), [None, 4, 3])
    yield from function("prod", lambda x: tf.reshape(x, [tf.shape(x)[0], tf.reduce_prod(tf.shape(x)[1:])]), [None, 2, 3])
    yield from function("range", lambda x: tf.transpose(x, tf.range(tf.rank(x) - 1, -1, -1)), [1, 2, 3])
    yield from function("gather_shape", lambda x: tf.reshape(x, tf.gather(tf.shape(x), [0, 2, 1])), [None, 2, 3])
    yield from function("identities", lambda x: tf.identity(tf.tile(tf.reshape(tf.transpose(x, [0, 1, 2]), [1, 2, 3]), [1, 1, 1])) * 3.0, [1, 2, 3])
    yield from function("stack", lambda x, y: tf.stack([x, y], axis=1), [1, 3], [1, 3])
    yield "dequantised_weights_f32", dequantised_weights(False)
    yield "dequantised_channels_f32", dequantised_weights(True)
    yield "quantised_constant_i8", quantised_constant()
    yield from function("pad_value", lambda x: tf.pad(x, [[0, 0], [1, 0], [0, 2]], constant_values=0.25), [1, 2, 3])


def before(blob, operator, tensor, code, source):
    """The model with an operator of this code in front, which computes constant input `tensor` from a new one."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(blob))
    graph = model.subgraphs[0]
    computed = graph.operators[operator].inputs[tensor]
    model.buffers.append(schema.BufferT())
    constant = source(graph.tensors[computed], model.buffers[graph.tensors[computed].buffer])
    model.buffers[-1].data = constant.data
    constant.buffer, constant.name = len(model.buffers) - 1, b"before"
    graph.tensors[computed].buffer = 0
    graph.tensors.append(constant)
    model.operatorCodes.append(schema.OperatorCodeT())
    model.operatorCodes[-1].builtinCode = model.operatorCodes[-1].deprecatedBuiltinCode = code
    model.operatorCodes[-1].version = 1
    front = schema.OperatorT()
    front.opcodeIndex = len(model.operatorCodes) - 1
    front.inputs, front.outputs = [len(graph.tensors) - 1], [computed]
    graph.operators.insert(0, front)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def dequantised_weights(per_channel):
    """Weights stored as int8 that are dequantised before a float convolution."""
    ((_, blob),) = keras("conv", lambda x: L.Conv2D(3, 2)(x), (4, 4, 2), kinds=("f32",))

    def codes(real, buffer):
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(real.shape), schema.TensorType.INT8
        quantization = tensor.quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = ([0.01, 0.5, 0.002], [0, 0, 0]) if per_channel else ([0.01], [3])
        quantization.quantizedDimension = 0
        tensor.data = np.random.default_rng(3).integers(-127, 128, 3 * 2 * 2 * 2).astype(np.int8).view(np.uint8)
        return tensor

    return before(blob, 0, 1, schema.BuiltinOperator.DEQUANTIZE, codes)


def quantised_constant():
    """A float constant, quantised before it is added; the converter would have written the codes."""
    reals = np.linspace(-1, 1, 6, dtype=np.float32)
    ((_, blob),) = keras("add", lambda x: x + reals, (4, 6), kinds=("i8",))

    def real(codes, buffer):
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(codes.shape), schema.TensorType.FLOAT32
        tensor.data = np.frombuffer(reals.tobytes(), np.uint8)
        return tensor

    return before(blob, 0, 1, schema.BuiltinOperator.QUANTIZE, real)


def run(blob):
    resolver = tf.lite.experimental.OpResolverType
    interpreter = tf.lite.Interpreter(model_content=blob, experimental_op_resolver_type=resolver.BUILTIN_REF)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(13)
    arrays = {}
    sources, sinks = interpreter.get_input_details(), interpreter.get_output_details()
    for _ in range(2):
        for i, source in enumerate(sources):
            if source["dtype"] == np.int8:
                x = rng.integers(-128, 128, source["shape"], dtype=np.int8)
            else:
                x = rng.uniform(-1, 1, source["shape"]).astype(np.float32)
            interpreter.set_tensor(source["index"], x)
            arrays.setdefault(f"input{i}", []).append(x)
        interpreter.invoke()
        for i, sink in enumerate(sinks):
            arrays.setdefault(f"expected{i}", []).append(interpreter.get_tensor(sink["index"]))
    return {name: np.stack(values) for name, values in arrays.items()}


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, blob in cases():
        stem = os.path.join(folder, name)
        with open(stem + ".tflite", "wb") as file:
            file.write(blob)
        np.savez_compressed(stem + ".npz", **run(blob))


main(sys.argv[1])
