"""Tracing: which layers come out under which names, and one clear error for everything without hardware."""

import math

import pytest
import torch
import torch.nn.functional as F
from nets import Chain, Tutorial, head
from torch import nn

from codesign.errors import ModelError
from codesign.nn.exits import Exit, MultiExit
from codesign.nn.fuse import fuse
from codesign.nn.layers import AveragePool, Conv, GlobalAverage, MaxPool, Relu, Window
from codesign.nn.trace import legal_name, trace

torch.set_num_threads(1)


def layers_of(module, shape=(8, 8, 2)):
    """The traced layers of an exit's head, the final flatten and linear left out."""
    return trace(Chain(nn.Sequential(module, nn.AdaptiveAvgPool2d(1), nn.Flatten())), shape).layers[:-2]


def refused(module, shape=(8, 8, 2)):
    with pytest.raises(ModelError) as caught:
        trace(module if isinstance(module, MultiExit) else Chain(nn.Sequential(module, nn.Flatten())), shape)
    return caught.value


def test_layers_are_named_after_their_modules_and_functions_after_where_they_are_called():
    network = trace(Tutorial(), (14, 20, 1))

    assert [(layer.name, type(layer).__name__, layer.inputs) for layer in network.layers] == [
        ("conv1", "Conv", ("image",)),
        ("max_pool2d", "MaxPool", ("conv1",)),
        ("relu", "Relu", ("max_pool2d",)),
        ("conv2", "Conv", ("relu",)),
        ("max_pool2d_2", "MaxPool", ("conv2",)),
        ("relu_2", "Relu", ("max_pool2d_2",)),
        ("view", "Flatten", ("relu_2",)),
        ("fc1", "Linear", ("view",)),
        ("relu_3", "Relu", ("fc1",)),
        ("fc2.head", "Linear", ("relu_3",)),
    ]
    assert [(e.name, e.logits) for e in network.exits] == [("final", "fc2.head")]
    assert network.shapes["view"] == (6 * 2 * 3,)


def test_fusing_moves_relus_in_front_of_pools_and_folds_them():
    steps = fuse(trace(Tutorial(), (14, 20, 1))).steps

    assert [(s.name, s.relu, s.rounds) for s in steps] == [
        ("conv1", True, True),
        ("max_pool2d", False, False),
        ("conv2", True, True),
        ("max_pool2d_2", False, False),
        ("view", False, False),
        ("fc1", True, True),
        ("fc2.head", False, True),
    ]


@pytest.mark.parametrize(
    ("module", "window"),
    [
        (nn.Conv2d(2, 3, (3, 2), (2, 1), padding=(1, 0)), Window((3, 2), (2, 1), (1, 0, 1, 0))),
        (nn.Conv2d(2, 3, 4, padding="same"), Window((4, 4), (1, 1), (1, 1, 2, 2))),
        (nn.Conv2d(2, 3, 3, padding="valid"), Window((3, 3))),
        (nn.MaxPool2d((2, 3)), Window((2, 3), (2, 3))),
        (nn.AvgPool2d(3, 1, padding=1), Window((3, 3), (1, 1), (1, 1, 1, 1))),
        (nn.AdaptiveAvgPool2d((2, 4)), Window((4, 2), (4, 2))),
    ],
)
def test_windows_keep_torchs_kernel_stride_and_padding(module, window):
    (layer,) = layers_of(module)

    assert isinstance(layer, Conv | MaxPool | AveragePool)
    assert layer.window == window
    assert layer.infer((2, 8, 8))[1:] == tuple(module(torch.zeros(1, 2, 8, 8)).shape[2:])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.view(x.size(0), -1),
        lambda x: x.view(-1, 128),
        lambda x: x.reshape(x.shape[0], -1),
        lambda x: x.reshape((x.size()[0], -1)),
        lambda x: torch.flatten(x, 1),
        lambda x: torch.flatten(x, start_dim=1),
        lambda x: x.flatten(1).contiguous().flatten(1),
    ],
)
def test_every_usual_way_to_flatten_is_one_flatten(function):
    class Net(MultiExit):
        def __init__(self):
            super().__init__()
            self.last = Exit(nn.Linear(128, 3))

        def forward(self, x):
            return (self.last(function(x)),)

    kinds = [type(layer).__name__ for layer in trace(Net(), (8, 8, 2)).layers]
    assert kinds == ["Flatten", "Linear"]


@pytest.mark.parametrize(
    ("function", "kind", "count"),
    [
        (lambda x: F.relu6(F.relu(x, inplace=True)), Relu, 2),
        (lambda x: x.relu(), Relu, 1),
        (lambda x: x.mean((2, 3), keepdim=True), GlobalAverage, 1),
        (lambda x: x.mean(dim=[-1, -2], keepdim=True), GlobalAverage, 1),
        (lambda x: F.adaptive_avg_pool2d(x, 1), GlobalAverage, 1),
        (lambda x: F.avg_pool2d(x, kernel_size=2), AveragePool, 1),
        (lambda x: F.max_pool2d(x, 2, stride=1, padding=1), MaxPool, 1),
    ],
)
def test_functions_become_the_layers_of_their_modules(function, kind, count):
    layers = layers_of(Function(function))

    assert [type(layer) for layer in layers] == [kind] * count


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_dropout_and_identity_leave_nothing_behind_and_relu6_has_its_height():
    layers = layers_of(nn.Sequential(nn.Identity(), nn.Dropout2d(), nn.Conv2d(2, 2, 1), nn.Dropout(), nn.ReLU6()))

    assert [type(layer).__name__ for layer in layers] == ["Conv", "Relu"]
    assert layers[1].high == 6.0
    assert Relu("r", ()).high == math.inf


@pytest.mark.parametrize(
    ("module", "what", "hint"),
    [
        (nn.Sigmoid(), "nn.Sigmoid is not supported", "use nn.ReLU or nn.ReLU6"),
        (nn.GELU(), "nn.GELU is not supported", "use nn.ReLU or nn.ReLU6"),
        (nn.Hardswish(), "nn.Hardswish is not supported", "use nn.ReLU or nn.ReLU6"),
        (nn.LeakyReLU(), "nn.LeakyReLU is not supported", "use nn.ReLU or nn.ReLU6"),
        (nn.GroupNorm(1, 2), "nn.GroupNorm is not supported", "use nn.BatchNorm2d"),
        (nn.LayerNorm(8), "nn.LayerNorm is not supported", "use nn.BatchNorm2d"),
        (nn.Softmax(1), "nn.Softmax is not supported", "an exit takes logits"),
        (nn.ConvTranspose2d(2, 2, 2), "nn.ConvTranspose2d is not supported", "use nn.Conv2d"),
        (nn.LSTM(8, 8), "nn.LSTM is not supported", "use convolutions, pools, linear layers and adds"),
        (nn.Unfold(2), "nn.Unfold is not supported", "the hardware has AdaptiveAvgPool2d, AvgPool2d"),
        (nn.Conv2d(2, 2, 3, dilation=2), "dilation (2, 2) is not supported", "a larger kernel"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'", "padding_mode='zeros'"),
        (nn.MaxPool2d(3, ceil_mode=True), "ceil_mode=True is not supported", "use ceil_mode=False"),
        (nn.AvgPool2d(3, padding=1, count_include_pad=False), "count_include_pad=False", "count_include_pad=True"),
        (nn.AdaptiveAvgPool2d(3), "output_size 3 of a 8x8 map", "sizes that divide"),
        (nn.Flatten(0), "start_dim=0 is not supported", "flatten(x, 1)"),
        (nn.BatchNorm2d(2, track_running_stats=False), "track_running_stats=False", "running statistics"),
    ],
)
def test_a_module_without_hardware_is_named_with_what_to_use_instead(module, what, hint):
    error = refused(module)

    assert error.where == "Chain.exit1.head.0"
    assert what in error.what
    assert hint in error.hint


@pytest.mark.parametrize(
    ("function", "what", "hint"),
    [
        (torch.sigmoid, "the function sigmoid is not supported", "use nn.ReLU"),
        (lambda x: x.tanh(), "the method tanh is not supported", "use nn.ReLU"),
        (lambda x: torch.cat([x, x], 1), "the function cat is not supported", "add the branches instead (x + y)"),
        (lambda x: x * x, "the function mul is not supported", "nn.BatchNorm2d"),
        (lambda x: x - x, "the function sub is not supported", "only x + y"),
        (lambda x: x + 1, "reads 1, which is not a feature map", "constants and parameters belong inside layers"),
        (lambda x: torch.add(x, x, alpha=2), "alpha=2 is not supported", "use alpha=1"),
        (lambda x: x.permute(0, 2, 3, 1), "the method permute is not supported", "(N, C, H, W)"),
        (lambda x: x.view(x.size(0), 4, -1), "the new shape", "torch.flatten(x, 1)"),
        (lambda x: x.view(-1, 100), "makes vectors of 100 from a 8x8 map of 2 channels", "frames of the size"),
        (lambda x: x.mean(), "a mean over axes None", "nn.AdaptiveAvgPool2d(1)"),
        (lambda x: x[:, :1], "indexing is not supported", "x.shape[0]"),
        (lambda x: F.softmax(x, dim=1), "the function softmax is not supported", "an exit takes logits"),
        (lambda x: x.mean((2, 3), dtype=torch.float64), "with these arguments is not supported", ""),
    ],
)
def test_a_function_without_hardware_is_named_where_it_is_called(function, what, hint):
    error = refused(Function(function))

    assert error.where.startswith("Chain.exit1.head.0.")
    assert what in error.what
    assert hint in error.hint


def test_a_parameter_used_by_itself_is_refused():
    class Bias(nn.Module):
        def __init__(self):
            super().__init__()
            self.offset = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return x + self.offset

    assert "reads the parameter exit1.head.0.offset" in refused(Bias()).what


def test_a_forward_that_branches_on_data_is_refused():
    error = refused(Function(lambda x: x if x.sum() > 0 else -x))

    assert error.what.startswith("cannot be traced: symbolically traced variables")
    assert "must not branch on" in error.hint


@pytest.mark.parametrize(
    ("module", "where", "what", "hint"),
    [
        (
            head(100),
            "exit1.head.0.1",
            "takes 100 inputs but gets a vector of 128 (frames are 8x8x2)",
            "in_features=128",
        ),
        (nn.Linear(8, 4), "exit1.head.0", "needs a vector but gets a 8x8 map of 2 channels", "nn.Flatten()"),
        (nn.Conv2d(3, 4, 3), "exit1.head.0", "takes 3 channels but gets a 8x8 map of 2 channels", "in_channels"),
        (nn.Conv2d(2, 4, 9), "exit1.head.0", "its 9x9 kernel is larger than its input", "larger frames"),
        (nn.BatchNorm2d(3), "exit1.head.0", "takes 3 channels but gets a 8x8 map of 2 channels", "num_features"),
        (nn.Sequential(nn.Flatten(), nn.MaxPool2d(2)), "exit1.head.0.1", "needs a feature map", "before the flatten"),
    ],
)
def test_sizes_that_do_not_fit_name_the_layer_and_what_it_got(module, where, what, hint):
    error = refused(module)

    assert error.where == f"Chain.{where}"
    assert what in error.what
    assert hint in error.hint


class Two(MultiExit):
    def __init__(self, order):
        super().__init__()
        self.order = order
        self.first, self.second = Exit(head(128)), Exit(head(128))

    def forward(self, x):
        return self.order(self.first(x), self.second(x))


@pytest.mark.parametrize(
    ("order", "what"),
    [
        (lambda a, b: (b, a), "does not return the exits exit1, final in this order"),
        (lambda a, b: (a,), "does not return the exits exit1, final in this order"),
        (lambda a, b: (a, b + b), "does not return the exits exit1, final in this order"),
        (lambda a, b: b, "does not return a tuple of logits"),
    ],
)
def test_outputs_must_be_the_exits(order, what):
    assert what in refused(Two(order)).what


def test_logits_must_be_vectors_of_one_width():
    assert "its logits are a map (2, 6, 6)" in refused(Chain(nn.Conv2d(2, 2, 3))).what
    error = refused(Chain(head(128, 3), head(128, 4)))
    assert (error.where, error.what) == ("Chain.exit1", "its logits have shape (3,), not (4,)")


def test_weights_that_are_nan_are_named():
    model = Chain(head(128))
    model.exit1.head[1].weight.data[1, 2] = math.nan

    error = refused(model)
    assert (error.where, error.what) == ("Chain", "exit1.head.1.weight holds NaN or infinity")


def test_a_model_without_exits_is_refused():
    with pytest.raises(ModelError, match="no exit"):
        trace(nn.Linear(4, 2), (1, 1, 4))


def test_tracing_leaves_every_module_in_its_mode():
    model = Tutorial().train()
    model.drop.eval()
    trace(model, (14, 20, 1))

    assert model.training
    assert not model.drop.training


@pytest.mark.parametrize(
    ("path", "name"),
    [("stem.0", "stem.0"), ("0.conv", "layer0.conv"), ("a.b c", "a.b_c"), ("", "layer"), ("é.1", "_.1")],
)
def test_names_are_legal(path, name):
    assert legal_name(path) == name


@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "size", "used"),
    [(3, 2, 1, 32, (1, 1, 0, 0)), (3, 2, 1, 31, (1, 1, 1, 1)), (2, 3, 1, 5, (1, 1, 0, 0)), (1, 1, 2, 4, (2, 2, 2, 2))],
)
def test_padding_that_no_window_reaches_is_dropped(kernel, stride, pads, size, used):
    window = Window((kernel, kernel), (stride, stride), (pads,) * 4)

    assert window.used_pads((1, size, size)) == used
    assert Window(window.kernel, window.stride, used).infer((1, size, size), 1) == window.infer((1, size, size), 1)
