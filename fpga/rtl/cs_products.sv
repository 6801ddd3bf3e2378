// COUNT outputs times SIMD inputs of products: p[o][k] = x[k] * w[o][k], all signed, P_BITS = X_BITS + W_BITS each.
//
// PAIRED puts two products that share x into one multiplier: x * (w1 2^P_BITS + w0) holds x w0 in its low bits, and
// above them x w1, less one when x w0 is negative. The ROM stores w1 2^W_BITS + w0, so widening is wires alone. A
// 25 x 18 multiplier takes a pair when 2 W_BITS + X_BITS + 1 <= 25. Cycles: 1, and 1 more for the borrow when PAIRED.
`default_nettype none
module cs_products #(
    parameter COUNT    = 2,
    parameter SIMD     = 4,
    parameter X_BITS   = 8,
    parameter X_SIGNED = 0,
    parameter W_BITS   = 8,
    parameter PAIRED   = 1,
    // derived: leave alone
    parameter P_BITS   = X_BITS + W_BITS,
    parameter W_WIDTH  = PAIRED != 0 ? (COUNT + 1) / 2 * SIMD * (2 * W_BITS + 1) : COUNT * SIMD * W_BITS
) (
    input  wire                         aclk,
    input  wire [SIMD*X_BITS-1:0]       x,
    input  wire [W_WIDTH-1:0]           w,
    output wire [COUNT*SIMD*P_BITS-1:0] p
);
    localparam S_BITS = X_BITS + (X_SIGNED != 0 ? 0 : 1);  // x as a signed number
    genvar o, k;
    generate
        for (k = 0; k < SIMD; k = k + 1) begin : g_input
            wire signed [S_BITS-1:0] factor;
            if (X_SIGNED != 0) begin : g_signed
                assign factor = x[k*X_BITS+:X_BITS];
            end else begin : g_unsigned
                assign factor = {1'b0, x[k*X_BITS+:X_BITS]};
            end
            if (PAIRED != 0) begin : g_pairs
                for (o = 0; o < COUNT; o = o + 2) begin : g_pair
                    localparam AT = (o / 2 * SIMD + k) * (2 * W_BITS + 1);
                    wire [2*W_BITS:0] stored = w[AT+:2*W_BITS+1];
                    wire signed [P_BITS+W_BITS:0] both = {
                        stored[2*W_BITS:W_BITS], {X_BITS{stored[W_BITS-1]}}, stored[W_BITS-1:0]
                    };
                    logic signed [2*P_BITS-1:0] product;  // |x w1| < 2^(P_BITS-1), so nothing is lost
                    logic [P_BITS-1:0] low;
                    always_ff @(posedge aclk) begin
                        product <= (2 * P_BITS)'(both) * (2 * P_BITS)'(factor);
                        low     <= product[P_BITS-1:0];
                    end
                    assign p[(o*SIMD+k)*P_BITS+:P_BITS] = low;
                    if (o + 1 < COUNT) begin : g_high
                        logic [P_BITS-1:0] high;
                        always_ff @(posedge aclk) high <= product[2*P_BITS-1:P_BITS] + P_BITS'(product[P_BITS-1]);
                        assign p[((o+1)*SIMD+k)*P_BITS+:P_BITS] = high;
                    end
                    // verilator lint_off UNUSEDSIGNAL
                    wire unused = &{1'b0, product};
                    // verilator lint_on UNUSEDSIGNAL
                end
            end else begin : g_singles
                for (o = 0; o < COUNT; o = o + 1) begin : g_single
                    wire signed [W_BITS-1:0] weight = w[(o*SIMD+k)*W_BITS+:W_BITS];
                    logic signed [P_BITS-1:0] product;
                    always_ff @(posedge aclk) product <= P_BITS'(factor) * P_BITS'(weight);
                    assign p[(o*SIMD+k)*P_BITS+:P_BITS] = product;
                end
            end
        end
    endgenerate
endmodule
`default_nettype wire
