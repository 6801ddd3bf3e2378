"""The graph: integer codes, shapes, scales, exits; frozen values, a text form and a file form."""

from codesign.ir.graph import ExitPoint, Graph, GraphInput, Node, Operation
from codesign.ir.types import Codes, Constant, IntType, TensorType

__all__ = ["Codes", "Constant", "ExitPoint", "Graph", "GraphInput", "IntType", "Node", "Operation", "TensorType"]
