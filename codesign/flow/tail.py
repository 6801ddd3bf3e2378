"""The tail step: the layers behind the split as host C++, and proof that C++, numpy and torch give the same integers."""

# Legend: N frames; H, W rows and columns; C channels or classes.
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import codesign
from codesign.console import bar
from codesign.errors import ToolError
from codesign.files import write_tree
from codesign.flow.cascade import split_for
from codesign.flow.csim import images_of
from codesign.flow.experiment import Experiment
from codesign.flow.quantize import Answers, load_answers, load_samples, need_graph
from codesign.flow.records import file_hash, is_fresh, key_of, read_records, record, tree_hash
from codesign.ir.graph import Graph
from codesign.ir.store import load_graph
from codesign.ir.types import Codes
from codesign.ops import OPS
from codesign.passes.split import Split
from codesign.runtime.tails import NumpyTail, Tail, cpp_tails
from codesign.verify import golden

CHECK_FRAMES = 8  # golden frames in the program of `make check`
CHUNK_CODES = 1 << 22  # codes of feature maps worked on at a time, which bounds the memory
SPEED_FRAMES = 256  # frames a call where speed is measured
GENERATOR = ("ir", "ops", "passes", "plan", "emit")  # code that decides what is emitted


def tail(experiment: Experiment, *, force: bool = False, frames: int = 0) -> dict[str, Any]:
    """Emits host/ unless that is up to date, runs the first `frames` test frames (0: all), and returns section `tail`.

    Every frame's feature map comes from the golden model; the final exit's logits from compiled C++, from numpy and, where
    it is installed, from torch are held against those that `quantize` recorded.
    """
    need_graph(experiment)
    folder = experiment.folder
    cut = split_for(load_graph(folder.graph, OPS), experiment.config.exit)
    images_NHWC, answers = images_of(experiment, frames), load_answers(folder, "test")
    with experiment.locked():
        key = tail_key(experiment)
        if not force and is_fresh(folder, "tail", key, [folder.host / "host.json"]):
            experiment.say(f"tail: up to date, {folder.host}")
        else:
            _emit(experiment, cut, key)
        found = _check(experiment, cut, images_NHWC, answers)
        answer = {"host": str(folder.host), "files": len(read_records(folder)["tail"]["files"]), **found}
        folder.update_metrics("tail", answer)
    return answer


def tail_key(experiment: Experiment) -> str:
    """A hash of what the emitted files depend on, templates and the generator's own code included."""
    from codesign.emit.templates import template_folder

    folder, package, config = experiment.folder, Path(codesign.__file__).parent, experiment.config
    code = tree_hash([package / name for name in GENERATOR], (".py",))
    templates = tree_hash([template_folder() / "host"], (".j2", ".h"))
    graph = file_hash(folder.graph)
    return key_of("tail", graph=graph, name=config.name, exit=config.exit, code=code, templates=templates)


def feature_of(graph: Graph, feature: str, images_NHWC: Codes) -> Codes:
    """The codes (N, H, W, C) of one value of the whole network, from the golden model."""
    return golden.run(graph_until(graph, feature), {"image": images_NHWC})[feature]


def graph_until(graph: Graph, value: str) -> Graph:
    """The part of a network that computes one value."""
    return Graph(f"{graph.name}_until", graph.inputs, tuple(graph.keep(graph.ancestors(value))), (value,))


def _emit(experiment: Experiment, cut: Split, key: str) -> None:
    from codesign.emit.host import emit_check, emit_host, interface

    folder = experiment.folder
    whole = load_graph(folder.graph, OPS)
    features_NHWC = feature_of(whole, cut.feature, load_samples(folder)[:CHECK_FRAMES].astype(np.int64))
    wanted = golden.run(cut.tail, {"feature": features_NHWC})
    files = {
        **emit_host(cut.tail, name=cut.tail.name),
        **emit_check(interface(cut.tail, cut.tail.name), features_NHWC, wanted),
    }
    for name in read_records(folder).get("tail", {}).get("files", []):
        if name not in files:
            (folder.host / name).unlink(missing_ok=True)
    write_tree(files, folder.host)
    record(folder, "tail", key, files=sorted(files))
    experiment.say(f"tail: {len(files)} files in {folder.host}")


def _check(experiment: Experiment, cut: Split, images_NHWC: Codes, answers: Answers) -> dict[str, Any]:
    """What differs between the implementations on every frame, and how fast each is."""
    whole = load_graph(experiment.folder.graph, OPS)
    last = cut.tail.exits[-1].name
    recorded_NC = answers.codes_NC[last][: len(images_NHWC)]
    made, missing = _tails(experiment, cut)
    different, speeds, largest = dict.fromkeys(made, 0), dict[str, float](), 0
    chunk = max(1, CHUNK_CODES // whole.types[cut.feature].size)
    with bar("tail", len(images_NHWC), show=experiment.progress) as advance:
        for start in range(0, len(images_NHWC), chunk):
            part_NHWC = images_NHWC[start : start + chunk]
            features_NHWC = feature_of(whole, cut.feature, part_NHWC)
            for name, one in made.items():
                apart_NC = np.abs(one.run(features_NHWC) - recorded_NC[start : start + chunk])
                different[name] += int(apart_NC.any(axis=1).sum())
                largest = max(largest, int(apart_NC.max(initial=0)))
            speeds = speeds or {name: _images_per_s(one, features_NHWC[:SPEED_FRAMES]) for name, one in made.items()}
            advance(len(part_NHWC))
    for one in made.values():
        one.close()
    return {
        "frames": len(images_NHWC),
        "exit": last,
        "different_frames": different,
        "largest_difference": largest,
        "images_per_s": speeds,
        "missing": missing,
        "float": _against_float(answers, last, whole, len(images_NHWC)),
        "source": "measured: every frame's logit codes against those that torch recorded; seconds of this machine",
    }


def _images_per_s(one: Tail, features_NHWC: Codes) -> float:
    """Of one thread; the fastest of three calls with all of these frames."""
    seconds: list[float] = []
    for _ in range(3):
        start = time.perf_counter()
        one.run(features_NHWC)
        seconds.append(time.perf_counter() - start)
    return round(len(features_NHWC) / min(seconds), 1)


def _tails(experiment: Experiment, cut: Split) -> tuple[dict[str, Tail], dict[str, str]]:
    """The implementations that can run here, and why the others cannot."""
    made: dict[str, Tail] = {"numpy": NumpyTail(cut.tail, (cut.tail.exits[-1].logits,))}
    missing: dict[str, str] = {}
    makers: Mapping[str, Callable[[], Tail]] = {
        "cpp": lambda: cpp_tails(cut.tail, folder=experiment.folder.host / "build")(),
        "torch": lambda: _torch_tail(experiment, cut),
    }
    for name, make in makers.items():
        try:
            made[name] = make()
        except ToolError as error:
            missing[name] = str(error.what)
            experiment.say(f"tail: without {name}: {error.what}")
    return made, missing


def _torch_tail(experiment: Experiment, cut: Split) -> Any:
    """The recorded integer network in torch; raises ToolError where there is no torch or no recorded network."""
    folder = experiment.folder
    if not folder.quantized.exists():
        raise ToolError(f"there is no {folder.quantized.name}")
    try:
        from codesign.nn.quantize import load_quantized
        from codesign.nn.tail import TorchTail
    except ModuleNotFoundError as error:
        raise ToolError(f"the package {error.name} is not installed") from error
    net = load_quantized(experiment.fresh_model(), experiment.splits.shape, folder.quantized)
    return TorchTail(net, cut.feature)


def _against_float(answers: Answers, last: str, graph: Graph, frames: int) -> dict[str, float]:
    """How far the integers are from the float network: classes that agree, and logits in their own unit."""
    scale = graph.types[graph.exit(last).logits].scale or 1.0
    real_NC, codes_NC = answers.float_NC[last][:frames], answers.codes_NC[last][:frames]
    apart_NC = np.abs(codes_NC * scale - real_NC)
    return {
        "same_class": float((codes_NC.argmax(axis=1) == real_NC.argmax(axis=1)).mean()),
        "mean_difference": float(apart_NC.mean()),
        "largest_difference": float(apart_NC.max()),
    }
