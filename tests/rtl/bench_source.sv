// The FIFO in front of a unit: BEATS beats from a file, all there at once, some of them, or coming in at random.
module bench_source #(
    parameter NAME    = "",
    parameter WIDTH   = 8,
    parameter BEATS   = 1,
    parameter STARVED = 1,  // beats that are there in phase 0, and how many have left at its end and at that of phase 1
    parameter GONE_0  = 1,
    parameter GONE_1  = 1,
    parameter SALT    = 0   // tells the sources of a case apart
) (
    input  wire             aclk,
    input  wire             running,
    input  wire [1:0]       phase,
    input  wire             over,
    input  wire [31:0]      cycle,
    input  wire [31:0]      random,
    output wire [WIDTH-1:0] x_data,
    output wire             x_valid,
    input  wire             x_ready,
    output wire             complete
);
    reg [WIDTH-1:0] beats[0:BEATS-1];
    reg [31:0]      frees[0:BEATS-1];  // the cycle in which each leaves when nothing stalls
    integer         come, gone;
    integer         shown = 0;
    initial begin
        $readmemh({NAME, ".beats"}, beats);
        $readmemh({NAME, ".frees"}, frees);
    end
    assign x_valid = running && gone < come;
    assign x_data = x_valid ? beats[gone] : {WIDTH{1'bx}};  // what is no beat is nothing to look at
    assign complete = gone == BEATS;

    wire [31:0] dice = random >> (3 * SALT);
    always @(posedge aclk) begin
        if (!running) begin
            gone <= 0;
            come <= phase == 3 ? 0 : phase == 0 ? STARVED : BEATS;
        end else begin
            if (x_ready !== 1'b0 && !(x_valid && x_ready === 1'b1)) begin
                shown <= shown + 1;
                if (shown < 3) $display("FAIL %0s: x_ready is %b while x_valid is %b", NAME, x_ready, x_valid);
            end
            if (x_ready === 1'b1 && x_valid) begin
                gone <= gone + 1;
                if (phase == 2 && frees[gone] !== cycle) begin
                    shown <= shown + 1;
                    if (shown < 3) $display("FAIL %0s: beat %0d leaves in cycle %0d, not %0d", NAME, gone, cycle, frees[gone]);
                end
            end
            // Often at random, at times in a row, at times hardly ever.
            if (come < BEATS && phase == 3 && (dice[2:0] < 4 || random[31:30] == 0) && cycle[5:3] != SALT + 1)
                come <= come + 1;
            if (over && phase == 0 && gone != GONE_0)
                $display("FAIL %0s: starved, it takes %0d beats, not %0d", NAME, gone, GONE_0);
            if (over && phase == 1 && gone != GONE_1)
                $display("FAIL %0s: blocked, it takes %0d beats, not %0d", NAME, gone, GONE_1);
        end
    end
endmodule
