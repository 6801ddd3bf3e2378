// Watches an AXI4-Stream port in every cycle: counts beats and packets, and keeps the first breach of the protocol.
//
// It stands in the simulation and not in Python, where a look at every cycle would cost more than the design. A simulator
// with two states never sees an X; Icarus does.
`default_nettype none
module cs_stream_monitor #(
    parameter BITS = 8
) (
    input  wire              aclk,
    input  wire              aresetn,
    input  wire              clear,    // forget the breach
    input  wire [BITS-1:0]   tdata,
    input  wire [BITS/8-1:0] tkeep,
    input  wire              tlast,
    input  wire              tvalid,
    input  wire              tready,
    output logic [31:0]      beats,    // since reset
    output logic [31:0]      packets,
    output logic [3:0]       fault     // 0 or one of these
);
    localparam [3:0] FELL = 1, DATA_MOVED = 2, LAST_MOVED = 3, X_HANDSHAKE = 4, X_BEAT = 5, KEEP = 6, IN_RESET = 7;

    logic            in_reset;  // the cycle before was one of reset
    logic            waiting;   // a beat was offered in it and not taken
    logic [BITS-1:0] data;      // that beat
    logic            last;
    logic [3:0]      breach;

    always_comb begin
        breach = 0;
        if (in_reset) begin
            if (tvalid !== 1'b0) breach = IN_RESET;
        end else if (aresetn) begin
            if (^{tvalid, tready} === 1'bx) breach = X_HANDSHAKE;
            else if (waiting && !tvalid) breach = FELL;
            else if (tvalid && ^{tdata, tlast} === 1'bx) breach = X_BEAT;
            else if (tvalid && tkeep !== {(BITS / 8) {1'b1}}) breach = KEEP;
            else if (waiting && tdata !== data) breach = DATA_MOVED;
            else if (waiting && tlast !== last) breach = LAST_MOVED;
        end
    end

    initial begin
        in_reset = 1'b0;
        waiting = 1'b0;
        beats = 0;
        packets = 0;
        fault = 0;
    end

    always @(posedge aclk) begin
        in_reset <= !aresetn;
        waiting  <= aresetn && tvalid && !tready;
        data     <= tdata;
        last     <= tlast;
        if (!aresetn) begin
            beats   <= 0;
            packets <= 0;
        end else if (tvalid && tready) begin
            beats <= beats + 1;
            if (tlast) packets <= packets + 1;
        end
        if (clear) fault <= 0;
        else if (fault == 0) fault <= breach;
    end
endmodule
`default_nettype wire
