// A running sum for each of PLACES: `x` is added to that of `place`, or begins it anew where `fresh`, and the result is there a
// cycle later. One that moves on in a ring, as in plain units, would come round too late where a width has fewer places.
`default_nettype none
module cs_slim_sums #(
    parameter Y_BITS = 20,
    parameter PLACES = 2,
    // derived: leave alone
    parameter P_BITS = PLACES > 1 ? $clog2(PLACES) : 1
) (
    input  wire              aclk,
    input  wire              moves,
    input  wire              fresh,
    input  wire [P_BITS-1:0] place,
    input  wire [Y_BITS-1:0] x,
    output logic [Y_BITS-1:0] y
);
    wire [Y_BITS-1:0] old;
    wire [Y_BITS-1:0] sum = (fresh ? '0 : old) + x;
    always_ff @(posedge aclk) if (moves) y <= sum;
    generate
        if (PLACES > 1) begin : g_memory
            (* ram_style = "distributed" *) logic [Y_BITS-1:0] memory[PLACES];
            always_ff @(posedge aclk) if (moves) memory[place] <= sum;
            assign old = memory[place];
        end else begin : g_register
            assign old = y;
            // verilator lint_off UNUSEDSIGNAL
            wire unused = &{1'b0, place};
            // verilator lint_on UNUSEDSIGNAL
        end
    endgenerate
endmodule
`default_nettype wire
