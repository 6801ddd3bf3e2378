// Passes a frame on and keeps it; of a frame that steps up only the new channel groups come in, and those that are kept leave in
// front of them, pixel by pixel.
//
// A step a cycle: GROUPS beats leave a pixel, of which the first KEPT come from the memory and the others from the stream. A
// token on `width` says which of WIDTHS a frame is; it leaves its FIFO in the frame's last step. Cycles: 1.
`default_nettype none
module cs_slim_keep #(
    parameter X_WIDTH    = 8,
    parameter PIXELS     = 4,
    parameter MAX_GROUPS = 2,
    parameter WIDTHS     = 3,
    parameter [32*WIDTHS-1:0] GROUPS = {32'd2, 32'd2, 32'd1},
    parameter [32*WIDTHS-1:0] KEPT   = {32'd1, 32'd0, 32'd0},
    parameter BLOCK      = 0,   // 1: block RAM
    // derived: leave alone
    parameter V_BITS     = $clog2(WIDTHS)
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire [V_BITS-1:0]  width_data,
    input  wire               width_valid,
    output wire               width_ready,
    input  wire [X_WIDTH-1:0] x_data,
    input  wire               x_valid,
    output wire               x_ready,
    input  wire               y_room,
    output wire               y_claim,
    output logic              y_valid,
    output wire [X_WIDTH-1:0] y_data
);
    localparam WORDS = PIXELS * MAX_GROUPS;
    localparam A_BITS = WORDS > 1 ? $clog2(WORDS) : 1;
    localparam G_BITS = $clog2(MAX_GROUPS + 1);
    localparam P_BITS = PIXELS > 1 ? $clog2(PIXELS) : 1;

    wire [G_BITS-1:0] groups = G_BITS'(GROUPS[32*width_data+:32]);
    wire [G_BITS-1:0] kept = G_BITS'(KEPT[32*width_data+:32]);

    logic [G_BITS-1:0] group;
    logic [P_BITS-1:0] pixel;
    logic [A_BITS-1:0] base;  // of the pixel in the memory
    wire               old = group < kept;
    wire               pixel_ends = group == groups - 1'b1;
    wire               frame_ends = pixel_ends && pixel == P_BITS'(PIXELS - 1);
    wire               start = width_valid && (old || x_valid) && y_room;
    wire [A_BITS-1:0]  address = base + A_BITS'(group);
    assign x_ready = start && !old;
    assign y_claim = start;
    assign width_ready = start && frame_ends;

    always_ff @(posedge aclk) begin
        y_valid <= aresetn && start;
        if (!aresetn) begin
            group <= '0;
            pixel <= '0;
            base  <= '0;
        end else if (start) begin
            group <= pixel_ends ? '0 : group + 1'b1;
            if (pixel_ends) pixel <= frame_ends ? '0 : pixel + 1'b1;
            if (pixel_ends) base <= frame_ends ? '0 : base + A_BITS'(MAX_GROUPS);
        end
    end

    logic               was_old;
    logic [X_WIDTH-1:0] newest, found;
    always_ff @(posedge aclk) begin
        was_old <= old;
        newest  <= x_data;
    end
    generate
        if (BLOCK != 0) begin : g_block
            (* ram_style = "block" *) logic [X_WIDTH-1:0] memory[WORDS];
            always_ff @(posedge aclk) begin
                if (start && !old) memory[address] <= x_data;
                found <= memory[address];
            end
        end else begin : g_distributed
            (* ram_style = "distributed" *) logic [X_WIDTH-1:0] memory[WORDS];
            always_ff @(posedge aclk) begin
                if (start && !old) memory[address] <= x_data;
                found <= memory[address];
            end
        end
    endgenerate
    assign y_data = was_old ? found : newest;
endmodule
`default_nettype wire
