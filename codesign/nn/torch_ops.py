"""What torch can call and the hardware has: one table each of modules, functions and methods; for the rest, a hint."""

from __future__ import annotations

import inspect
import math
import operator
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import nn

from codesign.errors import ModelError
from codesign.nn.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Conv,
    Flatten,
    GlobalAverage,
    Layer,
    Linear,
    MaxPool,
    Pads,
    Relu,
    Shape,
    Window,
    show,
)
from codesign.nn.torch_hints import hint_for


class Unknown:
    """A value that is no feature map: a parameter used by itself, the frames' number, a tensor's shape."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


SHAPE, BATCH = Unknown("a tensor's shape"), Unknown("the number of frames")


class Builder(Protocol):
    """Where handlers put the layers they make."""

    def add(self, kind: type[Layer], inputs: Sequence[Any], *fields: Any) -> str: ...

    def shape(self, value: str) -> Shape: ...


# Handlers: (builder, x, ...) -> the value. Those of functions take torch's own arguments, by torch's names.


def relu(b: Builder, input: Any, inplace: bool = False) -> str:
    return b.add(Relu, [input])


def relu6(b: Builder, input: Any, inplace: bool = False) -> str:
    return b.add(Relu, [input], 6.0)


def max_pool2d(
    b: Builder,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> str:
    _need(_pair(dilation) == (1, 1), f"dilation {dilation}", "use dilation=1")
    _need(not ceil_mode, "ceil_mode=True", "use ceil_mode=False, with padding if the last rows matter")
    _need(not return_indices, "return_indices=True", "use return_indices=False")
    return b.add(MaxPool, [input], _window(kernel_size, stride, padding))


def avg_pool2d(
    b: Builder,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> str:
    _need(not ceil_mode, "ceil_mode=True", "use ceil_mode=False")
    _need(count_include_pad or _pair(padding) == (0, 0), "count_include_pad=False", "use count_include_pad=True")
    _need(divisor_override is None, f"divisor_override={divisor_override}", "leave it out")
    return b.add(AveragePool, [input], _window(kernel_size, stride, padding))


def adaptive_avg_pool2d(b: Builder, input: Any, output_size: Any) -> str:
    size = _pair(output_size)
    if size == (1, 1):
        return b.add(GlobalAverage, [input])
    _, rows, columns = _map(b, input)
    divides = None not in size and rows % size[0] == 0 and columns % size[1] == 0
    _need(divides, f"output_size {output_size} of a {rows}x{columns} map", "use sizes that divide the map's, or 1")
    window = (rows // size[0], columns // size[1])
    return b.add(AveragePool, [input], Window(window, window))


def mean(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> str:
    axes = sorted(axis % 4 for axis in _sizes(dim)) if len(_map(b, input)) == 3 else []
    _need(axes == [2, 3], f"a mean over axes {dim}", "use nn.AdaptiveAvgPool2d(1), the mean over rows and columns")
    pooled = b.add(GlobalAverage, [input])
    return pooled if keepdim else flatten(b, pooled, 1)


def flatten(b: Builder, input: Any, start_dim: int = 0, end_dim: int = -1) -> str:
    shape = b.shape(input) if isinstance(input, str) else ()
    _need(start_dim == 1, f"start_dim={start_dim}", "use flatten(x, 1), which keeps the frames apart")
    _need(end_dim in (-1, len(shape)), f"end_dim={end_dim}", "flatten all axes but the first")
    return input if len(shape) == 1 else b.add(Flatten, [input])


def view(b: Builder, input: Any, *sizes: Any) -> str:
    """`x.view(x.size(0), -1)` in its usual spellings."""
    shape = _sizes(sizes[0]) if len(sizes) == 1 else sizes
    source = b.shape(input) if isinstance(input, str) else ()
    vectors = len(shape) == 2 and (shape[0] is BATCH or shape[0] == -1) and isinstance(shape[1], int)
    _need(vectors and shape != (-1, -1), f"the new shape {shape}", "use torch.flatten(x, 1)")
    if shape[1] not in (-1, math.prod(source)):
        raise ModelError(
            f"makes vectors of {shape[1]} from a {show(source)}", hint="use frames of the size the model was made for"
        )
    return flatten(b, input, 1)


def add(b: Builder, input: Any, other: Any, *, alpha: Any = 1) -> str:
    _need(alpha == 1, f"alpha={alpha}", "use alpha=1")
    return b.add(Add, [input, other])


def dropout(b: Builder, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    return input


def contiguous(b: Builder, input: Any) -> Any:
    return input


def get_shape(b: Builder, x: Any, name: str) -> Unknown:
    _need(name == "shape", f"the attribute {name!r}", "use layers only")
    return SHAPE


def get_item(b: Builder, x: Any, index: Any) -> Any:
    _need(x is SHAPE and index == 0, "indexing", "only x.shape[0], the number of frames, may be read")
    return BATCH


def get_size(b: Builder, x: Any, dim: int | None = None) -> Any:
    _need(dim in (None, 0), f"size({dim})", "only x.size(0), the number of frames, may be read")
    return SHAPE if dim is None else BATCH


def conv(b: Builder, path: str, m: nn.Conv2d, x: Any) -> str:
    _need(_pair(m.dilation) == (1, 1), f"dilation {m.dilation}", "use dilation=1 and a larger kernel")
    _need(m.padding_mode == "zeros", f"padding_mode={m.padding_mode!r}", "use padding_mode='zeros'")
    kernel, stride = _pair(m.kernel_size), _pair(m.stride)
    window = Window(kernel, stride, _conv_pads(m.padding, kernel))
    return b.add(Conv, [x], path, window, m.in_channels, m.out_channels, m.groups)


def linear(b: Builder, path: str, m: nn.Linear, x: Any) -> str:
    return b.add(Linear, [x], path, m.in_features, m.out_features)


def batch_norm(b: Builder, path: str, m: nn.BatchNorm2d, x: Any) -> str:
    _need(m.running_mean is not None, "track_running_stats=False", "track the running statistics")
    return b.add(BatchNorm, [x], path, m.num_features)


MODULES: Mapping[type[nn.Module], Callable[[Builder, str, Any, Any], Any]] = {
    nn.Conv2d: conv,
    nn.Linear: linear,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.ReLU: lambda b, path, m, x: relu(b, x),
    nn.ReLU6: lambda b, path, m, x: relu6(b, x),
    nn.MaxPool2d: lambda b, path, m, x: max_pool2d(
        b, x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
    ),
    nn.AvgPool2d: lambda b, path, m, x: avg_pool2d(
        b, x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override
    ),
    nn.AdaptiveAvgPool2d: lambda b, path, m, x: adaptive_avg_pool2d(b, x, m.output_size),
    nn.Flatten: lambda b, path, m, x: flatten(b, x, m.start_dim, m.end_dim),
    nn.Dropout: lambda b, path, m, x: x,
    nn.Dropout1d: lambda b, path, m, x: x,
    nn.Dropout2d: lambda b, path, m, x: x,
    nn.Identity: lambda b, path, m, x: x,
}

FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    F.relu: relu,
    torch.relu: relu,
    torch.relu_: relu,
    F.relu6: relu6,
    F.max_pool2d: max_pool2d,
    torch.max_pool2d: max_pool2d,
    F.avg_pool2d: avg_pool2d,
    F.adaptive_avg_pool2d: adaptive_avg_pool2d,
    torch.flatten: flatten,
    torch.mean: mean,
    torch.add: add,
    operator.add: add,
    operator.iadd: add,
    F.dropout: dropout,
    F.dropout2d: dropout,
    getattr: get_shape,
    operator.getitem: get_item,
}

METHODS: Mapping[str, Callable[..., Any]] = {
    "relu": relu,
    "relu_": relu,
    "flatten": flatten,
    "view": view,
    "reshape": view,
    "mean": mean,
    "add": add,
    "add_": add,
    "size": get_size,
    "contiguous": contiguous,
}


def call_module(b: Builder, path: str, module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The value of `module(*args)`; raises ModelError for a module without hardware."""
    handler = MODULES.get(type(module))
    if handler is None or len(args) + len(kwargs) != 1:
        raise _unsupported(f"nn.{type(module).__name__}", type(module).__name__)
    return handler(b, path, module, *args, *kwargs.values())


def call_function(b: Builder, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    word = getattr(function, "__name__", str(function))
    return _call(b, FUNCTIONS.get(function), f"the function {word}", word, args, kwargs)


def call_method(b: Builder, word: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return _call(b, METHODS.get(word), f"the method {word}", word, args, kwargs)


def _call(b: Builder, handler: Any, what: str, word: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if handler is None:
        raise _unsupported(what, word)
    try:
        inspect.signature(handler).bind(b, *args, **kwargs)
    except TypeError as error:
        raise ModelError(f"{what} with these arguments is not supported: {error}") from error
    return handler(b, *args, **kwargs)


def _unsupported(what: str, word: str) -> ModelError:
    known = ", ".join(sorted(kind.__name__ for kind in MODULES))
    return ModelError(f"{what} is not supported", hint=hint_for(word) or f"the hardware has {known}, and x + y")


def _need(condition: bool, what: str, hint: str) -> None:
    if not condition:
        raise ModelError(f"{what} is not supported", hint=hint)


def _sizes(value: Any) -> tuple[Any, ...]:
    return tuple(typing.cast(Sequence[Any], value)) if isinstance(value, tuple | list) else ()


def _pair(value: Any) -> Any:
    return _sizes(value) or (value, value)


def _window(kernel: Any, stride: Any, padding: Any) -> Window:
    y, x = _pair(padding)
    return Window(_pair(kernel), _pair(kernel if stride in (None, [], ()) else stride), (y, x, y, x))


def _conv_pads(padding: Any, kernel: tuple[int, int]) -> Pads:
    """(top, left, bottom, right); torch's "same" puts the odd row or column at the bottom and right."""
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        y, x = kernel[0] - 1, kernel[1] - 1
        return (y // 2, x // 2, y - y // 2, x - x // 2)
    y, x = _pair(padding)
    return (y, x, y, x)


def _map(b: Builder, value: Any) -> Shape:
    shape = b.shape(value) if isinstance(value, str) else ()
    _need(len(shape) == 3, "a pool of what is no feature map", "put it before the flatten")
    return shape
