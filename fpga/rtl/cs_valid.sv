// A valid bit D cycles later, for pipelines that may have no cycle at all.
`default_nettype none
module cs_valid #(
    parameter D = 2
) (
    input  wire aclk,
    input  wire aresetn,
    input  wire x,
    output wire y
);
    generate
        if (D == 0) begin : g_wire
            assign y = x;
            // verilator lint_off UNUSEDSIGNAL
            wire unused = &{1'b0, aclk, aresetn};
            // verilator lint_on UNUSEDSIGNAL
        end else begin : g_register
            logic [D-1:0] bits;
            always_ff @(posedge aclk) begin
                if (!aresetn) bits <= '0;
                else bits <= D'({bits, x});
            end
            assign y = bits[D-1];
        end
    endgenerate
endmodule
`default_nettype wire
