// The head of a FIFO, or an AXI4-Stream master, that gives COUNT words from NAME.hex, with +stall now and then.
module bench_flow #(
    parameter NAME  = "",
    parameter WIDTH = 8,
    parameter COUNT = 1,
    parameter SEED  = 1
) (
    input  wire             aclk,
    input  wire             aresetn,
    output wire [WIDTH-1:0] data,
    output wire             valid,
    input  wire             ready,
    output reg  [31:0]      given
);
    reg [WIDTH-1:0] words[0:COUNT-1];
    reg             offered, stall;
    integer         seed;
    initial begin
        $readmemh({NAME, ".hex"}, words);
        stall = $test$plusargs("stall");
        seed = SEED;
    end
    assign valid = aresetn && offered && given < COUNT;
    assign data = valid ? words[given] : {WIDTH{1'bx}};
    always @(posedge aclk) begin
        if (!aresetn) begin
            given   <= 0;
            offered <= !stall;
        end else begin
            if (valid && ready) given <= given + 1;
            if (stall && (!offered || ready)) offered <= $random(seed) & 1;
        end
    end
endmodule
