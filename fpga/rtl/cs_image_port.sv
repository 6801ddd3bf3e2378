// AXI4-Stream words to beats: takes frames * BEATS words a batch, and none between batches. TLAST is not looked at.
// Lane i of a beat is the low X_BITS of the i-th CONTAINER of the word. A word goes through in the cycle it is taken in.
`default_nettype none
module cs_image_port #(
    parameter PORT_BITS = 8,
    parameter CONTAINER = 8,
    parameter X_BITS    = 8,
    parameter LANES     = 1,
    parameter BEATS     = 784,  // of a frame
    // derived: leave alone
    parameter Y_WIDTH   = LANES * X_BITS
) (
    input  wire                 aclk,
    input  wire                 aresetn,
    input  wire                 start,
    input  wire [15:0]          frames,
    output wire                 idle,
    input  wire [PORT_BITS-1:0] s_axis_tdata,
    input  wire                 s_axis_tvalid,
    output wire                 s_axis_tready,
    output wire [Y_WIDTH-1:0]   y_data,
    output wire                 y_valid,
    input  wire                 y_ready
);
    localparam B_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
    logic              active;
    logic [B_BITS-1:0] beat;
    logic [15:0]       frame;
    wire               moves = s_axis_tvalid && s_axis_tready;
    wire               frame_ends = beat == B_BITS'(BEATS - 1);
    assign s_axis_tready = active && y_ready;
    assign y_valid = active && s_axis_tvalid;
    assign idle = !active;

    always_ff @(posedge aclk) begin
        if (!aresetn) active <= 1'b0;
        else if (start) active <= 1'b1;
        else if (moves && frame_ends && frame == frames - 1'b1) active <= 1'b0;
        if (!aresetn || start) begin
            beat  <= '0;
            frame <= '0;
        end else if (moves) begin
            beat <= frame_ends ? '0 : beat + 1'b1;
            if (frame_ends) frame <= frame + 1'b1;
        end
    end

    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            assign y_data[i*X_BITS+:X_BITS] = s_axis_tdata[i*CONTAINER+:X_BITS];
        end
    endgenerate
    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{1'b0, s_axis_tdata};
    // verilator lint_on UNUSEDSIGNAL
endmodule
`default_nettype wire
