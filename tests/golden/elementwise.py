"""Operators on numbers without weights: arithmetic, activations, pools, reductions, resizing."""

from flatbuffer import ACTIVATIONS, FLOAT, INT8, SAME, VALID
from linear import conv, output_extent


def arithmetic():
    def two(name, left, right, fused="NONE", scales=(1 / 50, 1 / 90, 1 / 30), zeros=(-5, 11, 3)):
        def build(b):
            x = b.input(left, scales[0], zeros[0])
            y = b.input(right, scales[1], zeros[1])
            shape = broadcast(left, right)
            out = scales[2] if name != "MUL" else scales[0] * scales[1] * 90
            return b.finish(b.op(name, [x, y], shape, out, zeros[2],
                                 fusedActivationFunction=ACTIVATIONS[fused]))
        return build

    def constant(name, left, right, swap=False, fused="NONE"):
        def build(b):
            x, y = b.input(left, 1 / 40, 6), b.constant(right, 1 / 100, zero=-3)
            inputs = [y, x] if swap else [x, y]
            out = 1 / 25 if name != "MUL" else 1 / 60
            return b.finish(b.op(name, inputs, broadcast(left, right), out, -8,
                                 fusedActivationFunction=ACTIVATIONS[fused]))
        return build

    full, channel = (1, 4, 5, 3), (1, 1, 1, 3)
    for name in ("ADD", "SUB", "MUL"):
        label = name.lower()
        yield label, two(name, full, full)
        yield f"{label}_relu", two(name, full, full, "RELU")
        yield f"{label}_relu6", two(name, full, full, "RELU6", scales=(1 / 9, 1 / 12, 1 / 8))
        yield f"{label}_relu_n1_to_1", two(name, full, full, "RELU_N1_TO_1")
        yield f"{label}_constant", constant(name, full, full)
        yield f"{label}_constant_first", constant(name, full, channel, swap=True, fused="RELU")
        yield f"{label}_scalar", constant(name, full, ())
        yield f"{label}_channels", two(name, full, channel)
        yield f"{label}_rows", two(name, (2, 4, 1, 3), (1, 4, 5, 1))
        yield f"{label}_both_ways", two(name, (1, 4, 1, 3), (1, 1, 5, 3), "RELU")
        yield f"{label}_ranks", two(name, (2, 3, 4), (4,))
        # Powers of two, where sums are exact ties.
        yield f"{label}_ties", two(name, (1, 16, 16, 1), (1, 16, 16, 1),
                                   scales=(1 / 32, 1 / 64, 1 / 16), zeros=(1, -2, 5))
        yield f"{label}_extreme_zero_points", two(name, full, full, zeros=(-128, 127, -128))


    def product(b):
        x, y = b.input(full, FACTORS[0], 3), b.input(full, FACTORS[1], -4)
        return b.finish(b.op("MUL", [x, y], full, FACTOR_OUT, 0))

    yield "mul_quotient", product


def broadcast(left, right):
    rank = max(len(left), len(right))
    left, right = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    return tuple(max(a, b) for a, b in zip(left, right))


# The quotient of these two scales is exactly 3/2 in float32 and not in float64, the
# product of the last two over FACTOR_OUT exactly 3/32: they tell which one TFLite uses.
QUOTIENT = (0.0010000000474974513, 0.0006666667177341878)
FACTORS, FACTOR_OUT = (0.0010000000474974513, 1 / 700), 1.5238096239045262e-05


def activations():
    # All codes once: 256 elements.
    shape = (1, 8, 8, 4)

    def unary(name, scale, zero, out_scale, out_zero, **options):
        return lambda b: b.finish(b.op(name, [b.input(shape, scale, zero)], shape, out_scale, out_zero, **options))

    yield "relu", unary("RELU", 1 / 20, 3, 1 / 20, 3)
    yield "relu_rescaled", unary("RELU", 1 / 20, 3, 1 / 33, -128)
    yield "relu6", unary("RELU6", 1 / 10, -20, 1 / 10, -20)
    yield "relu6_rescaled", unary("RELU6", 1 / 10, -20, 6 / 255, -128)
    yield "relu_n1_to_1", unary("RELU_N1_TO_1", 1 / 50, 9, 1 / 50, 9)
    yield "leaky_relu", unary("LEAKY_RELU", 1 / 30, -4, 1 / 40, 8, alpha=0.2)
    yield "leaky_relu_steep", unary("LEAKY_RELU", 1 / 30, 100, 1 / 8, 40, alpha=1.5)
    yield "leaky_relu_negative", unary("LEAKY_RELU", 1 / 32, 0, 1 / 32, -60, alpha=-0.25)
    yield "relu_quotient", unary("RELU", QUOTIENT[0], 3, QUOTIENT[1], -60)
    yield "leaky_relu_quotient", unary("LEAKY_RELU", QUOTIENT[0], 3, QUOTIENT[1], -20, alpha=0.5)
    def negative(b):
        """int8 data pass through floats, as the converter has it."""
        x = b.input((1, 4, 5, 3), 1 / 30, 11)
        if b.int8:
            x = b.op("DEQUANTIZE", [x], (1, 4, 5, 3), 1.0, 0, kind=FLOAT)
        y = b.op("NEG", [x], (1, 4, 5, 3), 1.0, 0, kind=FLOAT, version=1)
        return b.finish(b.op("QUANTIZE", [y], (1, 4, 5, 3), 1 / 30, -12, version=1) if b.int8 else y)

    yield "negative", negative
    yield "elu", unary("ELU", 1 / 30, 11, 1 / 35, -60)
    yield "elu_coarse", unary("ELU", 1 / 4, 0, 1 / 4, -100)
    yield "hard_swish", unary("HARD_SWISH", 1 / 20, -3, 1 / 25, -70)
    yield "hard_swish_fine", unary("HARD_SWISH", 1 / 100, 10, 1 / 120, 0)
    yield "hard_swish_coarse", unary("HARD_SWISH", 1 / 3, 60, 1 / 6, -128)
    yield "logistic", unary("LOGISTIC", 1 / 20, 5, 1 / 256, -128)
    yield "logistic_coarse", unary("LOGISTIC", 1 / 2, -30, 1 / 256, -128)
    yield "tanh", unary("TANH", 1 / 40, -7, 1 / 128, 0)
    yield "tanh_coarse", unary("TANH", 1 / 5, 20, 1 / 128, 0)

    def prelu(alphas, scale, zero):
        def build(b):
            x = b.input(shape, 1 / 30, 5)
            slopes = b.constant(alphas, scale, zero)
            return b.finish(b.op("PRELU", [x, slopes], shape, 1 / 28, -9))
        return build

    yield "prelu", prelu((1, 1, 4), 1 / 100, 0)
    yield "prelu_shared", prelu((1, 1, 1), 1 / 300, -40)
    yield "prelu_full", prelu((8, 8, 4), 1 / 120, 7)

    def prelu_quotient(b):
        x, slopes = b.input(shape, QUOTIENT[0], 3), b.constant((1, 1, 4), 1 / 64)
        return b.finish(b.op("PRELU", [x, slopes], shape, QUOTIENT[1], -9))

    yield "prelu_quotient", prelu_quotient

    def softmax(of, beta, scale):
        return lambda b: b.finish(b.op("SOFTMAX", [b.input(of, scale, 13)], of, 1 / 256, -128, beta=beta))

    yield "softmax", softmax((3, 10), 1.0, 1 / 12)
    yield "softmax_beta", softmax((2, 17), 0.5, 1 / 4)
    yield "softmax_rank_4", softmax((1, 4, 3, 5), 1.0, 1 / 30)
    yield "softmax_sharp", softmax((4, 6), 2.0, 0.9)
    yield "softmax_one", softmax((3, 1), 1.0, 1 / 12)


def pools():
    def pool(name, shape, window, strides, padding, fused="NONE"):
        def build(b):
            x = b.input(shape, 1 / 40, -6)
            rows = [output_extent(e, k, s, 1, padding) for e, k, s in zip(shape[1:3], window, strides)]
            y = b.op(name, [x], (shape[0], *rows, shape[3]), padding=padding,
                     filterHeight=window[0], filterWidth=window[1], strideH=strides[0],
                     strideW=strides[1], fusedActivationFunction=ACTIVATIONS[fused])
            return b.finish(y)
        return build

    for name, label in (("MAX_POOL_2D", "max"), ("AVERAGE_POOL_2D", "average")):
        yield f"{label}_pool_valid", pool(name, (1, 7, 8, 3), (2, 3), (2, 2), VALID)
        yield f"{label}_pool_relu", pool(name, (2, 5, 5, 4), (3, 3), (1, 1), SAME, "RELU")
        yield f"{label}_pool_relu6", pool(name, (1, 6, 6, 2), (2, 2), (2, 2), VALID, "RELU6")
        yield f"{label}_pool_above_map", pool(name, (1, 2, 3, 5), (5, 5), (2, 2), SAME)
        yield f"{label}_pool_sparse", pool(name, (1, 9, 10, 3), (2, 2), (3, 4), VALID)
        yield f"{label}_pool_whole", pool(name, (1, 5, 4, 7), (5, 4), (1, 1), VALID)


def reductions():
    def reduce(name, shape, axes, keep, rescaled=False):
        def build(b):
            x = b.input(shape, 1 / 40, 14)
            if keep:
                out = [1 if i in axes else e for i, e in enumerate(shape)]
            else:
                out = [e for i, e in enumerate(shape) if i not in axes]
            to = (1 / 55, -3) if rescaled else (1 / 40, 14)
            return b.finish(b.op(name, [x, b.ints(sorted(axes))], out, *to, keepDims=keep))
        return build

    for name in ("MEAN", "REDUCE_MAX"):
        label = name.lower()
        yield f"{label}_map", reduce(name, (1, 5, 7, 3), {1, 2}, False)
        yield f"{label}_map_kept", reduce(name, (2, 4, 3, 5), {1, 2}, True)
        yield f"{label}_channels", reduce(name, (1, 3, 4, 6), {3}, False)
        yield f"{label}_rows", reduce(name, (1, 6, 3, 4), {1}, True)
        yield f"{label}_all", reduce(name, (1, 4, 4, 3), {1, 2, 3}, False)
        yield f"{label}_rank_3", reduce(name, (2, 5, 6), {1}, False)
        yield f"{label}_outer_and_inner", reduce(name, (1, 3, 4, 5), {1, 3}, True)
    yield "mean_rescaled", reduce("MEAN", (1, 7, 5, 4), {1, 2}, False, rescaled=True)
    yield "mean_rescaled_channels", reduce("MEAN", (1, 4, 3, 9), {3}, True, rescaled=True)


def resizing():
    def resize(name, shape, size, corners, centres):
        def build(b):
            y = b.op(name, [b.input(shape), b.ints(size)], (shape[0], *size, shape[3]),
                     alignCorners=corners, halfPixelCenters=centres)
            return b.finish(y)
        return build

    for name, label in (("RESIZE_NEAREST_NEIGHBOR", "nearest"), ("RESIZE_BILINEAR", "bilinear")):
        for flags, corners, centres in (("", False, False), ("_corners", True, False), ("_centres", False, True)):
            yield f"{label}_double{flags}", resize(name, (1, 3, 4, 2), (6, 8), corners, centres)
            yield f"{label}_odd{flags}", resize(name, (1, 5, 4, 3), (7, 9), corners, centres)
            yield f"{label}_down{flags}", resize(name, (2, 9, 7, 2), (4, 3), corners, centres)
        yield f"{label}_from_pixel", resize(name, (1, 1, 1, 3), (3, 2), False, False)
        yield f"{label}_to_pixel", resize(name, (1, 4, 3, 3), (1, 1), True, False)
        yield f"{label}_rows_only", resize(name, (1, 4, 6, 2), (12, 6), False, True)


def conversions():
    """Models of one form: the types are those of the operator."""
    shape = (1, 8, 8, 4)

    def quantize(b):
        return b.finish(b.op("QUANTIZE", [b.input(shape, kind=FLOAT)], shape, 1 / 90, -17, kind=INT8, version=1))

    def requantize(to, zero, scale=1 / 40, start=-12):
        return lambda b: b.finish(b.op("QUANTIZE", [b.input(shape, scale, start)], shape, to, zero))

    def dequantize(b):
        return b.finish(b.op("DEQUANTIZE", [b.input(shape, 1 / 37, 21)], shape, 1.0, 0, kind=FLOAT))

    def float_around_int8(b):
        x = b.input((1, 6, 6, 3), kind=FLOAT)
        codes = b.op("QUANTIZE", [x], (1, 6, 6, 3), 1 / 100, 4, kind=INT8, version=1)
        y = conv(b, codes, 4, (3, 3), fused="RELU")
        return b.finish(b.op("DEQUANTIZE", [y], b.shape_of(y), 1.0, 0, kind=FLOAT))

    yield "quantize", quantize
    yield "requantize", requantize(1 / 25, 30)
    yield "requantize_finer", requantize(1 / 200, -100)
    yield "requantize_ties", requantize(1 / 32, 5, scale=1 / 64, start=-1)
    yield "requantize_quotient", requantize(QUOTIENT[1], 5, scale=QUOTIENT[0], start=-1)
    yield "requantize_zero_point", requantize(1 / 40, 60)
    yield "dequantize", dequantize
    yield "float_around_int8", float_around_int8


def cases():
    yield from arithmetic()
    yield from activations()
    yield from pools()
    yield from reductions()
    yield from resizing()
