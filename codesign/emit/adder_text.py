"""The SystemVerilog of an adder graph: a module with a wire for every multiple and every sum, and the registers between."""

# Legend: xK the code of input K of a pixel; xK_tF F times it, xK_tmF -F times, xK_pF F times by a multiplier; sN a sum;
# _dT the same T cycles later.
from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill

import numpy as np

from codesign.ir.types import IntType
from codesign.ops.adder_graph import Node, Sums, Term

_COMMENT = "            // "


def sums_module(name: str, sums: Sums) -> str:
    """The module of a unit's sums: those of the beat `x` are on `y` `Sums.latency` cycles later."""
    graph = sums.graph
    wires, registers = "", ""
    for declared, taken in _signals(sums):
        wires += "".join(f"            {line};\n" for line in declared)
        registers += "".join(f"                {line};\n" for line in taken)
    title = f"{len(graph.outputs)} sums of {graph.inputs} codes times constants, of each of {sums.pixels} pixels"
    return f"""// {title}.
`default_nettype none
module {name} (
    input  wire aclk,
    input  wire [{sums.x_width - 1}:0] x,
    output wire [{sums.y_width - 1}:0] y
);
    genvar g;
    generate
        for (g = 0; g < {sums.pixels}; g = g + 1) begin : g_pixel
{wires}            always_ff @(posedge aclk) begin
{registers}            end
{_outputs(sums)}        end
    endgenerate
    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{{1'b0, aclk, x}};
    // verilator lint_on UNUSEDSIGNAL
endmodule
`default_nettype wire
"""


def _signals(sums: Sums) -> Iterator[tuple[list[str], list[str]]]:
    """Of every node that is read: declarations with what its wires are, and what its registers take in every cycle."""
    names = [_name(number, node) for number, node in enumerate(sums.graph.nodes)]
    for node, name, delays in zip(sums.graph.nodes, names, sums.graph.delays(), strict=True):
        if not delays:
            continue
        vector = _vector(node.dtype)
        late = [f"{name}_d{time}" for time in range(1, max(delays) + 1)]
        declared = [f"logic {vector} {', '.join(late)}"] if late else []
        taken = [f"{after} <= {before}" for before, after in zip([name, *late], late, strict=False)]
        if node.factor == 1:
            bits = sums.graph.x_bits
            taken = [f"{name} <= x[(g*{sums.graph.inputs}+{node.input})*{bits}+:{bits}]", *taken]
            declared = [f"logic {vector} {name}", *declared]
        else:
            # What other multiples are made of is kept: Yosys would make one adder of many terms of them, of more LUTs.
            keep = "(* keep *) " if 0 in delays else ""
            value = f"assign {name} = {_value(sums, names, node)}"
            declared = [f"{keep}wire {vector} {name}", value, *declared]
        yield declared, taken


def _value(sums: Sums, names: list[str], node: Node) -> str:
    bits = node.dtype.bits
    if node.multiplies:
        sign = "s" if node.dtype.signed else ""
        return f"{bits}'({names[node.input]}) * {bits}'{sign}d{node.factor}"
    first, second = (
        _shifted(names[term.node], node.time - sums.graph.nodes[term.node].time, term, bits) for term in node.terms
    )
    return f"{first} {'-' if node.minus else '+'} {second}"


def _outputs(sums: Sums) -> str:
    graph, bits, text = sums.graph, sums.y_bits, ""
    weights_IO = graph.evaluate(np.eye(graph.inputs, dtype=np.int64))
    for index, term in enumerate(graph.outputs):
        weights = ", ".join(map(str, weights_IO[:, index]))
        text += fill(f"Weights {weights}", 116, initial_indent=_COMMENT, subsequent_indent=_COMMENT) + "\n"
        value = f"{bits}'d0"
        if term:
            node = graph.nodes[term.node]
            value = _shifted(_name(term.node, node), graph.time - node.time, term, bits)
        text += f"            assign y[(g*{len(graph.outputs)}+{index})*{bits}+:{bits}] = {value};\n"
    return text


def _shifted(name: str, delay: int, term: Term, bits: int) -> str:
    late = f"{name}_d{delay}" if delay else name
    return f"({bits}'({late}) <<< {term.shift})" if term.shift else f"{bits}'({late})"


def _name(number: int, node: Node) -> str:
    if node.input < 0:
        return f"s{number}"
    if node.factor == 1:
        return f"x{node.input}"
    return f"x{node.input}_{'p' if node.multiplies else 't'}{'m' * (node.factor < 0)}{abs(node.factor)}"


def _vector(kind: IntType) -> str:
    return f"{'signed ' if kind.signed else ''}[{kind.bits - 1}:0]"
