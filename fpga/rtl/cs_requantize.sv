// y = clamp((x * multiplier + offset) >>> SHIFT), LANES codes a cycle; a ROM word holds one channel group's constants.
//
// Pipeline: codes | (constants, where they change) | (products) | sums | shifted and clamped codes.
`default_nettype none
module cs_requantize #(
    parameter X_BITS    = 12,
    parameter X_SIGNED  = 1,
    parameter Y_BITS    = 8,
    parameter M_BITS    = 8,    // of a multiplier, signed; 0: every multiplier is 1
    parameter O_BITS    = 12,   // of an offset, signed
    parameter WIDE_BITS = 20,   // of the sum, signed
    parameter SHIFT     = 6,
    parameter LOW       = 0,
    parameter HIGH      = 255,
    parameter LANES     = 2,
    parameter GROUPS    = 2,
    // derived: leave alone
    parameter X_WIDTH   = LANES * X_BITS,
    parameter Y_WIDTH   = LANES * Y_BITS,
    parameter A_BITS    = GROUPS > 1 ? $clog2(GROUPS) : 1,
    parameter C_BITS    = M_BITS + O_BITS,
    parameter C_WIDTH   = LANES * C_BITS
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire [X_WIDTH-1:0] x_data,
    input  wire               x_valid,
    output wire               x_ready,
    output wire [A_BITS-1:0]  constants_address,
    input  wire [C_WIDTH-1:0] constants_data,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [Y_WIDTH-1:0] y_data
);
    localparam LOOKUP = GROUPS > 1 ? 2 : 1;  // cycles of the ROM, which the codes wait for
    localparam D = LOOKUP + (M_BITS != 0 ? 3 : 2);

    wire start = x_valid && y_room;
    assign x_ready = start;
    assign y_claim = start;

    logic [A_BITS-1:0] group;
    logic [D-1:0]      writes;
    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            group  <= '0;
            writes <= '0;
        end else begin
            if (start) group <= group == A_BITS'(GROUPS - 1) ? '0 : group + 1'b1;
            writes <= D'({writes, start});
        end
    end
    assign constants_address = group;
    assign y_valid = writes[D-1];

    cs_requantize_lanes #(
        .X_BITS   (X_BITS),
        .X_SIGNED (X_SIGNED),
        .Y_BITS   (Y_BITS),
        .M_BITS   (M_BITS),
        .O_BITS   (O_BITS),
        .WIDE_BITS(WIDE_BITS),
        .SHIFT    (SHIFT),
        .LOW      (LOW),
        .HIGH     (HIGH),
        .LANES    (LANES),
        .LOOKUP   (LOOKUP)
    ) lanes (
        .aclk          (aclk),
        .x_data        (x_data),
        .constants_data(constants_data),
        .y_data        (y_data)
    );
endmodule
`default_nettype wire
