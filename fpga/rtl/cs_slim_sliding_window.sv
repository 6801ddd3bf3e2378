// cs_sliding_window for widths with different channel GROUPS: lines and windows are as long as the frame's width makes them.
//
// A token on `width` says which width a frame has. While the next frame has as many groups, its beats push the last windows of
// this one out, and nothing waits. Where it has others, or none follows in the batch, steps without input do, and then the
// next frame begins anew, a LAG of its own later. LAG is less than a frame, so no window waits for more than the next frame.
`default_nettype none
module cs_slim_sliding_window #(
    parameter X_BITS         = 8,
    parameter CHANNELS       = 1,   // of a pixel that are in a beat
    parameter ROWS           = 28,
    parameter COLUMNS        = 28,
    parameter OUT_ROWS       = 28,
    parameter OUT_COLUMNS    = 28,
    parameter KERNEL_ROWS    = 5,
    parameter KERNEL_COLUMNS = 5,
    parameter STRIDE_ROWS    = 1,
    parameter STRIDE_COLUMNS = 1,
    parameter TOP            = 2,
    parameter LEFT           = 2,
    parameter PADDED         = 1,
    parameter FILL           = 0,
    parameter BLOCK          = 0,   // 1: lines in block RAM
    parameter MAX_GROUPS     = 2,
    parameter MAX_LAG        = 116,
    parameter WIDTHS         = 2,
    parameter [32*WIDTHS-1:0] GROUPS = {32'd2, 32'd1},
    parameter [32*WIDTHS-1:0] LINES  = {32'd56, 32'd28},     // beats of a row
    parameter [32*WIDTHS-1:0] BEATS  = {32'd1568, 32'd784},  // of a frame
    parameter [32*WIDTHS-1:0] LAGS   = {32'd116, 32'd58},    // steps between a window's anchor beat and its last beat
    // derived: leave alone
    parameter V_BITS         = $clog2(WIDTHS),
    parameter X_WIDTH        = CHANNELS * X_BITS,
    parameter TAPS           = KERNEL_ROWS * KERNEL_COLUMNS,
    parameter Y_WIDTH        = TAPS * X_WIDTH
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire [15:0]        frames,
    output wire               idle,
    input  wire [V_BITS-1:0]  width_data,
    input  wire               width_valid,
    output wire               width_ready,
    input  wire [X_WIDTH-1:0] x_data,
    input  wire               x_valid,
    output wire               x_ready,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [Y_WIDTH-1:0] y_data
);
    localparam MAX_LINE = COLUMNS * MAX_GROUPS;
    localparam MAX_BEATS = ROWS * MAX_LINE;
    localparam SPAN = (KERNEL_COLUMNS - 1) * MAX_GROUPS + 1;  // beats held of every kernel row

    localparam B_BITS = $clog2(MAX_BEATS + 1);
    localparam L_BITS = $clog2(MAX_LAG + 1) + 1;
    localparam G_BITS = $clog2(MAX_GROUPS + 1);
    localparam R_BITS = $clog2(ROWS + KERNEL_ROWS + 1);
    localparam C_BITS = $clog2(COLUMNS + KERNEL_COLUMNS + 1);
    localparam RP_BITS = STRIDE_ROWS > 1 ? $clog2(STRIDE_ROWS) : 1;
    localparam CP_BITS = STRIDE_COLUMNS > 1 ? $clog2(STRIDE_COLUMNS) : 1;

    // The frame whose windows leave, and the sizes of its width.
    logic              running;
    logic [V_BITS-1:0] width;
    logic [15:0]       frame;
    wire  [G_BITS-1:0] groups = G_BITS'(GROUPS[32*width+:32]);
    wire  [B_BITS-1:0] beats = B_BITS'(BEATS[32*width+:32]);
    wire  [L_BITS-1:0] lag = L_BITS'(LAGS[32*width+:32]);
    wire               is_final = frame == frames - 1'b1;
    wire               follows = !is_final && width_valid && G_BITS'(GROUPS[32*width_data+:32]) == groups;
    assign idle = !running && frame == '0;

    // Input side: which beat comes next, and whether all of this frame are in.
    logic [B_BITS-1:0] beat;
    logic              whole;
    wire               beats_end = beat == beats - 1'b1;
    wire               flushes = whole && (is_final || (width_valid && !follows));
    wire               reads = !whole || follows;

    // Output side: the anchor (the window's top left, pads added) trails by the lag.
    logic [L_BITS-1:0]  lagged;
    logic [G_BITS-1:0]  group;
    logic [C_BITS-1:0]  column;
    logic [R_BITS-1:0]  row;
    logic [CP_BITS-1:0] column_phase;
    logic [RP_BITS-1:0] row_phase;
    logic               emits;  // the anchor's step writes a window
    logic               over;   // the frame's last window has left

    wire start = running && (reads ? x_valid : flushes && !over) && (!emits || y_room);
    assign x_ready = start && reads;
    assign y_claim = start && emits;

    wire leads = lagged == lag;
    wire group_ends = group == groups - 1'b1;
    wire row_ends = column == C_BITS'(COLUMNS - 1);
    wire frame_wraps = row == R_BITS'(ROWS - 1);
    wire anchor_ends = start && leads && group_ends && row_ends && frame_wraps;
    wire last_window = emits && group_ends && row == R_BITS'((OUT_ROWS - 1) * STRIDE_ROWS)
                       && column == C_BITS'((OUT_COLUMNS - 1) * STRIDE_COLUMNS);
    wire goes_on = anchor_ends && follows;  // straight into the next frame
    wire leaves = (anchor_ends && !follows) || (running && flushes && over);
    wire loads = !running && width_valid;
    assign width_ready = goes_on || loads;

    // Where the anchor stands in the next step.
    logic [L_BITS-1:0]  next_lagged;
    logic [G_BITS-1:0]  next_group;
    logic [C_BITS-1:0]  next_column;
    logic [R_BITS-1:0]  next_row;
    logic [CP_BITS-1:0] next_column_phase;
    logic [RP_BITS-1:0] next_row_phase;
    always_comb begin
        next_lagged = leads ? lagged : lagged + 1'b1;
        next_group = group;
        next_column = column;
        next_row = row;
        next_column_phase = column_phase;
        next_row_phase = row_phase;
        if (leads) next_group = group_ends ? '0 : group + 1'b1;
        if (leads && group_ends) begin
            next_column = row_ends ? '0 : column + 1'b1;
            next_column_phase = row_ends || column_phase == CP_BITS'(STRIDE_COLUMNS - 1) ? '0 : column_phase + 1'b1;
        end
        if (leads && group_ends && row_ends) begin
            next_row = frame_wraps ? '0 : row + 1'b1;
            next_row_phase = frame_wraps || row_phase == RP_BITS'(STRIDE_ROWS - 1) ? '0 : row_phase + 1'b1;
        end
    end

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            running <= 1'b0;
            frame   <= '0;
        end else begin
            if (loads) running <= 1'b1;
            else if (leaves) running <= 1'b0;
            if (goes_on || leaves) frame <= is_final ? '0 : frame + 1'b1;
        end
        if (loads) width <= width_data;
        if (loads) begin
            beat         <= '0;
            whole        <= 1'b0;
            over         <= 1'b0;
            lagged       <= '0;
            group        <= '0;
            column       <= '0;
            row          <= '0;
            column_phase <= '0;
            row_phase    <= '0;
            emits        <= LAGS[32*width_data+:32] == '0;
        end else if (start) begin
            if (reads) beat <= beats_end ? '0 : beat + 1'b1;
            whole        <= !goes_on && (whole || beats_end);
            over         <= !goes_on && (over || last_window);
            lagged       <= next_lagged;
            group        <= next_group;
            column       <= next_column;
            row          <= next_row;
            column_phase <= next_column_phase;
            row_phase    <= next_row_phase;
            emits        <= next_lagged == lag && next_row_phase == '0 && next_column_phase == '0
                            && next_row < R_BITS'(OUT_ROWS * STRIDE_ROWS)
                            && next_column < C_BITS'(OUT_COLUMNS * STRIDE_COLUMNS);
        end
    end

    logic emitted;
    always_ff @(posedge aclk) emitted <= aresetn && y_claim;
    assign y_valid = emitted;

    // The newest beat of every kernel row: from the lines above, which are one memory that is read a step ahead.
    wire [KERNEL_ROWS*X_WIDTH-1:0] newest;
    assign newest[(KERNEL_ROWS-1)*X_WIDTH+:X_WIDTH] = x_data;
    genvar i, j, l, v;
    generate
        if (KERNEL_ROWS > 1) begin : g_lines
            localparam WIDTH = (KERNEL_ROWS - 1) * X_WIDTH;
            localparam AT_BITS = $clog2(MAX_LINE);
            logic [WIDTH-1:0]   ahead;
            logic [AT_BITS-1:0] at;
            wire  [AT_BITS-1:0] last_at = AT_BITS'(LINES[32*width+:32] - 1);
            wire  [AT_BITS-1:0] next = at == last_at ? '0 : at + 1'b1;
            assign newest[0+:WIDTH] = ahead;
            always_ff @(posedge aclk) begin
                if (loads) at <= '0;
                else if (start) at <= next;
            end
            if (BLOCK != 0) begin : g_block
                (* ram_style = "block" *) logic [WIDTH-1:0] lines[MAX_LINE];
                always_ff @(posedge aclk) begin
                    if (start) begin
                        ahead     <= lines[next];
                        lines[at] <= newest[X_WIDTH+:WIDTH];
                    end
                end
            end else begin : g_distributed
                (* ram_style = "distributed" *) logic [WIDTH-1:0] lines[MAX_LINE];
                always_ff @(posedge aclk) begin
                    if (start) begin
                        ahead     <= lines[next];
                        lines[at] <= newest[X_WIDTH+:WIDTH];
                    end
                end
            end
        end
    endgenerate

    // The window registers, newest beat of a row in the high bits.
    logic [KERNEL_ROWS*SPAN*X_WIDTH-1:0] window;
    generate
        for (i = 0; i < KERNEL_ROWS; i = i + 1) begin : g_row
            always_ff @(posedge aclk) begin
                if (start)
                    window[i*SPAN*X_WIDTH+:SPAN*X_WIDTH] <=
                        (SPAN * X_WIDTH)'({newest[i*X_WIDTH+:X_WIDTH], window[i*SPAN*X_WIDTH+:SPAN*X_WIDTH]} >> X_WIDTH);
            end
        end
    endgenerate

    // Which kernel rows and columns lie inside the frame.
    logic [KERNEL_ROWS-1:0]    row_inside;
    logic [KERNEL_COLUMNS-1:0] column_inside;
    generate
        for (i = 0; i < KERNEL_ROWS; i = i + 1) begin : g_row_inside
            wire [R_BITS-1:0] at = row + R_BITS'(i - TOP);  // above the frame it wraps round, past ROWS
            always_ff @(posedge aclk) if (start) row_inside[i] <= PADDED == 0 || at < R_BITS'(ROWS);
        end
        for (j = 0; j < KERNEL_COLUMNS; j = j + 1) begin : g_column_inside
            wire [C_BITS-1:0] at = column + C_BITS'(j - LEFT);
            always_ff @(posedge aclk) if (start) column_inside[j] <= PADDED == 0 || at < C_BITS'(COLUMNS);
        end
        for (i = 0; i < KERNEL_ROWS; i = i + 1) begin : g_tap_row
            for (j = 0; j < KERNEL_COLUMNS; j = j + 1) begin : g_tap
                // The tap's beat lies so many pixels back, which are as many groups at every width.
                wire [WIDTHS*X_WIDTH-1:0] choices;
                for (v = 0; v < WIDTHS; v = v + 1) begin : g_width
                    localparam BACK = (KERNEL_COLUMNS - 1 - j) * GROUPS[32*v+:32];
                    assign choices[v*X_WIDTH+:X_WIDTH] = window[(i*SPAN+SPAN-1-BACK)*X_WIDTH+:X_WIDTH];
                end
                wire [X_WIDTH-1:0] tap = choices[width*X_WIDTH+:X_WIDTH];
                wire               shown = row_inside[i] && column_inside[j];
                for (l = 0; l < CHANNELS; l = l + 1) begin : g_lane
                    assign y_data[(l*TAPS+i*KERNEL_COLUMNS+j)*X_BITS+:X_BITS] =
                        PADDED == 0 || shown ? tap[l*X_BITS+:X_BITS] : X_BITS'(FILL);
                end
            end
        end
    endgenerate
    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{1'b0, window, row_inside, column_inside, newest};
    // verilator lint_on UNUSEDSIGNAL
endmodule
`default_nettype wire
