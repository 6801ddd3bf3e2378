// cs_result_port of a design with several widths: one word a frame, in order, with confidence in 31..0, class in 43..32, width
// in 46..44, exited in 47 and the frame's number in 63..48; bit 64 is TLAST, on the batch's last word. Cycles: 0.
`default_nettype none
module cs_slim_result_port #(
    parameter WIDTHS = 2,
    // derived: leave alone
    parameter V_BITS = $clog2(WIDTHS)
) (
    input  wire        aclk,
    input  wire        aresetn,
    input  wire        start,
    input  wire [15:0] frames,
    output logic [31:0] frames_done,
    output logic [31:0] exits,
    input  wire [V_BITS-1:0] width_data,
    input  wire        width_valid,
    output wire        width_ready,
    input  wire [47:0] x_data,
    input  wire        x_valid,
    output wire        x_ready,
    input  wire        y_room,
    output wire        y_claim,
    output wire        y_valid,
    output wire [64:0] y_data
);
    wire moves = x_valid && width_valid && y_room;
    wire last = frames_done[15:0] == frames - 1'b1;
    assign x_ready = moves;
    assign width_ready = moves;
    assign y_claim = moves;
    assign y_valid = moves;
    assign y_data = {last, frames_done[15:0], x_data[47], 3'(width_data), x_data[43:0]};

    always_ff @(posedge aclk) begin
        if (!aresetn || start) begin
            frames_done <= '0;
            exits       <= '0;
        end else if (moves) begin
            frames_done <= frames_done + 1'b1;
            if (x_data[47]) exits <= exits + 1'b1;
        end
    end
    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{1'b0, x_data[46:44]};
    // verilator lint_on UNUSEDSIGNAL
endmodule
`default_nettype wire
