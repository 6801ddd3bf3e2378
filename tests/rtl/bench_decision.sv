// Feeds one exit unit the same logits in RUNS runs, each with its own threshold: odd ones with random stalls on both
// sides, all of them after a reset in the midst of an earlier try. Prints when beats move, and every decision word.
module bench_decision #(
    parameter FRAMES  = 1,
    parameter CLASSES = 2,
    parameter X_BITS  = 8,
    parameter RUNS    = 1,
    parameter LATENCY = 1
) (
    output reg               aclk,
    output reg               aresetn,
    output wire [X_BITS-1:0] x_data,
    output wire              x_valid,
    input  wire              x_ready,
    output reg               y_room,
    input  wire              y_claim,
    input  wire              y_valid,
    input  wire [47:0]       y_data,
    output reg  [31:0]       threshold
);
    reg [X_BITS-1:0]  logits[0:FRAMES*CLASSES-1];
    reg [31:0]        thresholds[0:RUNS-1];
    reg [LATENCY-1:0] claims;  // of the cycles before
    reg               offered;
    integer           run, sent, came, cycle, seed, spoiled;
    wire              stalls = run % 2 == 1;

    assign x_valid = offered && sent < FRAMES * CLASSES;
    assign x_data = x_valid ? logits[sent] : {X_BITS{1'bx}};
    always #1 aclk = !aclk;

    initial begin
        $readmemh("logits.hex", logits);
        $readmemh("thresholds.hex", thresholds);
        seed = 1;
        aclk = 0;
        for (run = 0; run < RUNS; run = run + 1) begin
            threshold = thresholds[run];
            restart;
            spoiled = $urandom(seed) % (3 * CLASSES + 40);
            repeat (spoiled) @(posedge aclk);
            restart;
            $display("run");
            while (came < FRAMES) @(posedge aclk);
            repeat (5) @(posedge aclk);
        end
        $display("end");
        $finish;
    end

    task restart;
        begin
            #1 aresetn = 0;
            @(posedge aclk) @(posedge aclk) #1 aresetn = 1;
        end
    endtask

    always @(posedge aclk) begin
        if (!aresetn) begin
            sent    <= 0;
            came    <= 0;
            cycle   <= 0;
            claims  <= 0;
            offered <= !stalls;
            y_room  <= !stalls;
        end else begin
            cycle  <= cycle + 1;
            claims <= {claims, y_claim};
            if (x_ready !== 1'b0 && !(x_valid && x_ready === 1'b1)) $display("FAIL: x_ready without x_valid");
            if (y_claim !== 1'b0 && !(y_room && y_claim === 1'b1)) $display("FAIL: y_claim without y_room");
            if (y_valid !== claims[LATENCY-1]) $display("FAIL: y_valid out of step with y_claim");
            if (x_ready) sent <= sent + 1;
            if (stalls && (x_ready || !offered)) offered <= $urandom(seed) % 4 != 0;
            if (stalls && (y_claim || !y_room)) y_room <= $urandom(seed) % 16 == 0;
            if (x_ready && !stalls) $display("x %0d", cycle);
            if (y_valid) begin
                came <= came + 1;
                $display("y %0d %h", cycle, y_data);
            end
        end
    end
endmodule
