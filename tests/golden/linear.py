"""Operators with weights, one model each."""

from flatbuffer import ACTIVATIONS, SAME, VALID


def spread(b, x, weight_scale, products):
    """An output scale at which sums of this many random products nearly fill the codes."""
    mean = float(sum(weight_scale) / len(weight_scale)) if hasattr(weight_scale, "__len__") else weight_scale
    return b.scale_of(x)[0] * mean * 100 * products**0.5


def per_channel(b, count, scale=1 / 256):
    return [float(v) for v in scale * b.rng.uniform(0.3, 2, count)]


def output_extent(extent, kernel, stride, dilation, padding):
    covered = (kernel - 1) * dilation + 1
    return -(-extent // stride) if padding == SAME else (extent - covered) // stride + 1


def conv(b, x, out, kernel, strides=(1, 1), dilation=(1, 1), padding=SAME, groups=1,
         scales=None, fused="NONE", zero=7, out_scale=None):
    n, h, w, c = b.shape_of(x)
    scales = scales or per_channel(b, out)
    weights = b.constant((out, *kernel, c // groups), scales)
    shape = (n, *(output_extent(e, k, s, d, padding)
                  for e, k, s, d in zip((h, w), kernel, strides, dilation)), out)
    s_in = b.scale_of(x)[0]
    return b.op(
        "CONV_2D", [x, weights, b.bias([s_in * s for s in scales])], shape,
        out_scale or spread(b, x, scales, kernel[0] * kernel[1] * c // groups), zero,
        padding=padding, strideH=strides[0], strideW=strides[1],
        dilationHFactor=dilation[0], dilationWFactor=dilation[1],
        fusedActivationFunction=ACTIVATIONS[fused],
    )


def depthwise(b, x, multiplier, kernel, strides=(1, 1), dilation=(1, 1), padding=SAME, fused="NONE"):
    n, h, w, c = b.shape_of(x)
    scales = per_channel(b, c * multiplier)
    weights = b.constant((1, *kernel, c * multiplier), scales, axis=3)
    shape = (n, *(output_extent(e, k, s, d, padding)
                  for e, k, s, d in zip((h, w), kernel, strides, dilation)), c * multiplier)
    bias = b.bias([b.scale_of(x)[0] * s for s in scales])
    return b.op(
        "DEPTHWISE_CONV_2D", [x, weights, bias], shape,
        spread(b, x, scales, kernel[0] * kernel[1]), -9,
        padding=padding, strideH=strides[0], strideW=strides[1], depthMultiplier=multiplier,
        dilationHFactor=dilation[0], dilationWFactor=dilation[1],
        fusedActivationFunction=ACTIVATIONS[fused],
    )


def transposed(b, x, out, kernel, strides=(1, 1), padding=SAME, extra=(0, 0), bias=False,
               fused="NONE", version=None):
    n, h, w, c = b.shape_of(x)
    scales = per_channel(b, out)
    weights = b.constant((out, *kernel, c), scales)
    size = [e * s if padding == SAME else (e - 1) * s + max(k, s)
            for e, s, k in zip((h, w), strides, kernel)]
    size = [n, *(e + more for e, more in zip(size, extra)), out]
    inputs = [b.ints(size), weights, x]
    if bias:
        inputs.append(b.bias([b.scale_of(x)[0] * s for s in scales]))
    products = max(1, kernel[0] * kernel[1] * c // (strides[0] * strides[1]))
    return b.op(
        "TRANSPOSE_CONV", inputs, size, spread(b, x, scales, products), 3, version=version,
        padding=padding, strideH=strides[0], strideW=strides[1],
        fusedActivationFunction=ACTIVATIONS[fused],
    )


def dense(b, x, units, channels=False, bias=True, keep=False, fused="NONE", weight_scale=1 / 200, out_scale=None):
    shape = b.shape_of(x)
    depth = shape[-1]
    scales = per_channel(b, units) if channels else [weight_scale]
    weights = b.constant((units, depth), scales)
    s_in = b.scale_of(x)[0]
    inputs = [x, weights, b.bias([s_in * s for s in (scales * units)[:units]]) if bias else -1]
    rows = 1
    for extent in shape[:-1]:
        rows *= extent
    return b.op(
        "FULLY_CONNECTED", inputs, (*shape[:-1], units) if keep else (rows, units),
        out_scale or spread(b, x, scales, depth), 4, keepNumDims=keep,
        fusedActivationFunction=ACTIVATIONS[fused],
    )


def convolutions():
    case = lambda shape, **how: lambda b: b.finish(conv(b, b.input(shape), **how))
    yield "conv_1x1", case((1, 5, 4, 7), out=6, kernel=(1, 1))
    yield "conv_1x7", case((1, 6, 11, 3), out=4, kernel=(1, 7), fused="RELU6")
    yield "conv_5x5_stride_5", case((1, 16, 17, 3), out=5, kernel=(5, 5), strides=(5, 5))
    yield "conv_stride_above_kernel", case((1, 11, 9, 3), out=4, kernel=(2, 1), strides=(4, 3), padding=VALID)
    yield "conv_kernel_above_map", case((1, 3, 2, 4), out=3, kernel=(7, 5))
    yield "conv_unequal_stride_dilated", case((1, 13, 12, 2), out=5, kernel=(3, 2), dilation=(2, 3), padding=VALID)
    yield "conv_grouped", case((1, 6, 5, 6), out=9, kernel=(3, 3), groups=3, fused="RELU")
    yield "conv_grouped_stride", case((1, 7, 8, 8), out=4, kernel=(2, 3), groups=4, strides=(2, 1), padding=VALID)
    yield "conv_batch_2", case((2, 4, 4, 3), out=8, kernel=(3, 3), fused="RELU_N1_TO_1")
    yield "conv_one_pixel", case((1, 1, 1, 5), out=5, kernel=(3, 3), strides=(2, 2))
    yield "conv_per_tensor", case((1, 5, 5, 3), out=4, kernel=(3, 3), scales=[1 / 256] * 4)
    # Multipliers above one, and so small that most codes are the zero point.
    yield "conv_large_multiplier", case((1, 4, 4, 1), out=3, kernel=(1, 2), out_scale=1 / 2048)
    yield "conv_tiny_multiplier", case((1, 6, 6, 8), out=4, kernel=(3, 3), out_scale=16.0)
    # Powers of two: half of the requantisations are ties.
    yield "conv_ties", lambda b: b.finish(conv(
        b, b.input((1, 8, 8, 3), scale=1 / 64), 4, (3, 3), scales=[1 / 128, 1 / 64, 1 / 256, 1 / 32],
        out_scale=1 / 16, zero=-1))
    yield "conv_extreme_zero_points", lambda b: b.finish(conv(
        b, b.input((1, 7, 6, 3), zero=-128), 4, (3, 3), zero=127, padding=SAME))

    deep = lambda shape, **how: lambda b: b.finish(depthwise(b, b.input(shape), **how))
    yield "depthwise_m3", deep((1, 7, 6, 3), multiplier=3, kernel=(3, 3), padding=VALID)
    yield "depthwise_dilated", deep((1, 9, 10, 5), multiplier=1, kernel=(3, 2), dilation=(2, 3), fused="RELU6")
    yield "depthwise_unequal_stride", deep((1, 9, 8, 4), multiplier=1, kernel=(3, 5), strides=(2, 3))
    yield "depthwise_one_channel", deep((2, 5, 7, 1), multiplier=4, kernel=(2, 2), strides=(2, 2), fused="RELU")
    yield "depthwise_kernel_above_map", deep((1, 2, 3, 8), multiplier=1, kernel=(5, 5))


def transposed_convolutions():
    case = lambda shape, **how: lambda b: b.finish(transposed(b, b.input(shape), **how))
    yield "transposed_plain", case((1, 4, 5, 3), out=4, kernel=(3, 3), strides=(2, 2))
    yield "transposed_v3_bias", case((1, 4, 3, 5), out=3, kernel=(3, 2), strides=(2, 3), bias=True, version=3)
    yield "transposed_v4_fused", case(
        (1, 5, 4, 2), out=4, kernel=(4, 4), strides=(2, 2), bias=True, fused="RELU", version=4)
    yield "transposed_v4_relu6_no_bias", case(
        (1, 3, 3, 4), out=3, kernel=(3, 3), strides=(1, 2), fused="RELU6", version=4)
    yield "transposed_kernel_below_stride", case((1, 3, 4, 3), out=2, kernel=(2, 1), strides=(3, 4), padding=VALID)
    yield "transposed_one_pixel", case((1, 1, 1, 4), out=5, kernel=(5, 5), strides=(2, 2))
    yield "transposed_2x2_map", case((1, 2, 2, 3), out=3, kernel=(5, 4), strides=(3, 1), padding=VALID)
    yield "transposed_output_padding", case(
        (1, 3, 4, 2), out=3, kernel=(3, 3), strides=(2, 2), padding=VALID, extra=(1, 1))
    yield "transposed_stride_1", case((2, 4, 4, 3), out=4, kernel=(3, 3), bias=True, version=3)


def dense_layers():
    case = lambda shape, **how: lambda b: b.finish(dense(b, b.input(shape), **how))
    yield "dense_per_tensor", case((1, 23), units=7)
    yield "dense_per_channel", case((1, 17), units=9, channels=True, fused="RELU")
    yield "dense_no_bias", case((1, 32), units=5, bias=False)
    yield "dense_no_bias_per_channel", case((3, 13), units=4, bias=False, channels=True, fused="RELU6")
    yield "dense_rank_3", case((1, 3, 11), units=6, keep=True)
    yield "dense_rank_3_per_channel", case((2, 4, 8), units=5, keep=True, channels=True, bias=False)
    yield "dense_rank_4_flattened", case((1, 2, 3, 10), units=4)
    yield "dense_batch", case((4, 16), units=8, fused="RELU_N1_TO_1")
    yield "dense_ties", lambda b: b.finish(dense(
        b, b.input((1, 12), scale=1 / 64), 16, weight_scale=1 / 128, out_scale=1 / 16))
    # The product of the scales over the output's is exactly 3/32 in float32, not in float64.
    yield "dense_quotient", lambda b: b.finish(dense(
        b, b.input((1, 2), scale=0.0010000000474974513), 64, weight_scale=1 / 700,
        out_scale=1.5238096239045262e-05))
    yield "dense_one_unit", case((1, 40), units=1, channels=True)


def cases():
    yield from convolutions()
    yield from transposed_convolutions()
    yield from dense_layers()
