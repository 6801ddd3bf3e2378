// One matrix times every pixel's channel vector: PE outputs and SIMD inputs of PIXELS pixels a cycle.
//
// Order of work: for each input beat, each chunk of SIMD lanes, each fold of PE outputs. A beat stays in its FIFO until its
// last step. Pipeline: chunk | (chunk and weights, where these change) | products | (borrow) | adder tree | accumulators, a
// ring of FOLDS.
`default_nettype none
module cs_matrix_vector #(
    parameter X_BITS   = 8,
    parameter X_SIGNED = 0,
    parameter W_BITS   = 8,
    parameter Y_BITS   = 20,
    parameter PIXELS   = 1,
    parameter PE       = 2,   // outputs of a pixel
    parameter SIMD     = 3,
    parameter CHUNKS   = 2,   // of a beat's vector
    parameter FOLDS    = 2,
    parameter BEATS    = 2,   // of a vector
    parameter PAIRED   = 1,
    // derived: leave alone
    parameter X_WIDTH  = PIXELS * CHUNKS * SIMD * X_BITS,
    parameter Y_WIDTH  = PIXELS * PE * Y_BITS,
    parameter TILES    = BEATS * CHUNKS * FOLDS,
    parameter A_BITS   = TILES > 1 ? $clog2(TILES) : 1,
    parameter W_WIDTH  = PAIRED != 0 ? (PE + 1) / 2 * SIMD * (2 * W_BITS + 1) : PE * SIMD * W_BITS
) (
    input  wire               aclk,
    input  wire               aresetn,
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
    localparam P_BITS = X_BITS + W_BITS;
    localparam LOOKUP = TILES > 1 ? 2 : 1;  // cycles of the ROM, which the chunk waits for
    localparam SUMMED = LOOKUP + (PAIRED != 0 ? 2 : 1) + $clog2(SIMD);  // cycles until a chunk's sum is there
    localparam ACCUMULATES = BEATS * CHUNKS > 1 ? 1 : 0;
    localparam D = SUMMED + ACCUMULATES;
    localparam F_BITS = FOLDS > 1 ? $clog2(FOLDS) : 1;
    localparam C_BITS = CHUNKS > 1 ? $clog2(CHUNKS) : 1;

    // The controller.
    logic [F_BITS-1:0] fold;
    logic [C_BITS-1:0] chunk;
    logic [A_BITS-1:0] tile;
    logic              first, last;  // steps of a vector's first chunk, of its last
    wire               fold_ends = fold == F_BITS'(FOLDS - 1);
    wire               beat_ends = fold_ends && chunk == C_BITS'(CHUNKS - 1);
    wire               ends = tile == A_BITS'(TILES - 1);
    wire               start = x_valid && (!last || y_room);
    assign x_ready = start && beat_ends;
    assign y_claim = start && last;
    assign weights_address = tile;

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            fold  <= '0;
            chunk <= '0;
            tile  <= '0;
            first <= 1'b1;
            last  <= TILES == FOLDS;
        end else if (start) begin
            fold <= fold_ends ? '0 : fold + 1'b1;
            if (fold_ends) chunk <= beat_ends ? '0 : chunk + 1'b1;
            tile <= ends ? '0 : tile + 1'b1;
            if (fold_ends) begin
                first <= ends;
                last  <= TILES == FOLDS || tile == A_BITS'(TILES - FOLDS - 1);
            end
        end
    end

    // Valid bits, and the chunk's place in its vector.
    logic [D-1:0] writes;
    always_ff @(posedge aclk) begin
        if (!aresetn) writes <= '0;
        else writes <= D'({writes, y_claim});
    end
    assign y_valid = writes[D-1];

    wire moves, fresh;  // a chunk's sum is there; it is its vector's first
    generate
        if (ACCUMULATES != 0) begin : g_flags
            logic [SUMMED-1:0] steps, firsts;
            always_ff @(posedge aclk) begin
                if (!aresetn) steps <= '0;
                else steps <= SUMMED'({steps, start});
                firsts <= SUMMED'({firsts, first});
            end
            assign moves = steps[SUMMED-1];
            assign fresh = firsts[SUMMED-1];
        end else begin : g_no_flags
            assign moves = 1'b0;
            assign fresh = first;
            // verilator lint_off UNUSEDSIGNAL
            wire unused = &{1'b0, moves, fresh};
            // verilator lint_on UNUSEDSIGNAL
        end
    endgenerate

    genvar g, o;
    generate
        for (g = 0; g < PIXELS; g = g + 1) begin : g_pixel
            wire [CHUNKS*SIMD*X_BITS-1:0] vector = x_data[g*CHUNKS*SIMD*X_BITS+:CHUNKS*SIMD*X_BITS];
            logic [LOOKUP*SIMD*X_BITS-1:0] parts;  // newest in the low bits
            always_ff @(posedge aclk)
                parts <= (LOOKUP * SIMD * X_BITS)'({parts, vector[chunk*(SIMD*X_BITS)+:SIMD*X_BITS]});
            wire [SIMD*X_BITS-1:0] part = parts[(LOOKUP-1)*SIMD*X_BITS+:SIMD*X_BITS];

            wire [PE*SIMD*P_BITS-1:0] products  /* verilator split_var */;
            cs_products #(
                .COUNT   (PE),
                .SIMD    (SIMD),
                .X_BITS  (X_BITS),
                .X_SIGNED(X_SIGNED),
                .W_BITS  (W_BITS),
                .PAIRED  (PAIRED)
            ) multiply (
                .aclk(aclk),
                .x   (part),
                .w   (weights_data),
                .p   (products)
            );

            for (o = 0; o < PE; o = o + 1) begin : g_output
                wire [Y_BITS-1:0] sum;
                cs_adder_tree #(
                    .TERMS (SIMD),
                    .X_BITS(P_BITS),
                    .Y_BITS(Y_BITS)
                ) tree (
                    .aclk(aclk),
                    .x   (products[o*SIMD*P_BITS+:SIMD*P_BITS]),
                    .y   (sum)
                );
                if (ACCUMULATES != 0) begin : g_accumulate
                    logic [FOLDS*Y_BITS-1:0] ring;  // newest in the low bits
                    wire  [Y_BITS-1:0] old = fresh ? '0 : ring[(FOLDS-1)*Y_BITS+:Y_BITS];
                    always_ff @(posedge aclk) begin
                        if (moves) ring <= (FOLDS * Y_BITS)'({ring, old + sum});
                    end
                    assign y_data[(g*PE+o)*Y_BITS+:Y_BITS] = ring[Y_BITS-1:0];
                end else begin : g_direct
                    assign y_data[(g*PE+o)*Y_BITS+:Y_BITS] = sum;
                end
            end
        end
    endgenerate
endmodule
`default_nettype wire
