// One stream for several readers: `y_room` means room in the channels of all of them, and each gets the same beat.
`default_nettype none
module cs_fork #(
    parameter X_WIDTH = 8
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire [X_WIDTH-1:0] x_data,
    input  wire               x_valid,
    output wire               x_ready,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [X_WIDTH-1:0] y_data
);
    assign x_ready = x_valid && y_room;
    assign y_claim = x_ready;
    assign y_valid = x_ready;
    assign y_data = x_data;
    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{1'b0, aclk, aresetn};
    // verilator lint_on UNUSEDSIGNAL
endmodule
`default_nettype wire
