"""What to use instead of the torch operations that the hardware has not."""

from __future__ import annotations

from collections.abc import Mapping

_RELU = "use nn.ReLU or nn.ReLU6"
_NORM = "use nn.BatchNorm2d, which is folded into the layer before it"
_CHAIN = "use convolutions, pools, linear layers and adds; nothing with memory or attention fits the pipeline"

# By the word in lower case without underscores, for modules, functions and methods alike.
HINTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("sigmoid", "tanh", "gelu", "silu", "swish", "hardswish", "hardsigmoid", "hardtanh", "mish"), _RELU
    ),
    **dict.fromkeys(("leakyrelu", "prelu", "elu", "selu", "celu", "softplus", "rrelu", "softsign", "clamp"), _RELU),
    **dict.fromkeys(("layernorm", "groupnorm", "instancenorm2d", "localresponsenorm", "batchnorm", "rmsnorm"), _NORM),
    **dict.fromkeys(("lstm", "gru", "rnn", "multiheadattention", "scaleddotproductattention", "embedding"), _CHAIN),
    **dict.fromkeys(("transformerencoder", "transformerencoderlayer", "matmul", "bmm", "einsum"), _CHAIN),
    **dict.fromkeys(
        ("softmax", "logsoftmax", "softmax2d"),
        "leave it out: an exit takes logits, and the exit decision does the rest",
    ),
    **dict.fromkeys(
        ("cat", "concat", "concatenate", "stack"), "add the branches instead (x + y), after layers of equal width"
    ),
    **dict.fromkeys(
        ("convtranspose2d", "upsample", "interpolate", "pixelshuffle"), "use nn.Conv2d: maps can only keep or lose size"
    ),
    **dict.fromkeys(("mul", "imul", "truediv"), "scale inside nn.BatchNorm2d, nn.Conv2d or nn.Linear instead"),
    **dict.fromkeys(("sub", "isub"), "only x + y joins two branches"),
    **dict.fromkeys(("conv1d", "conv3d"), "use nn.Conv2d, with a kernel of height 1 for sequences"),
    **dict.fromkeys(
        ("conv2d", "linear", "batchnorm2d"), "use the module of torch.nn itself, not a subclass or function"
    ),
    **dict.fromkeys(
        ("parametrizedconv2d", "parametrizedlinear"), "call torch.nn.utils.parametrize.remove_parametrizations"
    ),
    **dict.fromkeys(("pad", "zeropad2d"), "use the padding of the layer behind it"),
    **dict.fromkeys(("adaptivemaxpool2d", "lppool2d"), "use nn.MaxPool2d or nn.AdaptiveAvgPool2d(1)"),
    "syncbatchnorm": "use nn.BatchNorm2d",
    "permute": "keep torch's axes (N, C, H, W)",
    "transpose": "keep torch's axes (N, C, H, W)",
    "squeeze": "use nn.Flatten()",
}


def hint_for(word: str) -> str:
    """What to do about the module, function or method named `word`; empty where we have no better idea."""
    return HINTS.get(word.lower().replace("_", ""), "")
