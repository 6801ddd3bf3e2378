// cs_channel_dot at several widths: a pixel of a narrower one has fewer channel groups, whose weights are the first of the widest's.
//
// The plain unit counts the tiles of a beat, and those of the pixel's groups before it come on top; of a frame that steps up,
// the first FIRSTS too. A token on `width` says which of WIDTHS a frame is; it leaves its
// FIFO in the frame's last step.
`default_nettype none
module cs_slim_channel_dot #(
    parameter X_BITS   = 8,
    parameter X_SIGNED = 0,
    parameter W_BITS   = 8,
    parameter Y_BITS   = 20,
    parameter PE       = 2,   // channels
    parameter SIMD     = 3,
    parameter CHUNKS   = 3,   // of a window
    parameter FOLDS    = 2,   // of a beat's channels
    parameter TILES    = 12,  // words of weights: every chunk of all channels
    parameter TURNS    = 4,   // pixels of a frame
    parameter WIDTHS   = 2,
    parameter [32*WIDTHS-1:0] GROUPS = {32'd2, 32'd1},
    parameter [32*WIDTHS-1:0] FIRSTS = {32'd0, 32'd0},
    // derived: leave alone
    parameter V_BITS   = $clog2(WIDTHS),
    parameter X_WIDTH  = PE * FOLDS * CHUNKS * SIMD * X_BITS,
    parameter Y_WIDTH  = PE * Y_BITS,
    parameter A_BITS   = TILES > 1 ? $clog2(TILES) : 1,
    parameter W_WIDTH  = PE * SIMD * W_BITS
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire [V_BITS-1:0]  width_data,
    input  wire               width_valid,
    output wire               width_ready,
    input  wire [X_WIDTH-1:0] x_data,
    input  wire               x_valid,
    output wire               x_ready,
    output wire [A_BITS-1:0]  weights_address,
    input  wire [W_WIDTH-1:0] weights_data,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [Y_WIDTH-1:0] y_data
);
    localparam STEPS = FOLDS * CHUNKS;  // of a beat, and tiles
    localparam S_BITS = STEPS > 1 ? $clog2(STEPS) : 1;
    localparam G_BITS = $clog2(TILES / STEPS + 1);
    localparam T_BITS = TURNS > 1 ? $clog2(TURNS) : 1;

    logic [A_BITS-1:0] base;  // tiles of the groups before this one
    logic [G_BITS-1:0] group;
    logic [T_BITS-1:0] turn;
    wire  [S_BITS-1:0] tile;
    wire               pixel_ends = group == G_BITS'(GROUPS[32*width_data+:32] - 1);
    wire               last_pixel = turn == T_BITS'(TURNS - 1);
    assign weights_address = A_BITS'(FIRSTS[32*width_data+:32]) + base + (STEPS > 1 ? A_BITS'(tile) : '0);
    assign width_ready = x_ready && pixel_ends && last_pixel;
    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            base  <= '0;
            group <= '0;
            turn  <= '0;
        end else if (x_ready) begin
            base  <= pixel_ends ? '0 : base + A_BITS'(STEPS);
            group <= pixel_ends ? '0 : group + 1'b1;
            if (pixel_ends) turn <= last_pixel ? '0 : turn + 1'b1;
        end
    end

    cs_channel_dot #(
        .X_BITS  (X_BITS),
        .X_SIGNED(X_SIGNED),
        .W_BITS  (W_BITS),
        .Y_BITS  (Y_BITS),
        .PIXELS  (1),
        .PE      (PE),
        .SIMD    (SIMD),
        .CHUNKS  (CHUNKS),
        .FOLDS   (FOLDS),
        .TILES   (STEPS > 1 ? STEPS : 2)  // which makes it wait for the ROM
    ) beats (
        .aclk           (aclk),
        .aresetn        (aresetn),
        .weights_address(tile),
        .x_data         (x_data),
        .x_valid        (x_valid && width_valid),
        .x_ready        (x_ready),
        .weights_data   (weights_data),
        .y_room         (y_room),
        .y_claim        (y_claim),
        .y_valid        (y_valid),
        .y_data         (y_data)
    );
endmodule
`default_nettype wire
