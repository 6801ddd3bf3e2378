// Exits where the largest softmax probability is above a threshold: code = an upper bound of 1 / p_max - 1 = S - 1, in
// units of 2^-FRACTION_BITS, with S the sum of the exponentials in the ROM. Proofs: docs/exit_unit.md.
`default_nettype none
module cs_exit_max_probability #(
    parameter CLASSES = 10,
    parameter X_BITS = 12,
    parameter X_SIGNED = 1,
    parameter ENTRIES = 1024,
    parameter WORD_BITS = 19,
    parameter FRACTION_BITS = 18,
    parameter BLOCK = 0,
    // derived: leave alone
    parameter A_BITS = $clog2(ENTRIES)
) (
    input  wire                 aclk,
    input  wire                 aresetn,
    input  wire [X_BITS-1:0]    x_data,
    input  wire                 x_valid,
    output wire                 x_ready,
    input  wire                 y_room,
    output wire                 y_claim,
    output wire                 y_valid,
    output wire [47:0]          y_data,
    input  wire [31:0]          threshold,
    output wire [A_BITS-1:0]    rom_address,
    input  wire [WORD_BITS-1:0] rom_data
);
    // The odds fit where the sum does: they start from -1, which the largest logit's own 1 brings to 0.
    localparam ODDS_BITS = FRACTION_BITS + $clog2(CLASSES + 1);
    localparam [ODDS_BITS-1:0] MINUS_ONE = {ODDS_BITS{1'b1}} << FRACTION_BITS;

    wire                  clear, add, beyond;
    wire [14:0]           best;
    logic [ODDS_BITS-1:0] odds;
    logic [31:0]          code;

    /* verilator lint_off PINCONNECTEMPTY */
    cs_exit_passes #(
        .CLASSES(CLASSES), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .ENTRIES(ENTRIES), .BLOCK(BLOCK)
    ) passes (
        .aclk, .aresetn, .x_data, .x_valid, .x_ready, .y_room, .y_claim, .y_valid, .rom_address,
        .clear, .add, .beyond, .load(), .normalize(), .refine(), .step(), .best
    );
    /* verilator lint_on PINCONNECTEMPTY */

    always_ff @(posedge aclk) begin
        if (clear) odds <= MINUS_ONE;
        else if (add || beyond) odds <= odds + (add ? ODDS_BITS'(rom_data) : ODDS_BITS'(1));
    end

    generate
        if (ODDS_BITS > 32) begin : g_saturate
            assign code = odds[ODDS_BITS-1:32] != '0 ? '1 : odds[31:0];
        end else begin : g_exact
            assign code = 32'(odds);
        end
    endgenerate
    assign y_data = {code < threshold, best, code};
endmodule
`default_nettype wire
