// Clock, reset and the phases of a case: 0 starved and 1 blocked in mid-frame, 2 without stalls, 3 stalled at random. The
// unit is reset before each but the last, which finds it as a batch leaves it.
module bench_control #(
    parameter NAME  = "",
    parameter SEED  = 1,
    parameter WAIT  = 50,   // cycles of phases 0 and 1, which end standing still
    parameter LIMIT = 1000  // cycles that phases 2 and 3 may take
) (
    input  wire        clock,
    output wire        aclk,
    output wire        aresetn,  // of the unit
    output reg         running,  // of source and sink: low in the cycles between phases
    output reg  [1:0]  phase,
    output wire        over,   // the last cycle of a phase
    output reg  [31:0] cycle,  // 0 in a phase's first
    output reg  [31:0] random,
    input  wire        complete,  // everything is in and out
    output reg         finished
);
    integer settle;  // cycles since then: nothing more may come
    assign aclk = clock && !finished;
    assign aresetn = running || phase == 3;
    assign over = running && (phase < 2 ? cycle == WAIT : settle == 24 || cycle == LIMIT);
    initial begin
        finished = 0;
        phase = 0;
        running = 0;
        cycle = 0;
        settle = 0;
        random = 32'h9e3779b9 ^ (SEED * 32'd2654435761) | 1;
    end

    function [31:0] xorshift(input [31:0] x);
        reg [31:0] a, b;
        begin
            a = x ^ (x << 13);
            b = a ^ (a >> 17);
            xorshift = b ^ (b << 5);
        end
    endfunction

    always @(posedge aclk) begin
        random  <= xorshift(random);
        running <= !over;
        cycle   <= running ? cycle + 1 : 0;
        settle  <= running && complete ? settle + 1 : 0;
        if (over) begin
            if (phase >= 2 && settle != 24) $display("FAIL %0s: hangs in phase %0d", NAME, phase);
            if (phase == 3) $display("DONE %0s", NAME);
            finished <= phase == 3;
            phase <= phase + 1;
        end
    end
endmodule
