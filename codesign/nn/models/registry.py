"""`build_model`: a network of the zoo, or `package.module:Class` of the user's own, with repeatable first weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import nn

from codesign.config import ModelConfig
from codesign.errors import ModelError, nearest
from codesign.nn.exits import check_model
from codesign.nn.models.lenet import LeNet5
from codesign.nn.models.mobile import mobile_cifar
from codesign.nn.models.resnet import resnet_cifar
from codesign.nn.models.vgg import vgg_cifar
from codesign.nn.objects import accepted, load_object

ZOO: Mapping[str, Callable[..., nn.Module]] = {
    "lenet5": LeNet5,
    "vgg_cifar": vgg_cifar,
    "resnet_cifar": resnet_cifar,
    "mobile_cifar": mobile_cifar,
}


def build_model(config: ModelConfig, input_shape: tuple[int, int, int], classes: int, *, seed: int = 0) -> nn.Module:
    """The network that `config` names, checked on frames of `input_shape` (H, W, C), its weights drawn from `seed`.

    A class of the user's own is called with `config.options`, and with `input_shape` and `classes` when it takes
    them. Raises ModelError for an unknown name or option, a class that cannot be imported, or a network that breaks
    the rules of `check_model`.
    """
    factory = _factory(config.name)
    arguments = {"input_shape": input_shape, "classes": classes}
    if config.name in ZOO:
        _check_options(config, factory)
    else:
        arguments = accepted(factory, arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _call(config, factory, arguments)
    if not isinstance(model, nn.Module):
        raise ModelError(f"makes a {type(model).__name__}, not a torch module", where=config.name)
    check_model(model, input_shape, classes)
    return model


def _factory(name: str) -> Callable[..., nn.Module]:
    if name in ZOO:
        return ZOO[name]
    if ":" not in name:
        hint = f"{nearest(name, ZOO)} Your own network goes by package.module:Class"
        raise ModelError(f"no network of the zoo is named {name!r}", where="model.name", hint=hint)
    factory = load_object(name, ModelError, kind="Class")
    if not callable(factory):
        raise ModelError("is not a class or a function", where=name, hint="name what makes the torch module")
    return cast(Callable[..., nn.Module], factory)


def _check_options(config: ModelConfig, factory: Callable[..., nn.Module]) -> None:
    known = [name for name in inspect.signature(factory).parameters if name not in ("input_shape", "classes")]
    for option in config.options:
        if option not in known:
            raise ModelError(f"unknown option {option!r}", where=f"model {config.name}", hint=nearest(option, known))


def _call(config: ModelConfig, factory: Callable[..., nn.Module], arguments: dict[str, Any]) -> Any:
    try:
        return factory(**arguments, **config.options)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"cannot be built with options {dict(config.options)}: {error}",
            where=config.name,
            hint="check [model.options] against the class's arguments",
        ) from error
