// The sum of TERMS signed terms, a register behind every level: $clog2(TERMS) cycles. Sums are cut off at Y_BITS, which
// is exact when the total fits.
`default_nettype none
module cs_adder_tree #(
    parameter TERMS  = 4,
    parameter X_BITS = 16,
    parameter Y_BITS = 18
) (
    input  wire                    aclk,
    input  wire [TERMS*X_BITS-1:0] x,
    output wire [Y_BITS-1:0]       y
);
    generate
        if (TERMS == 1) begin : g_leaf
            if (Y_BITS > X_BITS) begin : g_extend
                assign y = {{(Y_BITS - X_BITS) {x[X_BITS-1]}}, x};
            end else begin : g_cut
                assign y = x[Y_BITS-1:0];
            end
            // verilator lint_off UNUSEDSIGNAL
            wire unused = &{1'b0, aclk, x};
            // verilator lint_on UNUSEDSIGNAL
        end else begin : g_level
            localparam HALF = (TERMS + 1) / 2;
            localparam S_BITS = X_BITS + 1 < Y_BITS ? X_BITS + 1 : Y_BITS;
            // verilator lint_off SPLITVAR
            logic [HALF*S_BITS-1:0] sums  /* verilator split_var */;
            // verilator lint_on SPLITVAR
            genvar i;
            for (i = 0; i < HALF; i = i + 1) begin : g_pair
                // verilator lint_off UNUSEDSIGNAL
                wire signed [X_BITS-1:0] a = x[2*i*X_BITS+:X_BITS];
                if (2 * i + 1 < TERMS) begin : g_add
                    wire signed [X_BITS-1:0] b = x[(2*i+1)*X_BITS+:X_BITS];
                    // verilator lint_on UNUSEDSIGNAL
                    always_ff @(posedge aclk) sums[i*S_BITS+:S_BITS] <= S_BITS'(a) + S_BITS'(b);
                end else begin : g_pass
                    // verilator lint_on UNUSEDSIGNAL
                    always_ff @(posedge aclk) sums[i*S_BITS+:S_BITS] <= S_BITS'(a);
                end
            end
            cs_adder_tree #(
                .TERMS (HALF),
                .X_BITS(S_BITS),
                .Y_BITS(Y_BITS)
            ) next (
                .aclk(aclk),
                .x   (sums),
                .y   (y)
            );
        end
    endgenerate
endmodule
`default_nettype wire
