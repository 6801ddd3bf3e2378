// cs_matrix_vector at several widths: the loops of a narrower one leave out folds and, of every pixel of a vector, beats.
//
// The ROM has the tiles of the widest, in its order: pixel, beat, chunk, fold. A narrower width skips what it leaves out:
// CHUNK_SKIPS tiles on from a chunk's last fold, PIXEL_SKIPS from a pixel's. A frame that steps up begins with tile FIRSTS, and
// where it KEEPS, its sums begin with those of the frame before. A token on `width` says which of WIDTHS a frame is; it leaves
// its FIFO in the frame's last step. Pipeline as in cs_matrix_vector, but for sums in a memory of MAX_FOLDS.
`default_nettype none
module cs_slim_matrix_vector #(
    parameter X_BITS      = 8,
    parameter X_SIGNED    = 0,
    parameter W_BITS      = 8,
    parameter Y_BITS      = 20,
    parameter PE          = 2,
    parameter SIMD        = 3,
    parameter PAIRED      = 0,
    parameter CHUNKS      = 2,   // of a beat
    parameter PIXELS      = 1,   // of a flattened map in a vector, 1 for a convolution
    parameter VECTORS     = 4,   // of a frame
    parameter MAX_FOLDS   = 2,
    parameter MAX_BEATS   = 2,   // of a pixel
    parameter WIDTHS      = 2,
    parameter [32*WIDTHS-1:0] FOLDS       = {32'd2, 32'd1},
    parameter [32*WIDTHS-1:0] BEATS       = {32'd2, 32'd1},
    parameter [32*WIDTHS-1:0] CHUNK_SKIPS = {32'd1, 32'd2},
    parameter [32*WIDTHS-1:0] PIXEL_SKIPS = {32'd1, 32'd6},
    parameter [32*WIDTHS-1:0] FIRSTS      = {32'd0, 32'd0},
    parameter [32*WIDTHS-1:0] KEEPS       = {32'd0, 32'd0},
    // derived: leave alone
    parameter V_BITS      = $clog2(WIDTHS),
    parameter X_WIDTH     = CHUNKS * SIMD * X_BITS,
    parameter Y_WIDTH     = PE * Y_BITS,
    parameter TILES       = PIXELS * MAX_BEATS * CHUNKS * MAX_FOLDS,
    parameter A_BITS      = TILES > 1 ? $clog2(TILES) : 1,
    parameter W_WIDTH     = PAIRED != 0 ? (PE + 1) / 2 * SIMD * (2 * W_BITS + 1) : PE * SIMD * W_BITS
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
    localparam P_BITS = X_BITS + W_BITS;
    localparam LOOKUP = TILES > 1 ? 2 : 1;  // cycles of the ROM, which the chunk waits for
    localparam SUMMED = LOOKUP + (PAIRED != 0 ? 2 : 1) + $clog2(SIMD);  // cycles until a chunk's sum is there
    localparam ACCUMULATES = PIXELS * MAX_BEATS * CHUNKS > 1 ? 1 : 0;
    localparam D = SUMMED + ACCUMULATES;
    localparam F_BITS = $clog2(MAX_FOLDS + 1);
    localparam S_BITS = MAX_FOLDS > 1 ? $clog2(MAX_FOLDS) : 1;
    localparam C_BITS = CHUNKS > 1 ? $clog2(CHUNKS) : 1;
    localparam B_BITS = $clog2(MAX_BEATS + 1);
    localparam P_COUNT_BITS = PIXELS > 1 ? $clog2(PIXELS) : 1;
    localparam N_BITS = VECTORS > 1 ? $clog2(VECTORS) : 1;

    // The sizes of this frame's width.
    wire [F_BITS-1:0] folds = F_BITS'(FOLDS[32*width_data+:32]);
    wire [B_BITS-1:0] beats = B_BITS'(BEATS[32*width_data+:32]);
    wire [A_BITS-1:0] chunk_skip = A_BITS'(CHUNK_SKIPS[32*width_data+:32]);
    wire [A_BITS-1:0] pixel_skip = A_BITS'(PIXEL_SKIPS[32*width_data+:32]);
    wire [A_BITS-1:0] first_tile = A_BITS'(FIRSTS[32*width_data+:32]);
    wire              keeps = KEEPS[32*width_data];

    // The controller.
    logic [F_BITS-1:0]       fold;
    logic [C_BITS-1:0]       chunk;
    logic [B_BITS-1:0]       beat;
    logic [P_COUNT_BITS-1:0] pixel;
    logic [N_BITS-1:0]       vector;
    logic [A_BITS-1:0]       tile;
    logic                    first;  // steps of a vector's first chunk
    wire fold_ends = fold == folds - 1'b1;
    wire last_chunk = chunk == C_BITS'(CHUNKS - 1);
    wire last_beat = beat == beats - 1'b1;
    wire last_pixel = pixel == P_COUNT_BITS'(PIXELS - 1);
    wire last = last_chunk && last_beat && last_pixel;  // steps of a vector's last chunk
    wire ends = fold_ends && last;
    wire frame_ends = ends && vector == N_BITS'(VECTORS - 1);
    wire start = width_valid && x_valid && (!last || y_room);
    assign x_ready = start && fold_ends && last_chunk;
    assign y_claim = start && last;
    assign width_ready = start && frame_ends;
    assign weights_address = first_tile + tile;

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            fold   <= '0;
            chunk  <= '0;
            beat   <= '0;
            pixel  <= '0;
            vector <= '0;
            tile   <= '0;
            first  <= 1'b1;
        end else if (start) begin
            fold <= fold_ends ? '0 : fold + 1'b1;
            if (fold_ends) begin
                chunk <= last_chunk ? '0 : chunk + 1'b1;
                if (last_chunk) beat <= last_beat ? '0 : beat + 1'b1;
                if (last_chunk && last_beat) pixel <= last_pixel ? '0 : pixel + 1'b1;
                first <= last;
            end
            if (ends) vector <= frame_ends ? '0 : vector + 1'b1;
            if (!fold_ends) tile <= tile + 1'b1;
            else if (last) tile <= '0;
            else tile <= tile + (last_chunk && last_beat ? pixel_skip : chunk_skip);
        end
    end

    // Valid bits, and the chunk's place in its vector.
    logic [D-1:0] writes;
    always_ff @(posedge aclk) begin
        if (!aresetn) writes <= '0;
        else writes <= D'({writes, y_claim});
    end
    assign y_valid = writes[D-1];

    wire              moves, fresh;  // a chunk's sum is there; it is its vector's first
    wire [F_BITS-1:0] place;         // of which fold
    generate
        if (ACCUMULATES != 0) begin : g_flags
            logic [SUMMED-1:0]        steps, firsts;
            logic [SUMMED*F_BITS-1:0] places;  // newest in the low bits
            always_ff @(posedge aclk) begin
                if (!aresetn) steps <= '0;
                else steps <= SUMMED'({steps, start});
                firsts <= SUMMED'({firsts, first && !keeps});
                places <= (SUMMED * F_BITS)'({places, fold});
            end
            assign moves = steps[SUMMED-1];
            assign fresh = firsts[SUMMED-1];
            assign place = places[(SUMMED-1)*F_BITS+:F_BITS];
        end else begin : g_no_flags
            assign moves = 1'b0;
            assign fresh = first && !keeps;
            assign place = fold;
            // verilator lint_off UNUSEDSIGNAL
            wire unused = &{1'b0, moves, fresh, place};
            // verilator lint_on UNUSEDSIGNAL
        end
    endgenerate

    logic [LOOKUP*SIMD*X_BITS-1:0] parts;  // newest in the low bits
    always_ff @(posedge aclk) parts <= (LOOKUP * SIMD * X_BITS)'({parts, x_data[chunk*(SIMD*X_BITS)+:SIMD*X_BITS]});
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
        .x   (parts[(LOOKUP-1)*SIMD*X_BITS+:SIMD*X_BITS]),
        .w   (weights_data),
        .p   (products)
    );

    genvar o;
    generate
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
                cs_slim_sums #(
                    .Y_BITS(Y_BITS),
                    .PLACES(MAX_FOLDS)
                ) total (
                    .aclk (aclk),
                    .moves(moves),
                    .fresh(fresh),
                    .place(place[S_BITS-1:0]),
                    .x    (sum),
                    .y    (y_data[o*Y_BITS+:Y_BITS])
                );
            end else begin : g_direct
                assign y_data[o*Y_BITS+:Y_BITS] = sum;
            end
        end
    endgenerate
    // verilator lint_off UNUSEDSIGNAL
    wire unused_place = &{1'b0, place};
    // verilator lint_on UNUSEDSIGNAL
endmodule
`default_nettype wire
