"""Operators that move elements, shape arithmetic, and models of several inputs and outputs."""

from flatbuffer import ACTIVATIONS, FLOAT, INT8
from linear import conv


def concatenation():
    def concat(axis, *shapes):
        def build(b):
            out = list(shapes[0])
            out[axis] = sum(shape[axis] for shape in shapes)
            y = b.op("CONCATENATION", [b.input(shape) for shape in shapes], out, axis=axis)
            return b.finish(y)
        return build

    yield "concat_channels", concat(3, (1, 3, 4, 2), (1, 3, 4, 5))
    yield "concat_columns", concat(2, (1, 3, 4, 2), (1, 3, 1, 2))
    yield "concat_rows", concat(1, (1, 3, 4, 2), (1, 2, 4, 2), (1, 1, 4, 2))
    yield "concat_batch", concat(0, (1, 3, 4, 2), (2, 3, 4, 2))
    yield "concat_last", concat(-1, (2, 5), (2, 3))
    yield "concat_four", concat(2, *[(1, 2, width) for width in (1, 2, 3, 4)])

    def rescaled(b):
        """As the converter does: QUANTIZE in front of what has another scale."""
        x, y = b.input((1, 3, 4, 2), 1 / 30, 5), b.input((1, 3, 4, 3), 1 / 70, -20)
        if b.int8:
            y = b.op("QUANTIZE", [y], (1, 3, 4, 3), 1 / 30, 5)
        return b.finish(b.op("CONCATENATION", [x, y], (1, 3, 4, 5), 1 / 30, 5, axis=3))

    def constant(b):
        x, y = b.input((1, 3, 4, 2), 1 / 30, 5), b.constant((1, 3, 4, 2), 1 / 30, 5)
        return b.finish(b.op("CONCATENATION", [y, x], (1, 3, 4, 4), axis=3))

    def twice(b):
        x = b.input((1, 3, 4, 2))
        return b.finish(b.op("CONCATENATION", [x, x], (1, 3, 8, 2), axis=2))

    yield "concat_scales", rescaled
    yield "concat_constant", constant
    yield "concat_twice", twice


def padding():
    def pad(name, shape, cells, mode=None, filled=False):
        def build(b):
            x = b.input(shape)
            out = [e + before + after for e, (before, after) in zip(shape, cells)]
            inputs = [x, b.ints(cells)]
            if filled:
                inputs.append(b.constant((1,), *b.scale_of(x)))
            options = {} if mode is None else {"mode": mode}
            return b.finish(b.op(name, inputs, out, **options))
        return build

    yield "pad", pad("PAD", (1, 4, 5, 3), [(0, 0), (1, 2), (3, 0), (0, 0)])
    yield "pad_all_axes", pad("PAD", (2, 3, 2, 2), [(1, 0), (0, 1), (2, 1), (1, 3)])
    yield "pad_rank_2", pad("PAD", (3, 4), [(0, 2), (1, 1)])
    yield "padv2", pad("PADV2", (1, 4, 5, 3), [(0, 0), (2, 1), (0, 3), (0, 0)], filled=True)
    yield "padv2_channels", pad("PADV2", (1, 2, 3, 4), [(0, 0), (0, 0), (1, 0), (2, 1)], filled=True)
    yield "mirror_pad_reflect", pad("MIRROR_PAD", (1, 4, 5, 3), [(0, 0), (3, 2), (1, 4), (0, 0)], mode=0)
    yield "mirror_pad_symmetric", pad("MIRROR_PAD", (1, 4, 5, 3), [(0, 0), (4, 1), (2, 5), (0, 0)], mode=1)
    yield "mirror_pad_one_side", pad("MIRROR_PAD", (1, 3, 3, 2), [(0, 0), (0, 2), (0, 0), (0, 0)], mode=0)


def shapes():
    def reshape(shape, to, wanted=None, option=False):
        def build(b):
            x = b.input(shape)
            if option:
                return b.finish(b.op("RESHAPE", [x], to, newShape=list(to)))
            return b.finish(b.op("RESHAPE", [x, b.ints(wanted or to)], to, newShape=list(wanted or to)))
        return build

    yield "reshape", reshape((1, 4, 3, 2), (1, 24))
    yield "reshape_inferred", reshape((2, 3, 4), (2, 2, 6), [2, -1, 6])
    yield "reshape_by_option", reshape((1, 12), (1, 2, 3, 2), option=True)

    def squeeze(shape, axes, to):
        return lambda b: b.finish(b.op("SQUEEZE", [b.input(shape)], to, squeezeDims=axes))

    yield "squeeze", squeeze((1, 1, 5, 3), [1], (1, 5, 3))
    yield "squeeze_all", squeeze((1, 4, 1, 3), [], (4, 3))
    yield "squeeze_last", squeeze((2, 6, 1), [-1], (2, 6))

    def expand(axis, to):
        return lambda b: b.finish(b.op("EXPAND_DIMS", [b.input((2, 5)), b.ints([axis])], to))

    yield "expand_dims", expand(1, (2, 1, 5))
    yield "expand_dims_last", expand(-1, (2, 5, 1))

    def slices(shape, begin, size, to):
        return lambda b: b.finish(b.op("SLICE", [b.input(shape), b.ints(begin), b.ints(size)], to))

    yield "slice", slices((1, 6, 5, 4), [0, 2, 1, 1], [1, 3, 4, 2], (1, 3, 4, 2))
    yield "slice_to_end", slices((1, 6, 5, 4), [0, 1, 0, 2], [-1, -1, 3, -1], (1, 5, 3, 2))
    yield "slice_rank_2", slices((4, 7), [1, 3], [2, 4], (2, 4))

    def strided(shape, begin, end, strides, to, **masks):
        return lambda b: b.finish(b.op(
            "STRIDED_SLICE", [b.input(shape), b.ints(begin), b.ints(end), b.ints(strides)], to, **masks))

    yield "strided_slice", strided((1, 7, 6, 3), [0, 1, 0, 0], [1, 7, 6, 3], [1, 2, 3, 1], (1, 3, 2, 3))
    yield "strided_slice_masks", strided(
        (1, 7, 6, 3), [0, 5, 2, 1], [0, 6, -1, 0], [1, 1, 1, 1], (1, 6, 3, 2), beginMask=0b0011, endMask=0b1001)
    yield "strided_slice_reversed", strided(
        (1, 5, 4, 2), [0, -1, 0, 0], [1, 0, 4, 2], [1, -2, 1, 1], (1, 3, 4, 2), endMask=0b0010)
    yield "strided_slice_shrunk", strided(
        (2, 5, 4, 3), [0, -2, 0, 0], [2, 0, 4, 3], [1, 1, 1, 1], (2, 4, 3), shrinkAxisMask=0b0010)
    yield "strided_slice_fewer", strided((3, 5, 4), [1], [3], [1], (2, 5, 4))

    def transpose(shape, perm):
        return lambda b: b.finish(b.op(
            "TRANSPOSE", [b.input(shape), b.ints(perm)], [shape[i] for i in perm]))

    yield "transpose_to_nchw", transpose((1, 3, 4, 5), [0, 3, 1, 2])
    yield "transpose_to_nhwc", transpose((1, 5, 3, 4), [0, 2, 3, 1])
    yield "transpose_reversed", transpose((2, 3, 4, 5), [3, 2, 1, 0])
    yield "transpose_matrix", transpose((4, 7), [1, 0])
    yield "transpose_rank_3", transpose((2, 3, 5), [2, 0, 1])
    yield "transpose_rank_5", transpose((1, 2, 3, 2, 4), [0, 3, 1, 4, 2])

    def tile(shape, multiples):
        return lambda b: b.finish(b.op(
            "TILE", [b.input(shape), b.ints(multiples)], [e * m for e, m in zip(shape, multiples)]))

    yield "tile", tile((1, 3, 2, 2), [1, 2, 3, 1])
    yield "tile_channels", tile((1, 2, 2, 3), [2, 1, 1, 2])
    yield "tile_vector", tile((5,), [3])


def more_shapes():
    def pack(axis, to):
        def build(b):
            x, y = b.input((2, 3, 4)), b.input((2, 3, 4))
            return b.finish(b.op("PACK", [x, y], to, version=1, valuesCount=2, axis=axis))
        return build

    yield "pack", pack(1, (2, 2, 3, 4))
    yield "pack_last", pack(-1, (2, 3, 4, 2))

    def broadcast_to(shape, to):
        return lambda b: b.finish(b.op("BROADCAST_TO", [b.input(shape), b.ints(to)], to))

    yield "broadcast_to", broadcast_to((1, 4, 1, 3), (2, 4, 5, 3))
    yield "broadcast_to_rank", broadcast_to((1, 3), (2, 4, 3))

    def filled(b):
        x = b.input((1, 2, 3, 2))
        value = b.constant((), *b.scale_of(x))
        border = b.op("FILL", [b.ints([1, 2, 1, 2]), value], (1, 2, 1, 2), *b.scale_of(x), version=3)
        return b.finish(b.op("CONCATENATION", [x, border], (1, 2, 4, 2), axis=2))

    def ranked(b):
        x = b.input((2, 3, 4))
        rank = b.node("RANK", [x], b.tensor([], 2), version=1)
        last = b.node("SUB", [rank, b.ints(1)], b.tensor([], 2), version=1)
        order = b.node("RANGE", [last, b.ints(-1), b.ints(-1)], b.tensor([3], 2), version=1)
        return b.finish(b.op("TRANSPOSE", [x, order], (4, 3, 2)))

    yield "fill_data", filled
    yield "rank_range", ranked


def parts():
    """Operators of several outputs, and those that take elements by index or block."""
    def split(shape, axis, count):
        def build(b):
            x, out = b.input(shape), list(shape)
            out[axis] //= count
            outputs = [b.value(out, *b.scale_of(x)) for _ in range(count)]
            b.node("SPLIT", [b.ints(axis), x], outputs, numSplits=count)
            return b.finish(*reversed(outputs))
        return build

    def split_v(shape, axis, sizes, written=None):
        def build(b):
            x, outputs = b.input(shape), []
            for size in sizes:
                out = list(shape)
                out[axis] = size
                outputs.append(b.value(out, *b.scale_of(x)))
            b.node("SPLIT_V", [x, b.ints(written or sizes), b.ints(axis)], outputs, numSplits=len(sizes))
            return b.finish(*outputs)
        return build

    def unpack(shape, axis):
        def build(b):
            x, out = b.input(shape), list(shape)
            count = out.pop(axis)
            outputs = [b.value(out, *b.scale_of(x)) for _ in range(count)]
            b.node("UNPACK", [x], outputs, num=count, axis=axis)
            return b.finish(*outputs)
        return build

    def gather(shape, axis, indices, to):
        return lambda b: b.finish(b.op("GATHER", [b.input(shape), b.ints(indices)], to, axis=axis))

    def block(name, shape, size, to):
        return lambda b: b.finish(b.op(name, [b.input(shape)], to, blockSize=size))

    def batched(name, shape, blocks, edges, to):
        return lambda b: b.finish(b.op(name, [b.input(shape), b.ints(blocks), b.ints(edges)], to))

    def reverse(shape, axes):
        return lambda b: b.finish(b.op("REVERSE_V2", [b.input(shape), b.ints(axes)], shape))

    yield "split_channels", split((1, 3, 4, 6), 3, 3)
    yield "split_rows", split((1, 4, 3, 2), -3, 2)
    yield "split_v", split_v((1, 3, 7, 2), 2, [1, 4, 2])
    yield "split_v_rest", split_v((2, 6), -1, [1, 3, 2], [1, -1, 2])
    yield "unpack_rows", unpack((1, 3, 4, 2), 1)
    yield "unpack_last", unpack((2, 3, 4), -1)
    yield "gather_channels", gather((1, 3, 4, 5), 3, [4, 0, 1, 1, 3], (1, 3, 4, 5))
    yield "gather_step", gather((1, 7, 2, 3), 1, [6, 4, 2], (1, 3, 2, 3))
    yield "gather_matrix", gather((2, 5, 3), -2, [[0, 1], [4, 2]], (2, 2, 2, 3))
    yield "gather_scalar", gather((1, 4, 3), 1, 2, (1, 3))
    yield "depth_to_space", block("DEPTH_TO_SPACE", (1, 2, 3, 12), 2, (1, 4, 6, 3))
    yield "depth_to_space_3", block("DEPTH_TO_SPACE", (2, 1, 2, 9), 3, (2, 3, 6, 1))
    yield "space_to_depth", block("SPACE_TO_DEPTH", (1, 4, 6, 3), 2, (1, 2, 3, 12))
    yield "space_to_batch", batched("SPACE_TO_BATCH_ND", (1, 3, 4, 2), [2, 3], [[1, 0], [0, 2]], (6, 2, 2, 2))
    yield "space_to_batch_rank_3", batched("SPACE_TO_BATCH_ND", (2, 6, 3), [2], [[0, 0]], (4, 3, 3))
    yield "batch_to_space", batched("BATCH_TO_SPACE_ND", (6, 2, 2, 2), [2, 3], [[1, 0], [0, 2]], (1, 3, 4, 2))
    yield "batch_to_space_rank_3", batched("BATCH_TO_SPACE_ND", (4, 3, 3), [2], [[0, 1]], (2, 5, 3))
    def relabelled(b):
        """The converter gives the output a scale of its own; the kernel moves codes."""
        x = b.input((1, 4, 3, 2), 1 / 40, 3)
        y = b.op("REVERSE_V2", [x, b.ints([2])], (1, 4, 3, 2), 1 / 60, -9)
        return b.finish(b.op("ADD", [y, y], (1, 4, 3, 2), 1 / 30, 0))

    yield "reverse_rows", reverse((1, 4, 3, 2), [1])
    yield "reverse_relabelled", relabelled
    yield "reverse_last", reverse((2, 5), [-1])


def several():
    def two_in_two_out(b):
        x, y = b.input((1, 4, 5, 3), 1 / 50, -5), b.input((1, 4, 5, 3), 1 / 70, 9)
        total = b.op("ADD", [x, y], (1, 4, 5, 3), 1 / 30, 2)
        product = b.op("MUL", [y, total], (1, 4, 5, 3), 1 / 25, -7)
        return b.finish(product, total)

    def inner_output(b):
        x = b.input((1, 6, 6, 2))
        first = conv(b, x, 3, (3, 3), fused="RELU")
        second = conv(b, first, 2, (3, 3), strides=(2, 2))
        return b.finish(second, first)

    def three_in(b):
        x, y = b.input((1, 3, 4, 2), 1 / 30, 1), b.input((1, 3, 4, 1), 1 / 30, 1)
        z = b.input((1, 1, 1, 3), 1 / 60, -11)
        joined = b.op("CONCATENATION", [x, y], (1, 3, 4, 3), axis=3)
        return b.finish(b.op("ADD", [joined, z], (1, 3, 4, 3), 1 / 25, 0))

    def reused(b):
        """The input is read after the first layer has run, and by two layers."""
        x = b.input((1, 5, 5, 3), 1 / 50, 3)
        y = b.op("RELU", [x], (1, 5, 5, 3))
        z = b.op("MUL", [x, y], (1, 5, 5, 3), 1 / 40, -20)
        return b.finish(b.op("SUB", [z, x], (1, 5, 5, 3), 1 / 30, 5))

    yield "two_in_two_out", two_in_two_out
    yield "inner_output", inner_output
    yield "three_in", three_in
    yield "input_reused", reused


def shape_arithmetic():
    """Integers computed from the shape of the input, as dynamic models do; folded at import."""
    ints = lambda b, name, inputs, shape, **how: b.node(name, inputs, b.tensor(shape, 2), version=1, **how)

    def packed(b):
        x = b.input((1, 4, 3, 2))
        shape = ints(b, "SHAPE", [x], [4], outType=2)
        batch = ints(b, "STRIDED_SLICE", [shape, b.ints([0]), b.ints([1]), b.ints([1])], [], shrinkAxisMask=1)
        wanted = ints(b, "PACK", [batch, b.ints(12), b.ints(2)], [3], valuesCount=3)
        return b.finish(b.op("RESHAPE", [x, wanted], (1, 12, 2)))

    def doubled(b):
        x = b.input((1, 3, 4, 2))
        shape = ints(b, "SHAPE", [x], [4], outType=2)
        rows = ints(b, "SLICE", [shape, b.ints([1]), b.ints([2])], [2])
        size = ints(b, "MUL", [rows, b.ints([2, 3])], [2])
        size = ints(b, "ADD", [size, b.ints(1)], [2])
        size = ints(b, "SUB", [size, b.ints(1)], [2])
        return b.finish(b.op("RESIZE_NEAREST_NEIGHBOR", [x, size], (1, 6, 12, 2)))

    def gathered(b):
        x = b.input((1, 4, 3, 2))
        shape = ints(b, "SHAPE", [x], [4], outType=2)
        rest = ints(b, "GATHER", [shape, b.ints([1, 2])], [2])
        flat = ints(b, "REDUCE_PROD", [rest, b.ints([0])], [1], keepDims=True)
        wanted = ints(b, "CONCATENATION", [b.ints([1]), flat, b.ints([2])], [3])
        return b.finish(b.op("RESHAPE", [x, wanted], (1, 12, 2)))

    def tiled(b):
        x = b.input((1, 2, 1, 3))
        ones = ints(b, "FILL", [b.ints([4]), b.ints(1)], [4])
        more = ints(b, "MAXIMUM", [ones, b.ints([1, 1, 2, 1])], [4])
        less = ints(b, "MINIMUM", [more, b.ints([5, 5, 5, 1])], [4])
        multiples = ints(b, "FLOOR_DIV", [ints(b, "MUL", [less, b.ints([4, 4, 8, 4])], [4]), b.ints([4, 4, 4, 4])], [4])
        return b.finish(b.op("TILE", [x, multiples], (1, 2, 4, 3)))

    def expanded(b):
        x = b.input((2, 6))
        length = ints(b, "STRIDED_SLICE", [ints(b, "SHAPE", [x], [2], outType=2), b.ints([1]), b.ints([2]), b.ints([1])], [], shrinkAxisMask=1)
        half = ints(b, "ADD", [ints(b, "FLOOR_MOD", [length, b.ints(4)], []),
                               ints(b, "FLOOR_DIV", [length, b.ints(5)], [])], [])
        vector = ints(b, "EXPAND_DIMS", [half, b.ints(0)], [1])
        begin = ints(b, "CONCATENATION", [b.ints([0]), vector], [2])
        size = ints(b, "CONCATENATION", [b.ints([2]), vector], [2])
        return b.finish(b.op("SLICE", [x, begin, size], (2, 3)))

    def summed(b):
        x = b.input((1, 4, 3, 2))
        shape = ints(b, "SHAPE", [x], [4], outType=2)
        rows = ints(b, "SUM", [ints(b, "SLICE", [shape, b.ints([1]), b.ints([1])], [1]), b.ints([0])], [1], keepDims=True)
        wide = b.node("CAST", [rows], b.tensor([1], 4), inDataType=2, outDataType=4)
        narrow = ints(b, "CAST", [wide], [1], inDataType=4, outDataType=2)
        flat = ints(b, "RESHAPE", [ints(b, "SQUEEZE", [narrow], [], squeezeDims=[0]), b.ints([1])], [1], newShape=[1])
        wanted = ints(b, "CONCATENATION", [b.ints([1]), flat, b.ints([6])], [3])
        return b.finish(b.op("RESHAPE", [x, wanted], (1, 4, 6)))

    def broadcast(b):
        x = b.input((1, 1, 3, 2))
        multiples = ints(b, "BROADCAST_ARGS", [b.ints([1, 2, 1, 1]), b.ints([1, 1, 2, 1])], [4])
        return b.finish(b.op("TILE", [x, multiples], (1, 2, 6, 2)))

    yield "shape_summed", summed
    yield "shape_broadcast", broadcast
    yield "shape_packed", packed
    yield "shape_doubled", doubled
    yield "shape_gathered", gathered
    yield "shape_tiled", tiled
    yield "shape_expanded", expanded


def cases():
    yield from concatenation()
    yield from padding()
    yield from shapes()
    yield from more_shapes()
    yield from parts()
    yield from several()
    yield from shape_arithmetic()
