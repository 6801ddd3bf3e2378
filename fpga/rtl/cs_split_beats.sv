// Wide beats to narrow ones: RATIO of them leave for each, the lowest codes first. The wide beat stays in its FIFO
// until its last part leaves, so nothing is copied. Cycles: 0.
`default_nettype none
module cs_split_beats #(
    parameter Y_WIDTH = 8,
    parameter RATIO   = 2,
    // derived: leave alone
    parameter X_WIDTH = RATIO * Y_WIDTH
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

    logic [P_BITS-1:0] part;
    wire               ends = part == P_BITS'(RATIO - 1);
    wire               start = x_valid && y_room;
    assign x_ready = start && ends;
    assign y_claim = start;
    assign y_valid = start;
    assign y_data = x_data[part*Y_WIDTH+:Y_WIDTH];

    always_ff @(posedge aclk) begin
        if (!aresetn) part <= '0;
        else if (start) part <= ends ? '0 : part + 1'b1;
    end
endmodule
`default_nettype wire
