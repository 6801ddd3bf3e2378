// cs_image_port of a design with several widths: the first word of a frame reads the register `width`, and its index goes out as
// a token, to every process that asks for it: a width, narrow to wide, or behind them a step up. One above the last stands for
// the widest.
//
// AXI4-Stream words to beats: takes frames * BEATS words a batch, and none between batches. TLAST is not looked at.
// Lane i of a beat is the low X_BITS of the i-th CONTAINER of the word. A word goes through in the cycle it is taken in.
`default_nettype none
module cs_slim_image_port #(
    parameter PORT_BITS = 8,
    parameter CONTAINER = 8,
    parameter X_BITS    = 8,
    parameter LANES     = 1,
    parameter BEATS     = 784,  // of a frame
    parameter KINDS     = 3,
    parameter WIDTHS    = 2,    // of the kinds, the first
    // derived: leave alone
    parameter V_BITS    = $clog2(KINDS),
    parameter Y_WIDTH   = LANES * X_BITS
) (
    input  wire                 aclk,
    input  wire                 aresetn,
    input  wire                 start,
    input  wire [15:0]          frames,
    output wire                 idle,
    input  wire [7:0]           width,
    output wire [V_BITS-1:0]    width_data,
    output wire                 width_valid,
    input  wire                 width_ready,
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
    wire               heads = beat == '0;
    wire               open = active && (!heads || width_ready);
    assign s_axis_tready = open && y_ready;
    assign y_valid = open && s_axis_tvalid;
    assign width_valid = moves && heads;
    assign width_data = width >= 8'(KINDS) ? V_BITS'(WIDTHS - 1) : V_BITS'(width);
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
