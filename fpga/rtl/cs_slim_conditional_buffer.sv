// cs_conditional_buffer at several widths: a map has the beats of its frame's width, and the header, above the number, the
// width in 39..32. A token on `width` says which width a frame has; it leaves its FIFO with the map's last beat. Cycles: 0.
`default_nettype none
module cs_slim_conditional_buffer #(
    parameter X_BITS    = 8,
    parameter X_SIGNED  = 0,
    parameter LANES     = 6,
    parameter PORT_BITS = 64,
    parameter CONTAINER = 8,
    parameter MAX_BEATS = 196,  // of a frame
    parameter WIDTHS    = 2,
    parameter [32*WIDTHS-1:0] BEATS = {32'd196, 32'd98},
    // derived: leave alone
    parameter V_BITS    = $clog2(WIDTHS),
    parameter X_WIDTH   = LANES * X_BITS
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire               start,
    input  wire [15:0]        frames,
    output wire               idle,
    input  wire [V_BITS-1:0]  width_data,
    input  wire               width_valid,
    output wire               width_ready,
    input  wire [X_WIDTH-1:0] feature_data,
    input  wire               feature_valid,
    output wire               feature_ready,
    input  wire [47:0]        decision_data,
    input  wire               decision_valid,
    output wire               decision_ready,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [PORT_BITS:0] y_data  // above the word TLAST
);
    localparam S_BITS = $clog2(MAX_BEATS + 1);
    logic              active, dropping;
    logic [S_BITS-1:0] left;   // beats of the frame that are still to come; 0: its header
    logic [15:0]       frame;
    wire               ending = frame == frames;
    wire               heading = left == '0;
    wire               drops = heading ? !ending && decision_data[47] : dropping;
    wire               ready = heading ? ending || (decision_valid && width_valid) : feature_valid;
    wire               moves = active && ready && (drops || y_room);

    assign idle = !active;
    assign decision_ready = moves && heading && !ending;
    assign feature_ready = moves && !heading;
    assign width_ready = moves && left == S_BITS'(1);
    assign y_claim = moves && !drops;
    assign y_valid = y_claim;

    always_ff @(posedge aclk) begin
        if (!aresetn) active <= 1'b0;
        else if (start) active <= 1'b1;
        else if (moves && heading && ending) active <= 1'b0;
        if (!aresetn || start) begin
            left  <= '0;
            frame <= '0;
        end else if (moves) begin
            left <= heading ? (ending ? '0 : S_BITS'(BEATS[32*width_data+:32])) : left - 1'b1;
            if (!heading && left == S_BITS'(1)) frame <= frame + 1'b1;
        end
        if (moves && heading) dropping <= drops;
    end

    // Words: codes in containers, or a frame's number.
    wire [PORT_BITS-1:0] codes;
    wire [39:0]          number = ending ? 40'hFFFFFFFF : {8'(width_data), 16'd0, frame};
    assign y_data = heading ? {ending, PORT_BITS'(number)} : {1'b0, codes};
    cs_port_word #(
        .X_BITS   (X_BITS),
        .X_SIGNED (X_SIGNED),
        .LANES    (LANES),
        .PORT_BITS(PORT_BITS),
        .CONTAINER(CONTAINER)
    ) word (
        .x_data(feature_data),
        .codes (codes)
    );
    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{1'b0, decision_data};
    // verilator lint_on UNUSEDSIGNAL
endmodule
`default_nettype wire
