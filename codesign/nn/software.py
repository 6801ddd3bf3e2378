"""The trained network as plain software, to measure against: torch eager, and ONNX Runtime where it is installed."""

# Legend: N frames; M frames that go on; H, W, C rows, columns, channels.

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.fx.node import map_arg

from codesign.errors import ModelError
from codesign.nn.data.frames import to_tensor
from codesign.nn.threads import torch_threads
from codesign.nn.trace import run_fx

Runner = Callable[[NDArray[Any]], NDArray[Any]]
Stops = Callable[[torch.Tensor], torch.Tensor]  # logits of an exit (N, classes) -> which frames stop there (N,)

ONNX_PACKAGES = ("onnxruntime", "onnx", "onnxscript")  # the runtime, and what torch needs to write the file


@contextmanager
def eager(threads: int = 1) -> Generator[None]:
    """Torch as a careful user runs a trained network: no gradients, and one thread where a network gains nothing from more."""
    with torch_threads(threads), torch.inference_mode():
        yield


def torch_runner(model: nn.Module) -> Runner:
    """Final logits of uint8 images by the model as it is."""
    model.eval()
    return lambda images_NHWC: model(to_tensor(images_NHWC))[-1].numpy()


def torch_cascade(model: nn.Module, exit_: int, stops: Stops) -> Runner:
    """The same early exit in torch: all frames up to exit number `exit_`, the layers behind it for those that go on.

    Raises ModelError where more than one value crosses that cut.
    """
    head, tail = cut_module(model, exit_)

    def run(images_NHWC: NDArray[Any]) -> NDArray[Any]:
        logits, features = head(to_tensor(images_NHWC))
        goes_on = ~stops(logits)
        if bool(goes_on.any()):
            logits[goes_on] = tail(features[goes_on])
        return logits.numpy()

    return run


def stops_by(criterion: str, threshold: float) -> Stops:
    """Which frames stop, in float: entropy in nats below the threshold, probability or margin of the logits above it."""

    def entropy(logits: torch.Tensor) -> torch.Tensor:
        log_p = logits.log_softmax(1)
        return -(log_p.exp() * log_p).sum(1) < threshold

    def probability(logits: torch.Tensor) -> torch.Tensor:
        return logits.softmax(1).amax(1) > threshold

    def margin(logits: torch.Tensor) -> torch.Tensor:
        first_two = logits.topk(2, 1).values
        return first_two[:, 0] - first_two[:, 1] > threshold

    return {"entropy": entropy, "max-probability": probability, "margin": margin}[criterion]


def cut_module(model: nn.Module, exit_: int) -> tuple[nn.Module, nn.Module]:
    """The model up to an exit, giving its logits and the value at the branch; and from there to the final logits."""
    model.eval()
    _, graph = run_fx(model)
    outputs: Any = graph.output_node().args[0]
    needs_head, needs_final = _needs(outputs[exit_]), _needs(outputs[-1])
    behind = [node for node in graph.nodes if node in needs_final and node not in needs_head]
    crossing = {source for node in behind for source in node.all_input_nodes if source in needs_head}
    if len(crossing) != 1:
        raise ModelError(f"{len(crossing)} values cross the cut behind exit {exit_}", where=type(model).__name__)
    (branch,) = crossing
    before = [node for node in graph.nodes if node in needs_head]
    return _module(model, before, (outputs[exit_], branch)), _module(model, behind, outputs[-1], branch)


def missing_for_onnx() -> list[str]:
    """Packages that `onnx_runner` needs and that are not installed."""
    return [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]


def onnx_runner(model: nn.Module, shape: tuple[int, int, int], threads: int = 1) -> Runner:
    """Final logits of uint8 images by ONNX Runtime on the CPU; `missing_for_onnx` must be empty."""
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(_onnx(model, shape), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images_NHWC: NDArray[Any]) -> NDArray[Any]:
        return session.run(None, {name: to_tensor(images_NHWC).numpy()})[0]

    return run


class _Final(nn.Module):
    """The final exit alone: an exported graph leaves out what only earlier exits need."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)[-1]


def _onnx(model: nn.Module, shape: tuple[int, int, int]) -> bytes:
    H, W, C = shape
    content, frames = io.BytesIO(), torch.export.Dim("frames")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.zeros(2, C, H, W),)
        program: Any = torch.onnx.export(
            _Final(model).eval(), example, dynamo=True, dynamic_shapes=({0: frames},), verbose=False
        )
    program.save(content)
    return content.getvalue()


def _needs(node: fx.Node) -> set[fx.Node]:
    """The node and all that it is computed from."""
    found, todo = set[fx.Node](), [node]
    while todo:
        if (each := todo.pop()) not in found:
            found.add(each)
            todo += each.all_input_nodes
    return found


def _module(model: nn.Module, nodes: list[fx.Node], output: Any, x: fx.Node | None = None) -> nn.Module:
    """The nodes as a module of their own; it takes `x` where given, else what the model takes."""
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    if x is not None:
        copies[x] = graph.placeholder("x")

    def copied(node: fx.Node) -> fx.Node:
        return copies[node]

    for node in nodes:
        copies[node] = graph.node_copy(node, copied)
    graph.output(map_arg(output, copied))
    return fx.GraphModule(model, graph).eval()
