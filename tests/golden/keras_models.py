"""Keras models as TensorFlow's converter writes them, in float32 and full int8."""

import keras
import numpy as np
import tensorflow as tf

L = keras.layers


def sequential():
    """A name, the shape of a sample, layers, and settings of `convert`."""
    yield "conv2d_same_s2", (13, 11, 3), [L.Conv2D(8, 3, strides=2, padding="same", activation="relu")]
    yield "conv2d_dilated_valid", (15, 13, 3), [L.Conv2D(5, 3, dilation_rate=2)]
    yield "conv2d_10x4_wide", (20, 10, 1), [L.Conv2D(6, (10, 4), strides=(2, 2), padding="same")]
    yield "conv2d_groups", (6, 5, 4), [L.Conv2D(8, 3, groups=2, padding="same", use_bias=False)]
    yield "conv1d", (17, 3), [L.Conv1D(4, 5, strides=2, padding="same", activation="relu")]
    yield "conv1d_dilated", (17, 3), [L.Conv1D(4, 3, dilation_rate=2, padding="same")]
    yield "conv1d_transposed", (6, 3), [L.Conv1DTranspose(4, 3, strides=2, padding="same")]
    yield "depthwise_m2", (12, 11, 4), [L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu")]
    yield "transposed_s2_same", (5, 6, 3), [L.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu")]
    yield "transposed_k2_s3_valid", (5, 6, 3), [L.Conv2DTranspose(4, 2, strides=3)]
    yield "transposed_output_padding_keras", (3, 4, 2), [
        L.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=(1, 0), use_bias=False)]
    yield "transposed_dynamic", (3, 4, 2), [
        L.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu")], {"batch": None}
    yield "depthwise_dilated_dynamic", (7, 6, 3), [
        L.DepthwiseConv2D(3, dilation_rate=2, padding="same", depth_multiplier=2)], {"batch": None}
    yield "conv2d_dilated_dynamic", (9, 8, 2), [L.Conv2D(3, (3, 2), dilation_rate=(2, 3), padding="same")], {"batch": None}
    yield "conv1d_causal_dynamic", (11, 3), [L.Conv1D(4, 3, dilation_rate=2, padding="causal", activation="relu")], {"batch": None}
    yield "conv1d_dilated_dynamic", (10, 2), [L.Conv1D(3, 3, dilation_rate=3, padding="same")], {"batch": None}
    yield "max_pool_same", (9, 7, 5), [L.MaxPooling2D(3, strides=2, padding="same")]
    yield "average_pool_same", (9, 7, 5), [L.AveragePooling2D((2, 3), strides=(1, 2), padding="same")]
    yield "global_average", (7, 5, 17), [L.GlobalAveragePooling2D()]
    yield "global_average_kept", (4, 5, 6), [L.GlobalAveragePooling2D(keepdims=True)]
    yield "global_max", (4, 5, 6), [L.GlobalMaxPooling2D()]
    yield "separable_sigmoid", (8, 8, 3), [L.SeparableConv2D(4, 3, padding="same", activation="sigmoid")]
    yield "batch_norm_conv", (6, 6, 2), [L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()]
    yield "batch_norm_alone", (4, 4, 3), [L.BatchNormalization()]
    yield "leaky_tanh", (4, 4, 3), [L.LeakyReLU(negative_slope=0.1), L.Activation("tanh")]
    yield "prelu_keras", (4, 4, 3), [L.PReLU(shared_axes=[1, 2], alpha_initializer="random_uniform")]
    yield "elu_hard_swish", (4, 4, 3), [L.ELU(), L.Activation("hard_swish")]
    yield "relu6_softmax", (3, 4, 5), [L.ReLU(6.0), L.Softmax()]
    yield "bilinear", (5, 4, 3), [L.UpSampling2D(2, interpolation="bilinear")]
    yield "upsampling", (3, 4, 2), [L.UpSampling2D((2, 3))]
    yield "upsampling_dynamic", (3, 4, 2), [L.UpSampling2D(2)], {"batch": None}
    yield "gru_unrolled", (3, 2), [L.GRU(4, unroll=True), L.Dense(2)]
    yield "lstm_unrolled", (2, 3), [L.LSTM(3, unroll=True)]
    yield "upsampling1d", (5, 3), [L.UpSampling1D(2)]
    yield "pad_crop_permute", (5, 6, 3), [L.ZeroPadding2D(((1, 2), (3, 0))), L.Cropping2D(1), L.Permute((2, 1, 3))]
    yield "dense_keras_rank_3", (4, 6), [L.Dense(5, activation="relu")]
    yield "dense_no_bias_keras", (19,), [L.Dense(6, use_bias=False)]
    yield "flatten_dense_softmax", (4, 3, 2), [L.Flatten(), L.Dense(7, activation="relu"), L.Dense(4, activation="softmax")]
    yield "flatten_dense_dynamic", (4, 3, 2), [
        L.Conv2D(3, 2), L.Flatten(), L.Dense(12), L.Reshape((2, 2, 3))], {"batch": None}
    yield "repeat_reshape", (6,), [L.RepeatVector(3), L.Reshape((3, 2, 3)), L.Conv2D(2, 2)]
    yield "float_io", (8, 8, 1), [
        L.Conv2D(3, 3, padding="same", activation="relu"), L.MaxPooling2D(2), L.UpSampling2D(2),
        L.Conv2D(1, 3, padding="same", activation="sigmoid")], {"float_io": True}
    yield "autoencoder", (12, 12, 1), [
        L.Conv2D(4, 3, padding="same", activation="relu"),
        L.MaxPooling2D(2),
        L.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu"),
        L.Conv2D(1, 3, padding="same", activation="sigmoid"),
    ]


def branching():
    """Functional models: a name, the shapes of the samples, and what connects them."""
    def skip(x):
        down = L.Conv2D(4, 3, padding="same", activation="relu")(x)
        up = L.UpSampling2D(2)(L.MaxPooling2D(2)(down))
        return L.Conv2D(2, 1)(L.Concatenate()([x, up, down]))

    def residual(x):
        y = L.Conv2D(3, 3, padding="same")(x)
        return L.ReLU()(L.Add()([x, y]))

    def gated(x, gate):
        return L.Multiply()([x, L.Dense(3, activation="sigmoid")(gate)])

    def encoder(x):
        code = L.Conv2D(3, 3, strides=2, padding="same", activation="relu")(x)
        return L.Conv2DTranspose(2, 3, strides=2, padding="same")(code), L.GlobalAveragePooling2D()(code)

    def arithmetic(x, y):
        return L.Average()([x, y]), L.Subtract()([x, y])

    yield "unet", [(8, 6, 2)], skip
    yield "residual", [(6, 5, 3)], residual
    yield "gated_by_second_input", [(4, 5, 3), (1, 1, 7)], gated
    yield "two_heads", [(6, 6, 2)], encoder
    yield "two_inputs_two_outputs", [(3, 4, 2), (3, 4, 2)], arithmetic


def models():
    """A name, how to build the model, the shapes of its samples, settings of `convert`."""
    for name, shape, layers, *settings in sequential():
        settings = settings[0] if settings else {}
        batch = settings.get("batch", 1)
        build = lambda: keras.Sequential([L.Input(shape, batch_size=batch), *layers])
        yield name, build, [shape], settings
    for name, shapes, connect in branching():
        def build():
            inputs = [L.Input(shape, batch_size=1) for shape in shapes]
            return keras.Model(inputs, connect(*inputs))
        yield name, build, shapes, {}


def convert(model, shapes, int8, samples, float_io=False, batch=1):
    """The model's file; calibrated on `samples`, a list of arrays per input."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([s[i] for s in samples] for i in range(len(samples[0])))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if not float_io:
            converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8
    return converter.convert()


def samples_of(shapes, rng, count=32):
    return [rng.uniform(-1, 1, (count, 1, *shape)).astype(np.float32) for shape in shapes]
