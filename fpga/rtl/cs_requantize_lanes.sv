// The arithmetic of cs_requantize: LANES codes and their constants a cycle, no control. The codes wait LOOKUP cycles for the
// constants. Pipeline: codes (LOOKUP cycles) | (products) | sums | shifted and clamped codes.
`default_nettype none
module cs_requantize_lanes #(
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
    parameter LOOKUP    = 2,
    // derived: leave alone
    parameter X_WIDTH   = LANES * X_BITS,
    parameter Y_WIDTH   = LANES * Y_BITS,
    parameter C_BITS    = M_BITS + O_BITS,
    parameter C_WIDTH   = LANES * C_BITS
) (
    input  wire               aclk,
    input  wire [X_WIDTH-1:0] x_data,
    input  wire [C_WIDTH-1:0] constants_data,
    output wire [Y_WIDTH-1:0] y_data
);
    localparam S_BITS = X_SIGNED != 0 ? X_BITS : X_BITS + 1;  // x as a signed number
    localparam P_BITS = S_BITS + M_BITS < WIDE_BITS ? S_BITS + M_BITS : WIDE_BITS;
    // What is left after the shift, and any code, as signed numbers.
    localparam R_BITS = WIDE_BITS - SHIFT > Y_BITS ? WIDE_BITS - SHIFT : Y_BITS + 1;
    localparam signed [R_BITS-1:0] LEAST = R_BITS'(LOW);
    localparam signed [R_BITS-1:0] MOST = R_BITS'(HIGH);

    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : g_lane
            wire signed [O_BITS-1:0] offset = constants_data[l*C_BITS+:O_BITS];
            logic [LOOKUP*X_BITS-1:0] codes;  // newest in the low bits
            always_ff @(posedge aclk) codes <= (LOOKUP * X_BITS)'({codes, x_data[l*X_BITS+:X_BITS]});
            wire signed [S_BITS-1:0] x = S_BITS'(codes[(LOOKUP-1)*X_BITS+:X_BITS]);

            // A multiplier takes all three registers: of its operands, its product and its sum.
            logic signed [WIDE_BITS-1:0] sum;
            if (M_BITS != 0) begin : g_product
                wire signed [M_BITS-1:0] multiplier = constants_data[l*C_BITS+O_BITS+:M_BITS];
                logic signed [P_BITS-1:0] product;
                logic signed [O_BITS-1:0] held;
                always_ff @(posedge aclk) begin
                    product <= P_BITS'(x) * P_BITS'(multiplier);
                    held    <= offset;
                    sum     <= WIDE_BITS'(product) + WIDE_BITS'(held);
                end
            end else begin : g_plain
                always_ff @(posedge aclk) sum <= WIDE_BITS'(x) + WIDE_BITS'(offset);
            end

            wire signed [R_BITS-1:0] rounded = R_BITS'(sum >>> SHIFT);
            logic [Y_BITS-1:0] clamped;
            always_ff @(posedge aclk) begin
                if (rounded < LEAST) clamped <= Y_BITS'(LEAST);
                else if (rounded > MOST) clamped <= Y_BITS'(MOST);
                else clamped <= Y_BITS'(rounded);
            end
            assign y_data[l*Y_BITS+:Y_BITS] = clamped;
        end
    endgenerate
endmodule
`default_nettype wire
