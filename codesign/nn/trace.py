"""torch -> layers: a network with exits traced by torch.fx into the layers that the hardware has, or one clear error."""

from __future__ import annotations

import re
import typing
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_arg

from codesign.errors import ModelError
from codesign.nn.exits import Exit, exits_of
from codesign.nn.layers import IMAGE, ExitLogits, Layer, Network, Shape, infer
from codesign.nn.torch_ops import Builder, Unknown, call_function, call_method, call_module


def trace(model: nn.Module, input_shape: tuple[int, int, int]) -> Network:
    """The layers of `model` on frames of `input_shape` (H, W, C), checked shape by shape.

    A layer is named after its module's path; an operation such as `+` after the module whose forward has it. Dropout
    and identities are left out. Raises ModelError for an operation without hardware, a forward that branches on data,
    outputs that are not the exits, sizes that do not fit, and weights that are NaN or infinite.
    """
    names = exits_of(model)
    where = type(model).__name__
    check_finite(model)
    tracer, graph = run_fx(model)
    H, W, C = input_shape
    interpreter = _Interpreter(model, where, (C, H, W))
    outputs = interpreter.run(graph)
    exits = [e for e in model.modules() if isinstance(e, Exit)]
    seen = [interpreter.values.get(tracer.results[e]) if e in tracer.results else None for e in exits]
    if outputs != seen:
        raise ModelError(
            f"forward does not return the exits {', '.join(names)} in this order",
            where=where,
            hint="return the output of every Exit once, unchanged, in the order in which they are defined",
        )
    points = tuple(ExitLogits(name, str(value)) for name, value in zip(names, outputs, strict=True))
    network = Network(where, (C, H, W), tuple(interpreter.layers), points)
    _check_logits(network)
    return network


def check_finite(model: nn.Module) -> None:
    """Raises ModelError for a parameter or buffer that is NaN or infinite."""
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"{name} holds NaN or infinity",
                where=type(model).__name__,
                hint="train again with a lower learning rate, or load other weights",
            )


class _Tracer(fx.Tracer):
    """Looks into every module but torch's own layers, and remembers which node each Exit returned."""

    def __init__(self) -> None:
        super().__init__()
        self.results: dict[nn.Module, fx.Node] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict, Exit)
        return type(m).__module__.startswith("torch.nn") and not isinstance(m, containers)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        result = super().call_module(m, forward, args, kwargs)
        if isinstance(m, Exit) and isinstance(result, fx.Proxy):
            self.results[m] = result.node
        return result


def run_fx(model: nn.Module) -> tuple[_Tracer, fx.Graph]:
    """The fx graph of the model as it is in evaluation; every module keeps the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    tracer = _Tracer()
    try:
        model.eval()
        return tracer, tracer.trace(model)
    except Exception as error:
        raise ModelError(
            f"cannot be traced: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            where=type(model).__name__,
            hint="forward must not branch on, loop over or print tensor values, and takes one argument, the frames",
        ) from error
    finally:
        for module, training in modes:
            module.training = training


class _Interpreter(Builder):
    """Walks an fx graph and adds a layer for every operation."""

    def __init__(self, model: nn.Module, where: str, shape: Shape) -> None:
        self.layers: list[Layer] = []
        self.values: dict[fx.Node, Any] = {}
        self._model, self._where = model, where
        self._shapes: dict[str, Shape] = {IMAGE: shape}
        self._used = {IMAGE}
        self._place = ""  # of the operation at hand: the module's path, or the path and the operation's word

    def run(self, graph: fx.Graph) -> list[Any]:
        """The values that forward returns."""
        for node in graph.nodes:
            if node.op == "output":
                return self._outputs(self._argument(node.args[0]))
            if node.users or node.op == "placeholder":
                self.values[node] = self._value(node)
        raise AssertionError("fx graphs end in an output")

    def add(self, kind: type[Layer], inputs: Sequence[Any], *fields: Any) -> str:
        """Adds a layer of `kind` that reads `inputs`, and returns its name."""
        for value in inputs:
            if not isinstance(value, str):
                raise ModelError(
                    f"reads {value!r}, which is not a feature map",
                    where=f"{self._where}.{self._place}",
                    hint="constants and parameters belong inside layers such as nn.Conv2d and nn.Linear",
                )
        layer = kind(self._unique(self._place), tuple(inputs), *fields)
        self._shapes[layer.name] = infer(layer, self._shapes, self._where)
        self.layers.append(layer)
        return layer.name

    def shape(self, value: str) -> Shape:
        return self._shapes[value]

    def _value(self, node: fx.Node) -> Any:
        args = [self._argument(a) for a in node.args]
        kwargs = {name: self._argument(a) for name, a in node.kwargs.items()}
        self._place = _place(node)
        try:
            match node.op:
                case "placeholder":
                    return IMAGE
                case "get_attr":
                    return Unknown(f"the parameter {node.target}")
                case "call_module":
                    module = self._model.get_submodule(str(node.target))
                    return call_module(self, str(node.target), module, args, kwargs)
                case "call_function":
                    return call_function(self, node.target, args, kwargs)
                case _:
                    return call_method(self, str(node.target), args, kwargs)
        except ModelError as error:
            raise ModelError(
                error.what, where=error.where or f"{self._where}.{self._place}", hint=error.hint
            ) from error

    def _argument(self, value: Any) -> Any:
        return map_arg(value, lambda node: self.values[node])

    def _outputs(self, value: Any) -> list[Any]:
        if isinstance(value, tuple | list):
            return list(typing.cast(Sequence[Any], value))
        raise ModelError(
            "forward does not return a tuple of logits",
            where=self._where,
            hint="return (exit1_logits, ..., final_logits), or (logits,) for a single exit",
        )

    def _unique(self, place: str) -> str:
        name, count = legal_name(place), 1
        while name in self._used:
            count += 1
            name = f"{legal_name(place)}_{count}"
        self._used.add(name)
        return name


def legal_name(path: str) -> str:
    """A module's path as a name of the graph: letters, digits, _ and inner dots, not starting with a digit."""
    parts = [re.sub(r"\W", "_", part, flags=re.ASCII) for part in path.split(".") if part] or ["layer"]
    return ".".join([f"layer{parts[0]}" if parts[0][0].isdigit() else parts[0], *parts[1:]])


def _place(node: fx.Node) -> str:
    """The module's path; for an operation, the path of the module whose forward has it, and the operation's word."""
    if node.op == "call_module":
        return str(node.target)
    stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    scope = next(reversed(stack.values()))[0] if stack else ""
    word = re.sub(r"_+\d*$", "", node.name).lstrip("_")
    return f"{scope}.{word}" if scope else word


def _check_logits(network: Network) -> None:
    shapes = network.shapes
    width = shapes[network.exits[-1].logits][0]
    for point in network.exits:
        shape = shapes[point.logits]
        if point.logits == IMAGE or len(shape) != 1 or shape[0] != width:
            raise ModelError(
                f"its logits have shape {shape}, not ({width},)"
                if len(shape) == 1
                else f"its logits are a map {shape}",
                where=f"{network.name}.{point.name}",
                hint="end every head in nn.Flatten() and nn.Linear(..., classes)",
            )
