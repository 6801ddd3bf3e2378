// One channel: a FIFO that counts places from the claim on, so a beat that was claimed always finds one.
//
// A beat that arrives in cycle T can be popped from T + 1 on, whatever the memory is made of; a place that is popped in
// T can be claimed in T + 1. BLOCK memories are read a cycle ahead, with a bypass for the beat that has just come in.
`default_nettype none
module cs_fifo #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter BLOCK = 0   // 1: block RAM, 0: distributed RAM
) (
    input  wire             aclk,
    input  wire             aresetn,
    output wire             y_room,
    input  wire             y_claim,
    input  wire             y_valid,
    input  wire [WIDTH-1:0] y_data,
    output wire             x_valid,
    input  wire             x_ready,
    output wire [WIDTH-1:0] x_data
`ifdef CS_STATISTICS
    ,
    output logic [95:0]     statistics  // most places taken at once; cycles full and empty between its first and its last beat
`endif
);
    localparam COUNT_BITS = $clog2(DEPTH + 1);
    localparam POINTER_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;
    localparam [COUNT_BITS-1:0] ALL = COUNT_BITS'(DEPTH);
    localparam [POINTER_BITS-1:0] LAST = POINTER_BITS'(DEPTH - 1);

    logic [COUNT_BITS-1:0]   stored;  // beats that can be popped
    logic [COUNT_BITS-1:0]   taken;   // places claimed and not yet popped
    logic [POINTER_BITS-1:0] head, tail;
    wire                     pop = x_valid && x_ready;
    wire  [POINTER_BITS-1:0] after = head == LAST ? '0 : head + 1'b1;

    // Units decide on these, so they are registers of their own instead of comparisons.
    logic valid, room;
    assign x_valid = valid;
    assign y_room = room;

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            stored <= '0;
            taken  <= '0;
            head   <= '0;
            tail   <= '0;
            valid  <= 1'b0;
            room   <= 1'b1;
        end else begin
            if (y_valid && !pop) begin
                stored <= stored + 1'b1;
                valid  <= 1'b1;
            end
            if (!y_valid && pop) begin
                stored <= stored - 1'b1;
                valid  <= stored != COUNT_BITS'(1);
            end
            if (y_claim && !pop) begin
                taken <= taken + 1'b1;
                room  <= taken != ALL - 1'b1;
            end
            if (!y_claim && pop) begin
                taken <= taken - 1'b1;
                room  <= 1'b1;
            end
            if (pop) head <= after;
            if (y_valid) tail <= tail == LAST ? '0 : tail + 1'b1;
        end
    end

    generate
        if (BLOCK != 0) begin : g_block
            (* ram_style = "block" *) logic [WIDTH-1:0] memory[DEPTH];
            logic [WIDTH-1:0] ahead, newest;
            logic             bypass;
            wire  [POINTER_BITS-1:0] next = pop ? after : head;
            always_ff @(posedge aclk) begin
                if (y_valid) memory[tail] <= y_data;
                ahead  <= memory[next];
                newest <= y_data;
                bypass <= y_valid && tail == next;
            end
            assign x_data = bypass ? newest : ahead;
        end else begin : g_distributed
            (* ram_style = "distributed" *) logic [WIDTH-1:0] memory[DEPTH];
            always_ff @(posedge aclk) if (y_valid) memory[tail] <= y_data;
            assign x_data = memory[head];
        end
    endgenerate

`ifdef CS_STATISTICS
    logic [31:0] most, full, empty, empty_since;
    logic        begun;
    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            most <= '0;
            full <= '0;
            empty <= '0;
            empty_since <= '0;
            begun <= 1'b0;
        end else begin
            if (32'(taken) + 32'(y_claim) > most) most <= 32'(taken) + 32'(y_claim);
            if (!y_room) full <= full + 1;
            if (x_valid) begun <= 1'b1;
            // Cycles without a beat count once the next beat has come.
            if (x_valid) begin
                empty <= empty + empty_since;
                empty_since <= '0;
            end else if (begun) empty_since <= empty_since + 1;
        end
    end
    assign statistics = {empty, full, most};
`endif
endmodule
`default_nettype wire
