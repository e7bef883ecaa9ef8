"""The layers that are compared, each as a Keras model and as an ONNX graph.

A case is `name: (input shape, layers)`; the ONNX graph is built from the same
description with weights of its own: only its time is compared.
"""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

CASES = {
    "conv 28x28x1-16 3x3": ((28, 28, 1), [("conv", 16, 3, 1, "same", "relu")]),
    "conv 28x28x4-1 3x3": ((28, 28, 4), [("conv", 1, 3, 1, "same", None)]),
    "conv 32x32x16-16 3x3": ((32, 32, 16), [("conv", 16, 3, 1, "same", "relu")]),
    "conv 56x56x64-64 3x3": ((56, 56, 64), [("conv", 64, 3, 1, "same", "relu")]),
    "conv 1080x1920x3-16 5x5 s5": ((1080, 1920, 3), [("conv", 16, 5, 5, "valid", "relu")]),
    "pointwise 25x5x64-64": ((25, 5, 64), [("conv", 64, 1, 1, "same", "relu")]),
    "depthwise 25x5x64 3x3": ((25, 5, 64), [("depthwise", 64, 3, 1, "same", "relu")]),
    "depthwise 112x112x32 3x3": ((112, 112, 32), [("depthwise", 32, 3, 1, "same", "relu")]),
    "tconv 14x14x16-8 3x3 s2": ((14, 14, 16), [("tconv", 8, 3, 2, "same", "relu")]),
    "tconv 56x56x64-32 3x3 s2": ((56, 56, 64), [("tconv", 32, 3, 2, "same", "relu")]),
    "max-pool 112x112x64 2x2": ((112, 112, 64), [("max", 2)]),
    "average-pool 112x112x64 2x2": ((112, 112, 64), [("average", 2)]),
    "nearest 56x56x64 x2": ((56, 56, 64), [("nearest", 2)]),
    "dense 640-128": ((640,), [("dense", 128)]),
    "autoencoder A": ((28, 28, 1), [
        ("conv", 16, 3, 1, "same", "relu"), ("max", 2),
        ("conv", 4, 3, 1, "same", "relu"), ("nearest", 2),
        ("conv", 1, 3, 1, "same", "sigmoid"),
    ]),
    # What a call costs when there is next to nothing to compute.
    "a call": ((1, 1, 1), [("max", 1)]),
}


def file_name(case):
    return case.replace(" ", "_")


def keras_layer(layer, x):
    import keras
    import tensorflow as tf

    kind, *how = layer
    if kind == "conv":
        filters, kernel, stride, padding, activation = how
        return keras.layers.Conv2D(filters, kernel, stride, padding, activation=activation)(x)
    if kind == "depthwise":
        _, kernel, stride, padding, activation = how
        return keras.layers.DepthwiseConv2D(kernel, stride, padding, activation=activation)(x)
    if kind == "tconv":
        filters, kernel, stride, padding, activation = how
        return keras.layers.Conv2DTranspose(filters, kernel, stride, padding, activation=activation)(x)
    if kind == "max":
        return keras.layers.MaxPooling2D(how[0])(x)
    if kind == "average":
        return keras.layers.AveragePooling2D(how[0])(x)
    if kind == "nearest":
        # As one operator: TFLite cannot run Keras 3's own chain of tiles in int8.
        size = [how[0] * x.shape[1], how[0] * x.shape[2]]
        return keras.layers.Lambda(lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, size))(x)
    if kind == "dense":
        return keras.layers.Dense(how[0])(x)
    raise ValueError(kind)


def tflite(case, int8):
    """The model as the TensorFlow converter writes it."""
    import keras
    import tensorflow as tf

    shape, layers = CASES[case]
    keras.utils.set_random_seed(7)
    x = inputs = keras.Input(shape, batch_size=1)
    for layer in layers:
        x = keras_layer(layer, x)
    model = keras.Model(inputs, x)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        rng = np.random.default_rng(3)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        converter.representative_dataset = lambda: (
            [rng.random((1, *shape), dtype=np.float32)] for _ in range(4)
        )
    return converter.convert()


def onnx_model(case, int8):
    """The same layers in ONNX Runtime's layout, u8 by u8 where they are quantised: the
    form that does not saturate. None where the runtime has no such kernel."""
    from onnx import TensorProto, helper, numpy_helper

    shape, layers = CASES[case]
    if int8 and (len(shape) == 1 or any(layer[0] == "tconv" for layer in layers)):
        return None
    rng = np.random.default_rng(5)
    nodes, weights = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    channels, height, width = (shape[2], shape[0], shape[1]) if len(shape) == 3 else (shape[0], 0, 0)
    x = "x"
    kind = TensorProto.UINT8 if int8 else TensorProto.FLOAT
    for i, (op, *how) in enumerate(layers):
        y = f"y{i}"
        if op in ("conv", "depthwise", "tconv"):
            filters, kernel, stride, padding, activation = how
            groups = channels if op == "depthwise" else 1
            attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "group": groups}
            if padding == "same":
                attributes["auto_pad"] = "SAME_UPPER"
            sides = (filters, channels // groups)
            extent = (*(sides[::-1] if op == "tconv" else sides), kernel, kernel)
            if int8:
                bias = constant(f"b{i}", rng.integers(-100, 100, filters).astype(np.int32))
                zero = constant(f"z{i}", np.uint8(128))
                scale = constant(f"s{i}", np.float32(0.01))
                w = constant(f"w{i}", rng.integers(0, 256, extent).astype(np.uint8))
                names = [x, scale, zero, w, scale, zero, constant(f"o{i}", np.float32(0.1)), zero, bias]
                nodes.append(helper.make_node("QLinearConv", names, [y], **attributes))
            else:
                w = constant(f"w{i}", rng.standard_normal(extent).astype(np.float32))
                b = constant(f"b{i}", rng.standard_normal(filters).astype(np.float32))
                name = "ConvTranspose" if op == "tconv" else "Conv"
                nodes.append(helper.make_node(name, [x, w, b], [y], **attributes))
                if activation:
                    name = {"relu": "Relu", "sigmoid": "Sigmoid"}[activation]
                    nodes.append(helper.make_node(name, [y], [y + "a"]))
                    y += "a"
            channels = filters
        elif op in ("max", "average"):
            if op == "average" and int8:
                return None
            name = "MaxPool" if op == "max" else "AveragePool"
            nodes.append(helper.make_node(name, [x], [y], kernel_shape=[how[0]] * 2, strides=[how[0]] * 2))
        elif op == "nearest":
            scales = constant(f"s{i}", np.array([1, 1, how[0], how[0]], np.float32))
            attributes = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
            nodes.append(helper.make_node("Resize", [x, "", scales], [y], **attributes))
        elif op == "dense":
            w = constant(f"w{i}", rng.standard_normal((channels, how[0])).astype(np.float32))
            b = constant(f"b{i}", rng.standard_normal(how[0]).astype(np.float32))
            nodes.append(helper.make_node("Gemm", [x, w, b], [y]))
            channels = how[0]
        x = y
    extent = [1, shape[-1], *shape[:-1]]
    graph = helper.make_graph(
        nodes, "case",
        [helper.make_tensor_value_info("x", kind, extent)],
        [helper.make_tensor_value_info(x, kind, None)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model.SerializeToString()
