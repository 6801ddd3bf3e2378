// Every channel's kernel window times that channel's own weights: SIMD positions of PE channels of PIXELS pixels a cycle.
//
// Order of work: for each beat, each fold of PE channels, each chunk of SIMD positions. A beat stays in its FIFO until its
// last step; neighbouring pixels share their weights. Pipeline: slices | (slices and
// weights, where these change) | products | adder tree | (sums).
`default_nettype none
module cs_channel_dot #(
    parameter X_BITS   = 8,
    parameter X_SIGNED = 0,
    parameter W_BITS   = 8,
    parameter Y_BITS   = 20,
    parameter PIXELS   = 1,
    parameter PE       = 2,   // channels of a pixel
    parameter SIMD     = 3,
    parameter CHUNKS   = 3,   // of a window
    parameter FOLDS    = 2,   // of a beat's channels
    parameter TILES    = 6,   // words of weights: every chunk of all channels
    // derived: leave alone
    parameter X_WIDTH  = PIXELS * PE * FOLDS * CHUNKS * SIMD * X_BITS,
    parameter Y_WIDTH  = PIXELS * PE * Y_BITS,
    parameter A_BITS   = TILES > 1 ? $clog2(TILES) : 1,
    parameter W_WIDTH  = PE * SIMD * W_BITS
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
    localparam OUTPUTS = PIXELS * PE;
    localparam STEPS = FOLDS * CHUNKS;  // of a beat
    localparam SLICE = SIMD * X_BITS;
    localparam P_BITS = X_BITS + W_BITS;
    localparam LOOKUP = TILES > 1 ? 2 : 1;  // cycles of the ROM, which the slices wait for
    localparam SUMMED = LOOKUP + 1 + $clog2(SIMD);  // cycles until a chunk's sum is there
    localparam D = CHUNKS > 1 ? SUMMED + 1 : SUMMED;
    localparam S_BITS = STEPS > 1 ? $clog2(STEPS) : 1;
    localparam C_BITS = CHUNKS > 1 ? $clog2(CHUNKS) : 1;

    // The controller.
    logic [A_BITS-1:0] tile;
    logic [S_BITS-1:0] step;
    logic [C_BITS-1:0] chunk;
    wire               beat_ends = step == S_BITS'(STEPS - 1);
    wire               first = chunk == '0;
    wire               last = chunk == C_BITS'(CHUNKS - 1);
    wire               start = x_valid && (!last || y_room);
    assign x_ready = start && beat_ends;
    assign y_claim = start && last;
    assign weights_address = tile;

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            tile  <= '0;
            step  <= '0;
            chunk <= '0;
        end else if (start) begin
            tile  <= tile == A_BITS'(TILES - 1) ? '0 : tile + 1'b1;
            step  <= beat_ends ? '0 : step + 1'b1;
            chunk <= last ? '0 : chunk + 1'b1;
        end
    end

    cs_valid #(
        .D(D)
    ) valid (
        .aclk   (aclk),
        .aresetn(aresetn),
        .x      (y_claim),
        .y      (y_valid)
    );

    genvar s, o;
    generate
        // The slices of every step side by side.
        wire [STEPS*OUTPUTS*SLICE-1:0] slices;
        for (s = 0; s < STEPS; s = s + 1) begin : g_step
            for (o = 0; o < OUTPUTS; o = o + 1) begin : g_slice
                localparam FROM = (s / CHUNKS * OUTPUTS + o) * CHUNKS + s % CHUNKS;
                assign slices[(s*OUTPUTS+o)*SLICE+:SLICE] = x_data[FROM*SLICE+:SLICE];
            end
        end
        logic [LOOKUP*OUTPUTS*SLICE-1:0] parts;  // newest in the low bits
        always_ff @(posedge aclk)
            parts <= (LOOKUP * OUTPUTS * SLICE)'({parts, slices[step*(OUTPUTS*SLICE)+:OUTPUTS*SLICE]});
        wire [OUTPUTS*SLICE-1:0] part = parts[(LOOKUP-1)*OUTPUTS*SLICE+:OUTPUTS*SLICE];

        wire [OUTPUTS*Y_BITS-1:0] dots;
        for (o = 0; o < OUTPUTS; o = o + 1) begin : g_output
            wire [SIMD*P_BITS-1:0] products;
            cs_products #(
                .COUNT   (1),
                .SIMD    (SIMD),
                .X_BITS  (X_BITS),
                .X_SIGNED(X_SIGNED),
                .W_BITS  (W_BITS),
                .PAIRED  (0)
            ) multiply (
                .aclk(aclk),
                .x   (part[o*SLICE+:SLICE]),
                .w   (weights_data[o%PE*SIMD*W_BITS+:SIMD*W_BITS]),
                .p   (products)
            );
            cs_adder_tree #(
                .TERMS (SIMD),
                .X_BITS(P_BITS),
                .Y_BITS(Y_BITS)
            ) tree (
                .aclk(aclk),
                .x   (products),
                .y   (dots[o*Y_BITS+:Y_BITS])
            );
        end

        if (CHUNKS > 1) begin : g_accumulate
            // The sums stand still while no chunk comes.
            logic [SUMMED-1:0] starts, firsts;
            always_ff @(posedge aclk) begin
                if (!aresetn) starts <= '0;
                else starts <= SUMMED'({starts, start});
                firsts <= SUMMED'({firsts, first});
            end
            wire moves = starts[SUMMED-1];
            wire fresh = firsts[SUMMED-1];
            for (o = 0; o < OUTPUTS; o = o + 1) begin : g_sum
                logic [Y_BITS-1:0] sum;
                wire  [Y_BITS-1:0] old = fresh ? '0 : sum;
                always_ff @(posedge aclk) if (moves) sum <= old + dots[o*Y_BITS+:Y_BITS];
                assign y_data[o*Y_BITS+:Y_BITS] = sum;
            end
        end else begin : g_direct
            assign y_data = dots;
            // verilator lint_off UNUSEDSIGNAL
            wire unused = &{1'b0, first};
            // verilator lint_on UNUSEDSIGNAL
        end
    endgenerate
endmodule
`default_nettype wire
