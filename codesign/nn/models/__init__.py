"""The zoo: small networks with early exits, and the way to build one of the user's own."""

from codesign.nn.models.registry import ZOO, build_model

__all__ = ["ZOO", "build_model"]
