// Watches the answers of an AXI4-Lite port in every cycle and keeps the first breach of the protocol.
`default_nettype none
module cs_lite_monitor (
    input  wire        aclk,
    input  wire        aresetn,
    input  wire        clear,   // forget the breach
    input  wire        awvalid,
    input  wire        awready,
    input  wire        wvalid,
    input  wire        wready,
    input  wire [1:0]  bresp,
    input  wire        bvalid,
    input  wire        bready,
    input  wire        arvalid,
    input  wire        arready,
    input  wire [31:0] rdata,
    input  wire [1:0]  rresp,
    input  wire        rvalid,
    input  wire        rready,
    output logic [3:0] fault    // 0 or one of these
);
    localparam [3:0] FELL = 1, ANSWER_MOVED = 2, UNASKED = 3, X_HANDSHAKE = 4, X_ANSWER = 5, IN_RESET = 7;

    logic        in_reset;             // the cycle before was one of reset
    logic        b_waiting, r_waiting; // an answer was offered in it and not taken
    logic [1:0]  b;
    logic [33:0] r;
    logic [7:0]  addresses, words, reads;  // taken and not yet answered
    logic [3:0]  breach;

    always_comb begin
        breach = 0;
        if (in_reset) begin
            if ({bvalid, rvalid} !== 2'b00) breach = IN_RESET;
        end else if (aresetn) begin
            if (^{awready, wready, bvalid, arready, rvalid} === 1'bx) breach = X_HANDSHAKE;
            else if ((b_waiting && !bvalid) || (r_waiting && !rvalid)) breach = FELL;
            else if ((bvalid && ^bresp === 1'bx) || (rvalid && ^{rdata, rresp} === 1'bx)) breach = X_ANSWER;
            else if ((b_waiting && bresp !== b) || (r_waiting && {rdata, rresp} !== r)) breach = ANSWER_MOVED;
            else if (bvalid && (addresses == 0 || words == 0)) breach = UNASKED;
            else if (rvalid && reads == 0) breach = UNASKED;
        end
    end

    initial begin
        in_reset = 1'b0;
        fault = 0;
    end

    always @(posedge aclk) begin
        in_reset  <= !aresetn;
        b_waiting <= aresetn && bvalid && !bready;
        r_waiting <= aresetn && rvalid && !rready;
        b         <= bresp;
        r         <= {rdata, rresp};
        addresses <= !aresetn ? 0 : addresses + 8'(awvalid && awready) - 8'(bvalid && bready);
        words     <= !aresetn ? 0 : words + 8'(wvalid && wready) - 8'(bvalid && bready);
        reads     <= !aresetn ? 0 : reads + 8'(arvalid && arready) - 8'(rvalid && rready);
        if (clear) fault <= 0;
        else if (fault == 0) fault <= breach;
    end
endmodule
`default_nettype wire
