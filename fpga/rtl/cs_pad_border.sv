// All of a pad but its channel groups: whether a step is of the frame or of the border around it. The border over a frame waits
// for the frame's first beat, so that nothing of a frame that never comes is in the design. Cycles: 0.
`default_nettype none
module cs_pad_border #(
    parameter X_WIDTH = 8,
    parameter ROWS    = 4,   // of the frame without its border
    parameter COLUMNS = 4,
    parameter TOP     = 1,
    parameter LEFT    = 1,
    parameter BOTTOM  = 1,
    parameter RIGHT   = 1
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire               pixel_starts,  // the step is of the pixel's first group, of its last
    input  wire               pixel_ends,
    output wire               frame_ends,    // of the last pixel
    input  wire [X_WIDTH-1:0] x_data,
    input  wire               x_valid,
    output wire               x_ready,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [X_WIDTH-1:0] y_data
);
    localparam ALL_ROWS = TOP + ROWS + BOTTOM;
    localparam ALL_COLUMNS = LEFT + COLUMNS + RIGHT;
    localparam R_BITS = $clog2(ALL_ROWS + 1);
    localparam C_BITS = $clog2(ALL_COLUMNS + 1);

    logic [R_BITS-1:0] row;
    logic [C_BITS-1:0] column;
    wire               row_ends = pixel_ends && column == C_BITS'(ALL_COLUMNS - 1);
    wire               last_row = row == R_BITS'(ALL_ROWS - 1);
    wire               first = row == '0 && column == '0 && pixel_starts;
    // Counted from the frame's corner, what lies before it is far behind it.
    wire               shown = R_BITS'(row - R_BITS'(TOP)) < R_BITS'(ROWS) && C_BITS'(column - C_BITS'(LEFT)) < C_BITS'(COLUMNS);
    wire               start = y_room && (x_valid || !(first || shown));
    assign frame_ends = row_ends && last_row;
    assign x_ready = start && shown;
    assign y_claim = start;
    assign y_valid = start;
    assign y_data = shown ? x_data : '0;

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            row    <= '0;
            column <= '0;
        end else if (start) begin
            if (pixel_ends) column <= row_ends ? '0 : column + 1'b1;
            if (row_ends) row <= last_row ? '0 : row + 1'b1;
        end
    end
endmodule
`default_nettype wire
