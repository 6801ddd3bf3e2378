// One matrix of constants times every pixel's channel vector, all of a beat in a cycle. The sums are made by a module of
// adders beside this one, as their weights say: `sums_y` are those of the `sums_x` of D cycles before.
`default_nettype none
module cs_constant_matrix #(
    parameter X_WIDTH = 48,
    parameter Y_WIDTH = 80,
    parameter D       = 5
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire [X_WIDTH-1:0] x_data,
    input  wire               x_valid,
    output wire               x_ready,
    output wire [X_WIDTH-1:0] sums_x,
    input  wire [Y_WIDTH-1:0] sums_y,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [Y_WIDTH-1:0] y_data
);
    wire start = x_valid && y_room;
    assign x_ready = start;
    assign y_claim = start;
    assign sums_x = x_data;
    assign y_data = sums_y;

    cs_valid #(
        .D(D)
    ) valid (
        .aclk   (aclk),
        .aresetn(aresetn),
        .x      (start),
        .y      (y_valid)
    );
endmodule
`default_nettype wire
