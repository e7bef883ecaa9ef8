"""Builds TensorFlow Lite models of a few operators, in float32 or int8 from one description.

A tensor of the description is a number; its scale and zero point count in the
int8 form only. Weights and constants are random codes: the float form holds
the reals behind them.
"""

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

FLOAT, INT32, INT8 = 0, 2, 9
ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
SAME, VALID = 0, 1
# Options of operators whose table has another name than the operator.
OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MEAN": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "SUM": "ReducerOptions",
    "PADV2": "PadV2Options",
    "REVERSE_V2": "ReverseV2Options",
    "SPLIT_V": "SplitVOptions",
    "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions",
}
NO_OPTIONS = {
    "ELU", "LOGISTIC", "PRELU", "RELU", "RELU6", "RELU_N1_TO_1", "TANH",
    "MAXIMUM", "MINIMUM", "HARD_SWISH", "BROADCAST_ARGS", "BROADCAST_TO",
}


def serialise(model):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def parse(blob):
    return schema.ModelT.InitFromPackedBuf(blob, 0)


def quantization(scales, zero, axis=0):
    result = schema.QuantizationParametersT()
    result.scale = np.atleast_1d(np.asarray(scales, np.float32))
    result.zeroPoint = np.full(result.scale.size, zero, np.int64)
    result.quantizedDimension = axis
    return result


class Builder:
    def __init__(self, int8, seed):
        self.int8 = int8
        self.rng = np.random.default_rng(seed)
        self.graph = schema.SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "microconv golden vector"
        self.model.subgraphs = [self.graph]
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []

    def tensor(self, shape, kind, quant=None, data=None):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.quantization = list(shape), kind, quant
        tensor.name = f"t{len(self.graph.tensors)}"
        tensor.hasRank = True
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def value(self, shape, scale, zero, kind=None):
        """An activation; `kind` overrides the type of this form."""
        kind = kind if kind is not None else (INT8 if self.int8 else FLOAT)
        return self.tensor(shape, kind, quantization(scale, zero) if kind == INT8 else None)

    def input(self, shape, scale=1 / 64, zero=-5, kind=None):
        id = self.value(shape, scale, zero, kind)
        self.graph.inputs.append(id)
        return id

    def constant(self, shape, scale=1 / 64, zero=0, low=-127, axis=0):
        """Random codes with one scale, or one per slice along `axis`."""
        codes = self.rng.integers(low, 128, shape, dtype=np.int64)
        if self.int8:
            return self.tensor(shape, INT8, quantization(scale, zero, axis), codes.astype(np.int8))
        scale = np.asarray(scale, np.float32)
        if scale.size > 1:
            scale = scale.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        return self.tensor(shape, FLOAT, None, (scale * (codes - zero)).astype(np.float32))

    def bias(self, scales, spread=4000):
        scales = np.asarray(scales, np.float32)
        codes = self.rng.integers(-spread, spread, scales.size, dtype=np.int64)
        if self.int8:
            return self.tensor([scales.size], INT32, quantization(scales, 0), codes.astype(np.int32))
        return self.tensor([scales.size], FLOAT, None, (scales * codes).astype(np.float32))

    def ints(self, values):
        values = np.asarray(values, np.int32)
        return self.tensor(values.shape, INT32, None, values)

    def scale_of(self, id):
        quant = self.graph.tensors[id].quantization
        return (float(quant.scale[0]), int(quant.zeroPoint[0])) if quant else (1.0, 0)

    def shape_of(self, id):
        return tuple(self.graph.tensors[id].shape)

    def node(self, name, inputs, output, version=None, **options):
        """Appends an operator that computes the tensor `output`, or a list of them."""
        number = getattr(schema.BuiltinOperator, name)
        if version is None:
            version = VERSIONS.get(name, (1, 2))[self.int8]
        operator = self.operator(number, inputs, output, version)
        if name not in NO_OPTIONS:
            default = "".join(word.capitalize() for word in name.split("_")) + "Options"
            table = OPTIONS.get(name, default)
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, table + "T")()
            for key, value in options.items():
                if not hasattr(operator.builtinOptions, key):
                    raise KeyError(f"{table} has no {key}")
                setattr(operator.builtinOptions, key, value)
        return output

    def operator(self, number, inputs, output, version=1):
        """Appends an operator by its number, without options."""
        found = [c.builtinCode == number and c.version == version for c in self.model.operatorCodes]
        if True not in found:
            code = schema.OperatorCodeT()
            code.builtinCode, code.version = number, version
            code.deprecatedBuiltinCode = min(number, 127)
            self.model.operatorCodes.append(code)
            found.append(True)
        operator = schema.OperatorT()
        operator.opcodeIndex = found.index(True)
        operator.inputs = list(inputs)
        operator.outputs = output if isinstance(output, list) else [output]
        self.graph.operators.append(operator)
        return operator

    def op(self, name, inputs, shape, scale=None, zero=None, kind=None, **options):
        """As `node`, with a new activation; the scale of the first input unless given."""
        if scale is None:
            scale, zero = self.scale_of(inputs[0])
        return self.node(name, inputs, self.value(shape, scale, zero, kind), **options)

    def finish(self, *outputs):
        self.graph.outputs = list(outputs)
        return serialise(self.model)


# Operator versions of the float32 and of the int8 form, as the converter writes them.
VERSIONS = {
    "CONV_2D": (1, 3), "DEPTHWISE_CONV_2D": (2, 3), "FULLY_CONNECTED": (5, 5),
    "TRANSPOSE_CONV": (1, 2), "SUB": (1, 2), "RESHAPE": (1, 1), "SQUEEZE": (1, 1),
    "EXPAND_DIMS": (1, 1), "PRELU": (1, 1), "ELU": (1, 1), "HARD_SWISH": (1, 1),
    "RESIZE_BILINEAR": (3, 3), "RESIZE_NEAREST_NEIGHBOR": (3, 3), "TILE": (1, 3),
    "QUANTIZE": (1, 2), "DEQUANTIZE": (2, 2), "RELU_N1_TO_1": (1, 1),
    "SHAPE": (1, 1), "PACK": (1, 1), "FILL": (1, 1), "CAST": (1, 1), "GATHER": (1, 2),
    "REDUCE_PROD": (1, 1), "SUM": (1, 1), "MAXIMUM": (1, 1), "MINIMUM": (1, 1),
    "FLOOR_DIV": (1, 1), "FLOOR_MOD": (1, 1), "BROADCAST_ARGS": (1, 1), "BROADCAST_TO": (2, 2), "NEG": (1, 1), "DEPTH_TO_SPACE": (1, 1), "REVERSE_V2": (1, 3), "RELU": (1, 2), "RELU6": (1, 2),
}
