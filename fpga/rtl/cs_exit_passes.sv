// What an exit unit with an exponential table does with a frame: one pass over the logits finds the largest, a second
// one looks up the distance of each to it. Then the unit refines the sums, and a decision leaves.
//
// The controller walks Read, Lookup, Drain, Normalize, Refine and Write, a step a cycle. The ROM answers two cycles after
// its address, and all behind it follows the controller two cycles late: `clear`, `add`, `beyond`, `load`, `normalize` and
// `refine` say what to do with the sums in that cycle, and `step` counts the refinements of the coming cycle from 0. The
// next frame may begin meanwhile.
//
// Distances beyond the table are worth what its last entry is, and the ROM need not be asked for it.
`default_nettype none
module cs_exit_passes #(
    parameter CLASSES = 10,
    parameter X_BITS = 12,
    parameter X_SIGNED = 1,
    parameter ENTRIES = 1024,
    parameter STEPS = 0,  // of refinement; 0: no normalization either
    parameter BLOCK = 0,  // 1: keeps the logits in block RAM, 0: in distributed RAM
    // derived: leave alone
    parameter STEP_BITS = STEPS > 1 ? $clog2(STEPS) : 1,
    parameter A_BITS = $clog2(ENTRIES)
) (
    input  wire                  aclk,
    input  wire                  aresetn,
    input  wire  [X_BITS-1:0]    x_data,
    input  wire                  x_valid,
    output wire                  x_ready,
    input  wire                  y_room,
    output wire                  y_claim,
    output logic                 y_valid,
    output wire  [A_BITS-1:0]    rom_address,
    output logic                 clear,
    output logic                 add,      // the ROM has the word of a class
    output logic                 beyond,  // a class lies beyond the table
    output logic                 load,     // the sums are complete
    output logic                 normalize,
    output logic                 refine,
    output logic [STEP_BITS-1:0] step,
    output wire  [14:0]          best      // the smallest index of a largest logit, with y_valid
);
    localparam CLASS_BITS = $clog2(CLASSES);
    localparam COUNT_BITS = CLASS_BITS > STEP_BITS ? CLASS_BITS : STEP_BITS;
    localparam [COUNT_BITS-1:0] LAST_CLASS = COUNT_BITS'(CLASSES - 1);
    localparam [COUNT_BITS-1:0] LAST_STEP = COUNT_BITS'(STEPS - 1);
    localparam [2:0] READ = 3'd0, LOOKUP = 3'd1, DRAIN = 3'd2, NORMALIZE = 3'd3, REFINE = 3'd4, WRITE = 3'd5;

    logic [2:0]            phase;
    logic                  written;
    logic                  clears, adds, beyonds, loads, begins, refines;  // a cycle before the flags
    logic [COUNT_BITS-1:0] count;
    wire                   counts = x_ready || phase == LOOKUP || phase == REFINE;
    wire                   last = count == (phase == REFINE ? LAST_STEP : LAST_CLASS);

    assign x_ready = phase == READ && x_valid;
    assign y_claim = phase == WRITE && y_room;

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            phase   <= READ;
            count   <= '0;
            written <= 1'b0;
            y_valid <= 1'b0;
        end else begin
            if (counts) count <= last ? '0 : count + 1'b1;
            case (phase)
                READ:      if (x_ready && last) phase <= LOOKUP;
                LOOKUP:    if (last) phase <= DRAIN;
                DRAIN:     phase <= STEPS != 0 ? NORMALIZE : WRITE;
                NORMALIZE: phase <= REFINE;
                REFINE:    if (last) phase <= WRITE;
                default:   if (y_room) phase <= READ;
            endcase
            written <= y_claim;
            y_valid <= written;
        end
    end

    // With the sign bit turned over, signed codes compare like unsigned ones, and have the same distances.
    localparam [X_BITS-1:0] TURN = X_BITS'(X_SIGNED) << (X_BITS - 1);
    wire  [X_BITS-1:0] logit = x_data ^ TURN;
    logic [X_BITS-1:0] top, held;

    generate
        if (BLOCK != 0) begin : g_block
            (* ram_style = "block" *) logic [X_BITS-1:0] logits[CLASSES];
            wire  [CLASS_BITS-1:0] next = phase == LOOKUP ? count[CLASS_BITS-1:0] + 1'b1 : '0;  // read a step ahead
            logic [X_BITS-1:0]     ahead;
            always_ff @(posedge aclk) begin
                if (x_ready) logits[count[CLASS_BITS-1:0]] <= logit;
                ahead <= logits[next];
            end
            assign held = ahead;
        end else begin : g_distributed
            (* ram_style = "distributed" *) logic [X_BITS-1:0] logits[CLASSES];
            always_ff @(posedge aclk) if (x_ready) logits[count[CLASS_BITS-1:0]] <= logit;
            assign held = logits[count[CLASS_BITS-1:0]];
        end
    endgenerate

    // One subtraction for both passes: who is larger, and how far from the top.
    wire [X_BITS:0]   difference = {1'b0, top} - {1'b0, phase == READ ? logit : held};
    wire              leads = count == '0 || difference[X_BITS];
    wire              is_far;
    generate
        if (A_BITS < X_BITS) begin : g_far
            assign is_far = difference[X_BITS-1:A_BITS] != '0;
        end else begin : g_near
            assign is_far = 1'b0;
        end
    endgenerate
    assign rom_address = difference[A_BITS-1:0];

    logic [CLASS_BITS-1:0] leader, chosen;
    always_ff @(posedge aclk) begin
        if (x_ready && leads) begin
            top    <= logit;
            leader <= count[CLASS_BITS-1:0];
        end
        if (y_claim) chosen <= leader;
    end
    assign best = 15'(chosen);

    always_ff @(posedge aclk) begin
        clears    <= phase == READ;
        adds      <= phase == LOOKUP && !is_far;
        beyonds   <= phase == LOOKUP && is_far;
        loads     <= phase == DRAIN;
        begins    <= phase == NORMALIZE;
        refines   <= phase == REFINE;
        clear     <= clears;
        add       <= adds;
        beyond    <= beyonds;
        load      <= loads;
        normalize <= begins;
        refine    <= refines;
        step      <= count[STEP_BITS-1:0];
    end
endmodule
`default_nettype wire
