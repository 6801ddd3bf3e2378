// One word a frame, in order: the decision (confidence 31..0, class 46..32, exited 47), above it the frame's number in 63..48;
// bit 64 is TLAST, on the batch's last word. Cycles: 0.
`default_nettype none
module cs_result_port (
    input  wire        aclk,
    input  wire        aresetn,
    input  wire        start,
    input  wire [15:0] frames,
    output logic [31:0] frames_done,
    output logic [31:0] exits,
    input  wire [47:0] x_data,
    input  wire        x_valid,
    output wire        x_ready,
    input  wire        y_room,
    output wire        y_claim,
    output wire        y_valid,
    output wire [64:0] y_data
);
    wire moves = x_valid && y_room;
    wire last = frames_done[15:0] == frames - 1'b1;
    assign x_ready = moves;
    assign y_claim = moves;
    assign y_valid = moves;
    assign y_data = {last, frames_done[15:0], x_data};

    always_ff @(posedge aclk) begin
        if (!aresetn || start) begin
            frames_done <= '0;
            exits       <= '0;
        end else if (moves) begin
            frames_done <= frames_done + 1'b1;
            if (x_data[47]) exits <= exits + 1'b1;
        end
    end
endmodule
`default_nettype wire
