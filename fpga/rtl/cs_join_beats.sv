// Narrow beats to wide ones: a wide beat leaves with the last of its RATIO parts, the first in the lowest bits. Cycles: 0.
`default_nettype none
module cs_join_beats #(
    parameter X_WIDTH = 8,
    parameter RATIO   = 2,
    // derived: leave alone
    parameter Y_WIDTH = RATIO * X_WIDTH
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
    localparam P_BITS = $clog2(RATIO);
    localparam HELD = Y_WIDTH - X_WIDTH;

    logic [P_BITS-1:0] part;
    wire               ends = part == P_BITS'(RATIO - 1);
    wire               start = x_valid && (!ends || y_room);
    assign x_ready = start;
    assign y_claim = start && ends;
    assign y_valid = y_claim;

    // Parts come in at the top: the first has reached the bottom when the last is in.
    logic [HELD-1:0] held;
    assign y_data = {x_data, held};
    always_ff @(posedge aclk) if (start) held <= y_data[X_WIDTH+:HELD];

    always_ff @(posedge aclk) begin
        if (!aresetn) part <= '0;
        else if (start) part <= ends ? '0 : part + 1'b1;
    end
endmodule
`default_nettype wire
