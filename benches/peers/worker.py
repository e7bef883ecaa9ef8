"""Builds the compared models and times them on one peer, one thread.

    worker.py build DIR            writes the models, inputs and expected outputs
    worker.py serve PEER DIR       answers `CASE<TAB>TYPE<TAB>SECONDS` lines with JSON
    worker.py chart TABLE.json CHART.png

`cargo xtask bench --peers` calls it.
"""

import json
import pathlib
import sys
import time

import numpy as np

import cases


def interpreter(path, peer):
    import tensorflow as tf

    resolver = tf.lite.experimental.OpResolverType
    kinds = {
        "XNNPACK": resolver.AUTO,
        "TFLite": resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "reference": resolver.BUILTIN_REF,
    }
    made = tf.lite.Interpreter(
        model_path=str(path), num_threads=1, experimental_op_resolver_type=kinds[peer])
    made.allocate_tensors()
    return made


def run(made, x):
    made.set_tensor(made.get_input_details()[0]["index"], x)
    made.invoke()
    return made.get_tensor(made.get_output_details()[0]["index"])


def build(folder):
    for case in cases.CASES:
        for kind in ("f32", "i8"):
            base = folder / f"{cases.file_name(case)}.{kind}"
            model = base.with_name(base.name + ".tflite")
            if not model.exists():
                model.write_bytes(cases.tflite(case, kind == "i8"))
            made = interpreter(model, "reference")
            shape = made.get_input_details()[0]["shape"]
            rng = np.random.default_rng(1)
            if kind == "i8":
                x = rng.integers(-128, 128, shape).astype(np.int8)
            else:
                x = rng.random(shape, dtype=np.float32)
            base.with_name(base.name + ".in").write_bytes(x.tobytes())
            base.with_name(base.name + ".out").write_bytes(run(made, x).tobytes())
            onnx = cases.onnx_model(case, kind == "i8")
            if onnx is not None:
                base.with_name(base.name + ".onnx").write_bytes(onnx)
        print(case, flush=True)


def shortest(call, seconds):
    """Microseconds of the shortest run: batches of about half a millisecond."""
    call()
    start = time.perf_counter()
    call()
    runs = max(1, int(5e-4 / max(time.perf_counter() - start, 1e-7)))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(runs):
            call()
        best = min(best, (time.perf_counter() - start) / runs)
    return best * 1e6


class TensorFlowLite:
    def __init__(self, peer, folder):
        self.peer, self.folder = peer, folder

    def load(self, base, kind):
        made = interpreter(base.with_name(base.name + ".tflite"), self.peer)
        detail = made.get_input_details()[0]
        x = np.frombuffer(base.with_name(base.name + ".in").read_bytes(), detail["dtype"])
        y = run(made, x.reshape(detail["shape"]))
        exact = None
        if kind == "i8":
            exact = y.tobytes() == base.with_name(base.name + ".out").read_bytes()
        return made.invoke, exact


class OnnxRuntime:
    def __init__(self, peer, folder):
        pass

    def load(self, base, kind):
        import onnxruntime

        path = base.with_name(base.name + ".onnx")
        if not path.exists():
            return None, None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        rng = np.random.default_rng(1)
        if kind == "i8":
            x = rng.integers(0, 256, given.shape).astype(np.uint8)
        else:
            x = rng.random(given.shape, dtype=np.float32)
        binding = session.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_output(session.get_outputs()[0].name)
        # Its requantisation rounds a float product: never TFLite's bits by construction.
        return lambda: session.run_with_iobinding(binding), None


def serve(peer, folder):
    backend = (OnnxRuntime if peer == "ONNX Runtime" else TensorFlowLite)(peer, folder)
    loaded = {}
    for line in sys.stdin:
        case, kind, seconds = line.rstrip("\n").split("\t")
        key = (case, kind)
        if key not in loaded:
            loaded[key] = backend.load(folder / f"{cases.file_name(case)}.{kind}", kind)
        call, exact = loaded[key]
        micros = None if call is None else shortest(call, float(seconds))
        print(json.dumps({"microseconds": micros, "exact": exact}), flush=True)


def chart(table, png):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plot

    rows = json.loads(pathlib.Path(table).read_text())["rows"]
    rows = [row for row in rows if row["case"] != "a call"]
    peers = [name for name in rows[0]["peers"]]
    figure, panels = plot.subplots(1, 2, figsize=(14, 7), sharey=True)
    for panel, kind in zip(panels, ("f32", "i8")):
        chosen = [row for row in rows if row["type"] == kind][::-1]
        height = 0.8 / len(peers)
        for i, peer in enumerate(peers):
            found = [(at, row["peers"][peer] / row["ours"])
                     for at, row in enumerate(chosen) if row["peers"][peer]]
            if found:
                ys, ratios = zip(*found)
                panel.barh([y + (i - 1) * height for y in ys], [ratio - 1 for ratio in ratios],
                           height, left=1, label=peer)
        panel.axvline(1, color="black", linewidth=1)
        panel.set_xscale("log")
        ticks = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)
        low, high = panel.get_xlim()
        panel.set_xticks([tick for tick in ticks if low <= tick <= high])
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(lambda *_: "")
        panel.set_yticks(range(len(chosen)), [row["case"] for row in chosen])
        panel.set_title(f"{kind}: the peer's time / microconv's (right of 1: microconv is faster)")
        panel.grid(axis="x", which="both", alpha=0.3)
    panels[0].legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(png, dpi=110)


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "build":
        folder = pathlib.Path(rest[0])
        folder.mkdir(parents=True, exist_ok=True)
        build(folder)
    elif command == "serve":
        serve(rest[0], pathlib.Path(rest[1]))
    else:
        chart(*rest)
