// The largest of TERMS codes, a register behind every level: $clog2(TERMS) cycles.
`default_nettype none
module cs_max_tree #(
    parameter TERMS    = 4,
    parameter X_BITS   = 8,
    parameter X_SIGNED = 0
) (
    input  wire                    aclk,
    input  wire [TERMS*X_BITS-1:0] x,
    output wire [X_BITS-1:0]       y
);
    generate
        if (TERMS == 1) begin : g_leaf
            assign y = x;
            // verilator lint_off UNUSEDSIGNAL
            wire unused = &{1'b0, aclk};
            // verilator lint_on UNUSEDSIGNAL
        end else begin : g_level
            localparam HALF = (TERMS + 1) / 2;
            logic [HALF*X_BITS-1:0] larger;
            genvar i;
            for (i = 0; i < HALF; i = i + 1) begin : g_pair
                wire [X_BITS-1:0] a = x[2*i*X_BITS+:X_BITS];
                if (2 * i + 1 < TERMS) begin : g_compare
                    wire [X_BITS-1:0] b = x[(2*i+1)*X_BITS+:X_BITS];
                    // Up to 3 bits, a LUT sees both codes. Of wider ones the comparison is made once, and kept: ABC may
                    // otherwise make it anew for every bit that it chooses.
                    (* keep = X_BITS > 3 *) wire b_wins;
                    assign b_wins = X_SIGNED != 0 ? $signed(b) > $signed(a) : b > a;
                    always_ff @(posedge aclk) larger[i*X_BITS+:X_BITS] <= b_wins ? b : a;
                end else begin : g_pass
                    always_ff @(posedge aclk) larger[i*X_BITS+:X_BITS] <= a;
                end
            end
            cs_max_tree #(
                .TERMS   (HALF),
                .X_BITS  (X_BITS),
                .X_SIGNED(X_SIGNED)
            ) next (
                .aclk(aclk),
                .x   (larger),
                .y   (y)
            );
        end
    endgenerate
endmodule
`default_nettype wire
