// The FIFO behind a unit: checks every beat, that it comes LATENCY cycles after its claim, and, without stalls, the cycle.
module bench_sink #(
    parameter NAME    = "",
    parameter WIDTH   = 8,
    parameter BEATS   = 1,
    parameter STARVED = 1,  // beats that come in phase 0
    parameter BLOCKED = 1,  // beats that there is room for in phase 1
    parameter LATENCY = 0
) (
    input  wire             aclk,
    input  wire             running,
    input  wire [1:0]       phase,
    input  wire             over,
    input  wire [31:0]      cycle,
    input  wire [31:0]      random,
    output wire             y_room,
    input  wire             y_claim,
    input  wire             y_valid,
    input  wire [WIDTH-1:0] y_data,
    output wire             complete
);
    reg [WIDTH-1:0] wants[0:BEATS-1];
    reg [31:0]      cycles[0:BEATS-1];
    reg [LATENCY:0] claims;  // of the cycles before
    reg             room;
    integer         claimed, come;
    integer         shown = 0;
    initial begin
        $readmemh({NAME, ".wants"}, wants);
        $readmemh({NAME, ".cycles"}, cycles);
    end
    assign y_room = phase == 1 ? claimed < BLOCKED || over : phase == 3 ? room : 1'b1;
    assign complete = come == BEATS;
    wire due = LATENCY == 0 ? y_claim : claims[LATENCY == 0 ? 0 : LATENCY-1];

    always @(posedge aclk) begin
        if (!running) begin
            claimed <= 0;
            come    <= 0;
            claims  <= 0;
            room    <= 0;
        end else begin
            claims <= {claims, y_claim};
            if (y_claim === 1'b1) claimed <= claimed + 1;
            // Room that is there stays until it is claimed.
            if (y_claim || !room) room <= (random[7:5] < 4 || random[29:28] == 0) && cycle[6:4] != 3;
            if (y_claim !== 1'b0 && !(y_room && y_claim === 1'b1)) fail("a claim without room");
            if (y_valid !== due) fail("a beat out of step with its claim");
            if (y_valid === 1'b1) begin
                come <= come + 1;
                if (come >= BEATS) fail("a beat too many");
                else if (y_data !== wants[come]) begin
                    if (shown < 3) $display("FAIL %0s: beat %0d is %h, not %h", NAME, come, y_data, wants[come]);
                    shown <= shown + 1;
                end else if (phase == 2 && cycles[come] !== cycle) begin
                    if (shown < 3) $display("FAIL %0s: beat %0d comes in cycle %0d, not %0d", NAME, come, cycle, cycles[come]);
                    shown <= shown + 1;
                end
            end
            if (over && phase == 0 && come != STARVED) fail("starved, it does not give the beats that it could");
            if (over && phase == 1 && come != BLOCKED) fail("blocked, it does not give the beats that it could");
            if (over && phase == 1 && !y_claim) fail("blocked, it has steps left to do before it can write");
        end
    end

    task fail(input [8*60-1:0] what);
        begin
            if (shown < 3) $display("FAIL %0s: %0s in cycle %0d of phase %0d", NAME, what, cycle, phase);
            shown <= shown + 1;
        end
    endtask
endmodule
