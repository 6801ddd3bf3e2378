// cs_pad at several widths: a pixel of a narrower one has fewer channel groups.
//
// A token on `width` says which width a frame has; it leaves its FIFO in the frame's last step.
`default_nettype none
module cs_slim_pad #(
    parameter X_WIDTH    = 8,
    parameter ROWS       = 4,   // of the frame without its border
    parameter COLUMNS    = 4,
    parameter TOP        = 1,
    parameter LEFT       = 1,
    parameter BOTTOM     = 1,
    parameter RIGHT      = 1,
    parameter MAX_GROUPS = 2,
    parameter WIDTHS     = 2,
    parameter [32*WIDTHS-1:0] GROUPS = {32'd2, 32'd1},
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
    output wire               y_valid,
    output wire [X_WIDTH-1:0] y_data
);
    localparam G_BITS = $clog2(MAX_GROUPS + 1);

    logic [G_BITS-1:0] group;
    wire               pixel_ends = group == G_BITS'(GROUPS[32*width_data+:32] - 1);
    wire               frame_ends;
    assign width_ready = y_claim && frame_ends;
    always_ff @(posedge aclk) begin
        if (!aresetn) group <= '0;
        else if (y_claim) group <= pixel_ends ? '0 : group + 1'b1;
    end

    cs_pad_border #(
        .X_WIDTH(X_WIDTH),
        .ROWS   (ROWS),
        .COLUMNS(COLUMNS),
        .TOP    (TOP),
        .LEFT   (LEFT),
        .BOTTOM (BOTTOM),
        .RIGHT  (RIGHT)
    ) border (
        .aclk        (aclk),
        .aresetn     (aresetn),
        .pixel_starts(group == '0),
        .pixel_ends  (pixel_ends),
        .frame_ends  (frame_ends),
        .x_data      (x_data),
        .x_valid     (x_valid),
        .x_ready     (x_ready),
        .y_room      (y_room && width_valid),
        .y_claim     (y_claim),
        .y_valid     (y_valid),
        .y_data      (y_data)
    );
endmodule
`default_nettype wire
