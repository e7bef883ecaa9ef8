"""Expected outputs: TensorFlow Lite's reference kernels, operator by operator where needed.

Three int8 operators are computed here and not by those kernels:

* FULLY_CONNECTED, by TensorFlow Lite Micro's integer arithmetic (doubling high
  multiply, then a rounding shift), which is what microconv promises: a
  microcontroller has no double, and TFLite's reference rounds a double there;
* TILE and REVERSE_V2 of version 3, which the reference kernels refuse: repetition
  and reversal of the codes.

ELU is not among the reference kernels; TFLite's only kernel for it is used.

A model with one of these is run an operator at a time, each other operator
as a model of its own on the reference kernels.
"""

import math

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from flatbuffer import INT8, parse, serialise

FULLY_CONNECTED, TILE = schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.TILE
ELU, REVERSE = schema.BuiltinOperator.ELU, schema.BuiltinOperator.REVERSE_V2
REFERENCE = tf.lite.experimental.OpResolverType.BUILTIN_REF
ALL_KERNELS = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
DTYPES = {0: np.float32, 2: np.int32, 4: np.int64, 6: np.bool_, 9: np.int8}


def expected(blob, inputs):
    """Outputs of a model, in its order, for one array per input."""
    model = parse(blob)
    operators = model.subgraphs[0].operators
    if any(by_hand(model, o) or code_of(model, o) == ELU for o in operators):
        return stepped(model, inputs)
    return interpreted(blob, inputs)


def code_of(model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def by_hand(model, operator):
    kind = model.subgraphs[0].tensors[operator.inputs[0]].type
    return kind == INT8 and code_of(model, operator) in (FULLY_CONNECTED, REVERSE, TILE)


def interpreted(blob, inputs, kernels=REFERENCE):
    interpreter = tf.lite.Interpreter(model_content=blob, experimental_op_resolver_type=kernels)
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        if tuple(detail["shape"]) != value.shape:
            interpreter.resize_tensor_input(detail["index"], value.shape)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]).copy() for d in interpreter.get_output_details()]


def stepped(model, inputs):
    graph = model.subgraphs[0]
    values = dict(zip(graph.inputs, inputs, strict=True))
    for id, tensor in enumerate(graph.tensors):
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            array = np.frombuffer(bytes(data), DTYPES[tensor.type])
            shape = tensor.shape if tensor.shape is not None else []
            values[id] = array.reshape(list(shape))
    for operator in graph.operators:
        if not by_hand(model, operator):
            results = alone(model, operator, values)
        elif code_of(model, operator) == TILE:
            results = [np.tile(values[operator.inputs[0]], values[operator.inputs[1]])]
        elif code_of(model, operator) == REVERSE:
            results = [np.flip(values[operator.inputs[0]], tuple(values[operator.inputs[1]]))]
        else:
            results = [fully_connected(graph, operator, values)]
        values.update(zip(operator.outputs, results, strict=True))
    return [values[id] for id in graph.outputs]


def alone(model, operator, values):
    """Runs one operator on the reference kernels."""
    graph = model.subgraphs[0]
    single, only = schema.ModelT(), schema.SubGraphT()
    single.version, single.operatorCodes = 3, [model.operatorCodes[operator.opcodeIndex]]
    single.buffers, single.subgraphs = [schema.BufferT()], [only]
    only.tensors, only.inputs, given, places = [], [], [], {}
    for id in [*operator.inputs, *operator.outputs]:
        if id < 0 or id in places:
            continue
        tensor, source = schema.TensorT(), graph.tensors[id]
        tensor.type, tensor.quantization, tensor.name = source.type, source.quantization, source.name
        tensor.hasRank, tensor.shape = True, source.shape
        places[id] = len(only.tensors)
        only.tensors.append(tensor)
        if id not in operator.inputs:
            continue
        tensor.shape = list(values[id].shape)
        data = model.buffers[source.buffer].data
        if data is not None and len(data):
            single.buffers.append(model.buffers[source.buffer])
            tensor.buffer = len(single.buffers) - 1
        else:
            only.inputs.append(places[id])
            given.append(values[id])
    step = schema.OperatorT()
    step.builtinOptionsType, step.builtinOptions = operator.builtinOptionsType, operator.builtinOptions
    step.inputs = [places.get(id, -1) for id in operator.inputs]
    step.outputs = [places[id] for id in operator.outputs]
    only.operators, only.outputs = [step], step.outputs
    kernels = ALL_KERNELS if code_of(model, operator) == ELU else REFERENCE
    return interpreted(serialise(single), given, kernels)


def fully_connected(graph, operator, values):
    x, weights = values[operator.inputs[0]], values[operator.inputs[1]]
    bias = values[operator.inputs[2]] if len(operator.inputs) > 2 and operator.inputs[2] >= 0 else 0
    options = operator.builtinOptions
    quant = [graph.tensors[id].quantization for id in (*operator.inputs[:2], operator.outputs[0])]
    s_in, s_out = float(quant[0].scale[0]), float(quant[2].scale[0])
    zero_in, zero_out = int(quant[0].zeroPoint[0]), int(quant[2].zeroPoint[0])
    units, depth = weights.shape
    rows = x.astype(np.int64).reshape(-1, depth) - zero_in
    sums = rows @ weights.astype(np.int64).T + bias
    scales = np.broadcast_to(np.asarray(quant[1].scale, np.float64), units)
    codes = np.empty(sums.shape, np.int64)
    for unit in range(units):
        multiplier, shift = quantised_multiplier(s_in * scales[unit] / s_out)
        codes[:, unit] = [rescale(int(value), multiplier, shift) for value in sums[:, unit]]
    low, high = {
        0: (-math.inf, math.inf), 1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0),
    }[options.fusedActivationFunction]
    code = lambda real: zero_out + round_half_away(np.float32(real) / np.float32(s_out))
    low = -128 if low == -math.inf else max(-128, code(low))
    high = 127 if high == math.inf else min(127, code(high))
    codes = np.clip(codes + zero_out, low, high).astype(np.int8)
    leading = x.shape[:-1] if options.keepNumDims else (rows.shape[0],)
    return codes.reshape(*leading, units)


def round_half_away(real):
    return int(math.copysign(math.floor(abs(real) + 0.5), real))


def quantised_multiplier(real):
    fraction, shift = math.frexp(real)
    multiplier = round_half_away(fraction * 2**31)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (multiplier, shift) if shift >= -31 else (0, 0)


def rescale(value, multiplier, shift):
    """TFLite's MultiplyByQuantizedMultiplier with its two roundings."""
    product = (value << max(shift, 0)) * multiplier
    nudge = 2**30 if product >= 0 else 1 - 2**30
    # The division of C: towards zero.
    high = abs(product + nudge) // 2**31 * (1 if product + nudge >= 0 else -1)
    right = max(-shift, 0)
    mask = (1 << right) - 1
    remainder, threshold = high & mask, (mask >> 1) + (1 if high < 0 else 0)
    return (high >> right) + (1 if remainder > threshold else 0)
