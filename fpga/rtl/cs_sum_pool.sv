// The sum of every window of a beat: WINDOWS windows of POSITIONS codes. Cycles: $clog2(POSITIONS).
`default_nettype none
module cs_sum_pool #(
    parameter X_BITS    = 8,
    parameter X_SIGNED  = 0,
    parameter Y_BITS    = 10,
    parameter POSITIONS = 4,
    parameter WINDOWS   = 2,
    // derived: leave alone
    parameter X_WIDTH   = WINDOWS * POSITIONS * X_BITS,
    parameter Y_WIDTH   = WINDOWS * Y_BITS
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire [X_WIDTH-1:0] x_data,
    input  wire               x_valid,
    output wire               x_ready,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [Y_WIDTH-1:0] y_data
);
    localparam S_BITS = X_SIGNED != 0 ? X_BITS : X_BITS + 1;  // a code as a signed number

    wire start = x_valid && y_room;
    assign x_ready = start;
    assign y_claim = start;

    cs_valid #(
        .D($clog2(POSITIONS))
    ) valid (
        .aclk   (aclk),
        .aresetn(aresetn),
        .x      (start),
        .y      (y_valid)
    );

    wire [WINDOWS*POSITIONS*S_BITS-1:0] terms;
    genvar i, w;
    generate
        for (i = 0; i < WINDOWS * POSITIONS; i = i + 1) begin : g_term
            assign terms[i*S_BITS+:S_BITS] = S_BITS'(x_data[i*X_BITS+:X_BITS]);
        end
        for (w = 0; w < WINDOWS; w = w + 1) begin : g_window
            cs_adder_tree #(
                .TERMS (POSITIONS),
                .X_BITS(S_BITS),
                .Y_BITS(Y_BITS)
            ) tree (
                .aclk(aclk),
                .x   (terms[w*POSITIONS*S_BITS+:POSITIONS*S_BITS]),
                .y   (y_data[w*Y_BITS+:Y_BITS])
            );
        end
    endgenerate
endmodule
`default_nettype wire
