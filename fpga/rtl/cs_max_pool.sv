// The largest code of every window of a beat: WINDOWS windows of POSITIONS codes. Cycles: $clog2(POSITIONS).
`default_nettype none
module cs_max_pool #(
    parameter X_BITS    = 8,
    parameter X_SIGNED  = 0,
    parameter POSITIONS = 4,
    parameter WINDOWS   = 2,
    // derived: leave alone
    parameter X_WIDTH   = WINDOWS * POSITIONS * X_BITS,
    parameter Y_WIDTH   = WINDOWS * X_BITS
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

    genvar w;
    generate
        for (w = 0; w < WINDOWS; w = w + 1) begin : g_window
            cs_max_tree #(
                .TERMS   (POSITIONS),
                .X_BITS  (X_BITS),
                .X_SIGNED(X_SIGNED)
            ) tree (
                .aclk(aclk),
                .x   (x_data[w*POSITIONS*X_BITS+:POSITIONS*X_BITS]),
                .y   (y_data[w*X_BITS+:X_BITS])
            );
        end
    endgenerate
endmodule
`default_nettype wire
