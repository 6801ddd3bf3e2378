// cs_global_sum at several widths: a pixel of a narrower one has fewer channel groups, whose sums lie in a memory.
//
// A token on `width` says which width a frame has; it leaves its FIFO in the frame's last step. Cycles: 1.
`default_nettype none
module cs_slim_global_sum #(
    parameter X_BITS     = 8,
    parameter X_SIGNED   = 0,
    parameter Y_BITS     = 12,
    parameter LANES      = 2,
    parameter PIXELS     = 16,
    parameter MAX_GROUPS = 2,
    parameter WIDTHS     = 2,
    parameter [32*WIDTHS-1:0] GROUPS = {32'd2, 32'd1},
    // derived: leave alone
    parameter V_BITS     = $clog2(WIDTHS),
    parameter X_WIDTH    = LANES * X_BITS,
    parameter Y_WIDTH    = LANES * Y_BITS
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
    output wire [Y_WIDTH-1:0] y_data
);
    localparam G_BITS = $clog2(MAX_GROUPS + 1);
    localparam P_BITS = PIXELS > 1 ? $clog2(PIXELS) : 1;
    localparam S_BITS = MAX_GROUPS > 1 ? $clog2(MAX_GROUPS) : 1;

    logic [G_BITS-1:0] group;
    logic [P_BITS-1:0] pixel;
    wire               pixel_ends = group == G_BITS'(GROUPS[32*width_data+:32] - 1);
    wire               first = pixel == '0;
    wire               last = pixel == P_BITS'(PIXELS - 1);
    wire               start = width_valid && x_valid && (!last || y_room);
    assign x_ready = start;
    assign y_claim = start && last;
    assign width_ready = y_claim && pixel_ends;

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            group   <= '0;
            pixel   <= '0;
            y_valid <= 1'b0;
        end else begin
            if (start) group <= pixel_ends ? '0 : group + 1'b1;
            if (start && pixel_ends) pixel <= last ? '0 : pixel + 1'b1;
            y_valid <= y_claim;
        end
    end

    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : g_lane
            wire [X_BITS-1:0] code = x_data[l*X_BITS+:X_BITS];
            cs_slim_sums #(
                .Y_BITS(Y_BITS),
                .PLACES(MAX_GROUPS)
            ) total (
                .aclk (aclk),
                .moves(start),
                .fresh(first),
                .place(group[S_BITS-1:0]),
                .x    (X_SIGNED != 0 ? Y_BITS'($signed(code)) : Y_BITS'(code)),
                .y    (y_data[l*Y_BITS+:Y_BITS])
            );
        end
    endgenerate
endmodule
`default_nettype wire
