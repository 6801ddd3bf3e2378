// y = a * FACTOR_A + b * FACTOR_B, LANES codes a cycle. Pipeline: products (wires, for powers of two) | sums: 2 cycles.
`default_nettype none
module cs_add #(
    parameter A_BITS   = 8,
    parameter A_SIGNED = 0,
    parameter B_BITS   = 8,
    parameter B_SIGNED = 1,
    parameter Y_BITS   = 12,
    parameter FACTOR_A = 1,
    parameter FACTOR_B = 4,
    parameter LANES    = 2,
    // derived: leave alone
    parameter A_WIDTH  = LANES * A_BITS,
    parameter B_WIDTH  = LANES * B_BITS,
    parameter Y_WIDTH  = LANES * Y_BITS
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire [A_WIDTH-1:0] a_data,
    input  wire               a_valid,
    output wire               a_ready,
    input  wire [B_WIDTH-1:0] b_data,
    input  wire               b_valid,
    output wire               b_ready,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [Y_WIDTH-1:0] y_data
);
    wire start = a_valid && b_valid && y_room;
    assign a_ready = start;
    assign b_ready = start;
    assign y_claim = start;

    logic [1:0] writes;
    assign y_valid = writes[1];
    always_ff @(posedge aclk) begin
        if (!aresetn) writes <= '0;
        else writes <= {writes[0], start};
    end

    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : g_lane
            // Products and sum fit Y_BITS, in which signed and unsigned numbers add alike.
            wire [A_BITS-1:0] a = a_data[l*A_BITS+:A_BITS];
            wire [B_BITS-1:0] b = b_data[l*B_BITS+:B_BITS];
            logic [Y_BITS-1:0] term_a, term_b, sum;
            always_ff @(posedge aclk) begin
                term_a <= (A_SIGNED != 0 ? Y_BITS'($signed(a)) : Y_BITS'(a)) * Y_BITS'(FACTOR_A);
                term_b <= (B_SIGNED != 0 ? Y_BITS'($signed(b)) : Y_BITS'(b)) * Y_BITS'(FACTOR_B);
                sum    <= term_a + term_b;
            end
            assign y_data[l*Y_BITS+:Y_BITS] = sum;
        end
    endgenerate
endmodule
`default_nettype wire
