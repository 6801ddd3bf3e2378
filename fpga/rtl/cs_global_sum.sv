// The sum of every channel over the PIXELS of a frame, LANES channels a cycle. The sums of the GROUPS channel groups go
// round in a shift register, which maps to LUTs: the one that is next lies at its end. Cycles: 1.
`default_nettype none
module cs_global_sum #(
    parameter X_BITS   = 8,
    parameter X_SIGNED = 0,
    parameter Y_BITS   = 12,
    parameter LANES    = 2,
    parameter GROUPS   = 2,
    parameter PIXELS   = 16,
    // derived: leave alone
    parameter X_WIDTH  = LANES * X_BITS,
    parameter Y_WIDTH  = LANES * Y_BITS
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
    localparam G_BITS = GROUPS > 1 ? $clog2(GROUPS) : 1;
    localparam P_BITS = PIXELS > 1 ? $clog2(PIXELS) : 1;

    logic [G_BITS-1:0] group;
    logic [P_BITS-1:0] pixel;
    wire               pixel_ends = group == G_BITS'(GROUPS - 1);
    wire               first = pixel == '0;
    wire               last = pixel == P_BITS'(PIXELS - 1);
    wire               start = x_valid && (!last || y_room);
    assign x_ready = start;
    assign y_claim = start && last;

    logic writes;
    assign y_valid = writes;
    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            group  <= '0;
            pixel  <= '0;
            writes <= 1'b0;
        end else begin
            if (start) group <= pixel_ends ? '0 : group + 1'b1;
            if (start && pixel_ends) pixel <= last ? '0 : pixel + 1'b1;
            writes <= y_claim;
        end
    end

    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : g_lane
            wire [X_BITS-1:0] code = x_data[l*X_BITS+:X_BITS];
            wire [Y_BITS-1:0] term = X_SIGNED != 0 ? Y_BITS'($signed(code)) : Y_BITS'(code);
            logic [GROUPS*Y_BITS-1:0] ring;  // newest in the low bits
            wire  [Y_BITS-1:0] old = first ? '0 : ring[(GROUPS-1)*Y_BITS+:Y_BITS];
            always_ff @(posedge aclk) if (start) ring <= (GROUPS * Y_BITS)'({ring, old + term});
            assign y_data[l*Y_BITS+:Y_BITS] = ring[Y_BITS-1:0];
        end
    endgenerate
endmodule
`default_nettype wire
