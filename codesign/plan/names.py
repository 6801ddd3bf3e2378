"""Names that a C++ compiler, a SystemVerilog tool and the planner can all use."""

from __future__ import annotations

import re

_C_WORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl const
const_cast constexpr continue decltype default delete do double dynamic_cast else enum explicit export extern false
float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private
protected public register reinterpret_cast restrict return short signed sizeof static static_assert static_cast struct
switch template this thread_local throw true try typedef typeid typename union unsigned using virtual void volatile
wchar_t while xor xor_eq main std hls stream abs exp log min max round sqrt NULL EOF assert
"""

_SV_WORDS = """
accept_on alias always always_comb always_ff always_latch assign assume automatic before begin bind bins binsof bit
buf bufif0 bufif1 byte cell chandle checker clocking cmos config constraint context cover covergroup coverpoint cross
deassign defparam design disable dist edge end endcase endchecker endclass endclocking endconfig endfunction
endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify
endtable endtask event eventually expect extends final first_match force foreach forever fork forkjoin function
generate genvar global highz0 highz1 iff ifnone ignore_bins illegal_bins implements implies import incdir include
initial inout input inside instance integer interconnect interface intersect join join_any join_none large let
liblist library local localparam logic macromodule matches medium modport module nand negedge nettype nexttime nmos
nor noshowcancelled notif0 notif1 null output package packed parameter pmos posedge primitive priority program
property protect pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
randsequence rcmos real realtime ref reg reject_on release repeat rnmos rpmos rtran rtranif0 rtranif1 s_always
s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled small soft solve
specify specparam string strong strong0 strong1 super supply0 supply1 sync_accept_on sync_reject_on table tagged task
time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type unique unique0 until
until_with untyped use uwire var vectored wait wait_order wand weak weak0 weak1 wildcard wire with within wor xnor
"""

# What the emitted files declare beside processes and channels: ports, registers, types, functions and macros.
_DESIGN_WORDS = """
s_axis_image m_axis_result m_axis_feature image_port result_port image_word result_word feature_word control frames
frames_done exits port core cs_region cs_core CS_REGION CS_PROCESS CS_NATIVE CS_PACKED CS_THREADS CS_TRACE
ap_clk ap_rst_n ap_start ap_done ap_idle ap_ready aclk aresetn interrupt
"""

# Macros that g++ and clang++ define in gnu++98 on Linux.
_PLATFORM_WORDS = "unix linux i386"

RESERVED = frozenset(f"{_C_WORDS} {_SV_WORDS} {_DESIGN_WORDS} {_PLATFORM_WORDS}".split())


class Names:
    """Gives out names, each once, none of them a keyword of either language."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str) -> str:
        """A free identifier as near to `wanted` as can be: dots become underscores, a clash gets a number, no
        letter at all becomes `n_`."""
        base = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        base = re.sub(r"__+", "_", base)
        if not base[:1].isalpha():
            base = "n" + base if base[:1] == "_" else "n_" + base
        if base in RESERVED:
            base += "_"
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base.rstrip('_')}_{number}"
        self._taken.add(name)
        return name
