// Exits where the entropy of the softmax is below a threshold: code = an upper bound of ln S + U / S, in units of
// 2^-FRACTION_BITS, with S and U the sums of the two exponentials in the ROM. Proofs: docs/exit_unit.md.
//
// The logarithm multiplies `grown`, at first the largest power of two in S, by 1 + 2^-k wherever the product stays at or
// below S, and adds up the logarithms of these factors. `rest` is S - `grown`: one subtraction compares and updates.
// The quotient refines U - 1/2^STEPS without restoring: a remainder below 0 is added to in the next step, and its sign
// is the quotient's bit. One more than that quotient is U / S rounded up, and it needs no look at the last remainder.
`default_nettype none
module cs_exit_entropy #(
    parameter CLASSES = 10,
    parameter X_BITS = 12,
    parameter X_SIGNED = 1,
    parameter ENTRIES = 1024,
    parameter WORD_BITS = 36,
    parameter WEIGHTED_BITS = 17,
    parameter FRACTION_BITS = 18,
    parameter GUARD_BITS = 6,  // fraction bits of the logarithm beyond those of the code
    parameter STEPS = 19,
    parameter LN_BITS = 26,
    parameter CODE_BITS = 21,
    parameter BLOCK = 0,
    // derived: leave alone
    parameter A_BITS = $clog2(ENTRIES),
    parameter POWERS = $clog2(CLASSES + 1),
    parameter FACTOR_BITS = STEPS <= 20 && POWERS <= 12 ? 5 : 6,
    parameter L_WIDTH = LN_BITS << FACTOR_BITS
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
    input  wire [WORD_BITS-1:0] rom_data,
    input  wire [L_WIDTH-1:0]   ln_data  // the factors' logarithms, by their codes
);
    localparam STEP_BITS = $clog2(STEPS);
    localparam ONE = FRACTION_BITS + GUARD_BITS;
    localparam SUM_BITS = FRACTION_BITS + POWERS;
    localparam GROWN_BITS = SUM_BITS + GUARD_BITS;
    localparam RATIO_BITS = STEPS - FRACTION_BITS;  // of U / S, before the point
    localparam SHIFT_BITS = GROWN_BITS - 1;
    localparam PART_BITS = SUM_BITS + RATIO_BITS + 1;

    wire                 clear, add, beyond, load, normalize, refine;
    wire [STEP_BITS-1:0] step;
    wire [14:0]          best;

    cs_exit_passes #(
        .CLASSES(CLASSES), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .ENTRIES(ENTRIES), .STEPS(STEPS),
        .BLOCK(BLOCK)
    ) passes (
        .aclk, .aresetn, .x_data, .x_valid, .x_ready, .y_room, .y_claim, .y_valid, .rom_address,
        .clear, .add, .beyond, .load, .normalize, .refine, .step, .best
    );

    // While the words come in, `rest` adds up S and `grown` U. A class beyond the table adds one unit to U alone.
    // Declared in this order, Yosys puts the register on the carry chain itself and folds what is added into its LUTs.
    logic [GROWN_BITS-1:0] rest_change, grown_change;
    logic [GROWN_BITS-1:0] rest, grown;
    wire  [GROWN_BITS-1:0] exp = GROWN_BITS'(rom_data[WORD_BITS-1:WEIGHTED_BITS]) << GUARD_BITS;
    wire  [GROWN_BITS-1:0] weighted = GROWN_BITS'(rom_data[WEIGHTED_BITS-1:0]);

    // The first factor is the largest power of two in S. It is a step like the others, in which `grown` and its shift are 0,
    // so that `rest` only loses the power's bit and `grown` gets it. No adder waits for it.
    wire  [POWERS-1:0] whole = rest[GROWN_BITS-1:ONE];
    logic [POWERS-1:0] largest, power;
    always_comb begin
        for (int e = 0; e < POWERS; e++) largest[e] = load && whole[e] && whole >> (e + 1) == '0;
    end

    // A step's code selects its shift: 0 to 3, and 0 to 3 fours, both in Gray code, so that the multiplexers of
    // neighbouring bits have no half in common and each is one LUT of six inputs; then more fours, behind three.
    // Kept, the two stages are not torn up for sharing. The powers have codes that are no step's.
    wire  [4:0]             k = 5'(step);
    logic [FACTOR_BITS-1:0] next_factor, factor;
    always_comb begin
        next_factor = FACTOR_BITS'({2'd0, k[3], k[3] ^ k[2], k[1], k[1] ^ k[0]});
        if (k[4]) next_factor = FACTOR_BITS'({k[3:2] + 2'd1, 2'b10, k[1], k[1] ^ k[0]});
        for (int e = 0; e < POWERS; e++)
            if (largest[e]) next_factor = next_factor | FACTOR_BITS'(e < 8 ? 16 + e : 20 + e);
    end
    always_ff @(posedge aclk) begin
        power  <= largest;
        factor <= next_factor;
    end
    wire [SHIFT_BITS-1:0] grown_1 = grown[GROWN_BITS-1:1];  // every step shifts by one at least
    (* keep *) wire [SHIFT_BITS-1:0] near, far;
    assign near = factor[1] ? (factor[0] ? grown_1 >> 2 : grown_1 >> 3) : (factor[0] ? grown_1 >> 1 : grown_1);
    assign far = factor[3] ? (factor[2] ? near >> 8 : near >> 12) : (factor[2] ? near >> 4 : near);
    wire [SHIFT_BITS-13:0] farther = (SHIFT_BITS - 12)'(far >> {factor[FACTOR_BITS-1:4], 2'b00});
    wire [GROWN_BITS-1:0] growth = {1'b0, far[SHIFT_BITS-1-:12], farther};
    wire [GROWN_BITS-1:0] first = {power, {ONE{1'b0}}};
    wire                   taken;
    wire [GROWN_BITS-1:0]  rest_next;
    assign rest_change = add ? exp : ~growth;
    assign grown_change = add ? weighted : beyond ? '0 : growth | first;
    assign {taken, rest_next} = {1'b0, rest} + {1'b0, rest_change} + (GROWN_BITS + 1)'(!add);

    logic [SUM_BITS-1:0]   sum;
    always_ff @(posedge aclk) begin
        if (clear) rest <= '0;
        else if (add || ((normalize || refine) && taken)) rest <= rest_next & ~first;
        if (clear || load) grown <= '0;
        else if (add || beyond || ((normalize || refine) && taken)) grown <= grown + grown_change + GROWN_BITS'(beyond);
        if (load) sum <= rest[GROWN_BITS-1:GUARD_BITS];
    end

    wire  [LN_BITS-1:0] ln_factor;
    logic [LN_BITS-1:0] ln;
    assign ln_factor = ln_data[factor*LN_BITS+:LN_BITS];
    always_ff @(posedge aclk) begin
        if (clear) ln <= '0;
        else if ((normalize || refine) && taken) ln <= ln + ln_factor;
    end

    // Zeros come in below the point of U; of U - 1/2^STEPS they are ones. `part` starts from -1 and loads U - 1.
    logic [PART_BITS-1:0] part;
    logic [STEPS-1:0]     quotient;
    wire                  below = part[PART_BITS-1];
    wire  [PART_BITS-1:0] divisor = PART_BITS'(sum) << RATIO_BITS;
    wire  [PART_BITS-1:0] change = load ? PART_BITS'(grown) : below ? divisor : ~divisor;
    always_ff @(posedge aclk) begin
        if (clear) part <= '1;
        else if (load || refine) part <= {part[PART_BITS-2:0], 1'b1} + change + PART_BITS'(!load && !below);
        if (refine) quotient <= {quotient[STEPS-2:0], !below};
    end

    // The first sign bit is below 0 only for U = 0, whose quotient is -1.
    wire [CODE_BITS-1:0] floor = {{(CODE_BITS - STEPS) {!quotient[STEPS-1]}}, quotient[STEPS-2:0], !below};
    wire [CODE_BITS-1:0] code = floor + CODE_BITS'(ln[LN_BITS-1:GUARD_BITS]) + 1'b1;
    wire                 high = threshold >> CODE_BITS != '0;
    assign y_data = {high || code < threshold[CODE_BITS-1:0], best, 32'(code)};
endmodule
`default_nettype wire
