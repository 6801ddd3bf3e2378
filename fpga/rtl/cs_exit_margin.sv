// Exits where the largest logit leads the second by more than a threshold: exact, in one pass. code = that lead.
`default_nettype none
module cs_exit_margin #(
    parameter CLASSES = 10,
    parameter X_BITS = 12,
    parameter X_SIGNED = 1
) (
    input  wire              aclk,
    input  wire              aresetn,
    input  wire [X_BITS-1:0] x_data,
    input  wire              x_valid,
    output wire              x_ready,
    input  wire              y_room,
    output wire              y_claim,
    output logic             y_valid,
    output wire [47:0]       y_data,
    input  wire [31:0]       threshold
);
    localparam CLASS_BITS = $clog2(CLASSES);
    localparam [CLASS_BITS-1:0] LAST = CLASS_BITS'(CLASSES - 1);
    // With the sign bit turned over, signed codes compare like unsigned ones, and have the same distances.
    localparam [X_BITS-1:0] TURN = X_BITS'(X_SIGNED) << (X_BITS - 1);

    logic                  write;  // all logits are in
    logic [CLASS_BITS-1:0] count, best;
    logic [X_BITS-1:0]     top, second;
    wire  [X_BITS-1:0]     logit = x_data ^ TURN;
    wire                   leads = count == '0 || logit > top;

    assign x_ready = !write && x_valid;
    assign y_claim = write && y_room;

    always_ff @(posedge aclk) begin
        y_valid <= aresetn && y_claim;
        if (!aresetn) begin
            write <= 1'b0;
            count <= '0;
        end else begin
            if (x_ready) count <= count == LAST ? '0 : count + 1'b1;
            if (x_ready && count == LAST) write <= 1'b1;
            if (y_claim) write <= 1'b0;
        end
    end

    always_ff @(posedge aclk) begin
        if (x_ready && leads) begin
            top    <= logit;
            second <= top;
            best   <= count;
        end
        if (x_ready && !leads && (count == CLASS_BITS'(1) || logit > second)) second <= logit;
    end

    wire [X_BITS-1:0] lead = top - second;
    wire [31:0]       code = 32'(lead);
    assign y_data = {code > threshold, 15'(best), code};
endmodule
`default_nettype wire
