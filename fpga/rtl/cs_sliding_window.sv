// Every kernel window of a feature map: one beat of the image in per step, the windows of its pixels out.
//
// The image is one endless stream of beats. Tap (i, j) of a window lies a fixed number of beats back, wherever rows and
// frames begin, so the window registers shift on without a pause; taps outside the frame are masked. The windows of a
// frame's last rows leave while the next frame comes in; FLUSH steps without input end the batch. A beat holds PIXELS
// neighbouring pixels, or one of GROUPS channel groups of one pixel. Cycles: 1.
`default_nettype none
module cs_sliding_window #(
    parameter X_BITS         = 8,
    parameter CHANNELS       = 1,   // of a pixel that are in a beat
    parameter PIXELS         = 1,
    parameter GROUPS         = 1,
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
    parameter LAG            = 58,  // steps between a window's anchor beat and its last beat
    parameter FLUSH          = 58,  // steps behind the last beat of a batch
    // derived: leave alone
    parameter P_WIDTH        = CHANNELS * X_BITS,
    parameter X_WIDTH        = PIXELS * P_WIDTH,
    parameter TAPS           = KERNEL_ROWS * KERNEL_COLUMNS,
    parameter WINDOWS        = PIXELS > 1 ? PIXELS / STRIDE_COLUMNS : 1,
    parameter Y_WIDTH        = WINDOWS * TAPS * P_WIDTH
) (
    input  wire               aclk,
    input  wire               aresetn,
    input  wire [15:0]        frames,
    output wire               idle,
    input  wire [X_WIDTH-1:0] x_data,
    input  wire               x_valid,
    output wire               x_ready,
    input  wire               y_room,
    output wire               y_claim,
    output wire               y_valid,
    output wire [Y_WIDTH-1:0] y_data
);
    localparam BEAT_COLUMNS = COLUMNS / PIXELS;
    localparam LINE = BEAT_COLUMNS * GROUPS;  // beats of a row
    localparam BEATS = ROWS * LINE;
    localparam STEP_COLUMNS = PIXELS > 1 ? 1 : STRIDE_COLUMNS;  // beats from one emitting beat to the next
    localparam RIGHT_BEATS = (KERNEL_COLUMNS - 1 - LEFT + PIXELS - 1) / PIXELS;  // of a window, right of its anchor beat
    localparam LEFT_BEATS = (LEFT + PIXELS - 1) / PIXELS;
    localparam SPAN = (LEFT_BEATS + RIGHT_BEATS) * GROUPS + 1;  // beats held of every kernel row
    localparam OFFSETS = PIXELS + KERNEL_COLUMNS - 1;  // columns that the windows of a beat reach

    localparam B_BITS = $clog2(BEATS + 1);
    localparam F_BITS = $clog2(FLUSH + 1) + 1;
    localparam L_BITS = $clog2(LAG + 1) + 1;
    localparam G_BITS = GROUPS > 1 ? $clog2(GROUPS) : 1;
    localparam R_BITS = $clog2(ROWS + KERNEL_ROWS + 1);
    localparam C_BITS = $clog2(COLUMNS + OFFSETS + 1);
    localparam RP_BITS = STRIDE_ROWS > 1 ? $clog2(STRIDE_ROWS) : 1;
    localparam CP_BITS = STEP_COLUMNS > 1 ? $clog2(STEP_COLUMNS) : 1;

    // Input side: which beat of which frame comes next, and how much of the flush is left.
    logic [B_BITS-1:0] beat;
    logic [15:0]       frame;
    logic              flushing;
    logic [F_BITS-1:0] flushed;
    wire               frame_ends = beat == B_BITS'(BEATS - 1);
    wire               input_ends = !flushing && frame_ends && frame == frames - 1'b1;
    wire               batch_ends = FLUSH == 0 ? input_ends : flushing && flushed == F_BITS'(FLUSH - 1);
    assign idle = beat == '0 && frame == '0 && !flushing;

    // Output side: the anchor (the window's top left, pads added) trails by LAG steps.
    logic [L_BITS-1:0]  lagged;
    logic [G_BITS-1:0]  group;
    logic [C_BITS-1:0]  column;  // of the anchor beat's first pixel
    logic [R_BITS-1:0]  row;
    logic [CP_BITS-1:0] column_phase;
    logic [RP_BITS-1:0] row_phase;
    logic               emits;   // the anchor's step writes windows

    wire start = (flushing || x_valid) && (!emits || y_room);
    assign x_ready = start && !flushing;
    assign y_claim = start && emits;

    // Where the anchor stands in the next step.
    wire                leads = lagged == L_BITS'(LAG);
    wire                group_ends = group == G_BITS'(GROUPS - 1);
    wire                row_ends = column == C_BITS'(COLUMNS - PIXELS);
    wire                frame_wraps = row == R_BITS'(ROWS - 1);
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
            next_column = row_ends ? '0 : column + C_BITS'(PIXELS);
            next_column_phase = row_ends || column_phase == CP_BITS'(STEP_COLUMNS - 1) ? '0 : column_phase + 1'b1;
        end
        if (leads && group_ends && row_ends) begin
            next_row = frame_wraps ? '0 : row + 1'b1;
            next_row_phase = frame_wraps || row_phase == RP_BITS'(STRIDE_ROWS - 1) ? '0 : row_phase + 1'b1;
        end
    end

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            beat     <= '0;
            frame    <= '0;
            flushing <= 1'b0;
            flushed  <= '0;
        end else if (start) begin
            if (!flushing) beat <= frame_ends ? '0 : beat + 1'b1;
            if (!flushing && frame_ends) frame <= input_ends ? '0 : frame + 1'b1;
            flushing <= !batch_ends && (flushing || input_ends);
            flushed  <= flushing && !batch_ends ? flushed + 1'b1 : '0;
        end
        if (!aresetn || (start && batch_ends)) begin
            lagged       <= '0;
            group        <= '0;
            column       <= '0;
            row          <= '0;
            column_phase <= '0;
            row_phase    <= '0;
            emits        <= LAG == 0;
        end else if (start) begin
            lagged       <= next_lagged;
            group        <= next_group;
            column       <= next_column;
            row          <= next_row;
            column_phase <= next_column_phase;
            row_phase    <= next_row_phase;
            emits        <= next_lagged == L_BITS'(LAG) && next_row_phase == '0 && next_column_phase == '0
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
    genvar i, j, q, l;
    generate
        if (KERNEL_ROWS > 1) begin : g_lines
            localparam WIDTH = (KERNEL_ROWS - 1) * X_WIDTH;
            localparam AT_BITS = LINE > 1 ? $clog2(LINE) : 1;
            logic [WIDTH-1:0] ahead;
            assign newest[0+:WIDTH] = ahead;
            if (LINE == 1) begin : g_register
                always_ff @(posedge aclk) if (start) ahead <= newest[X_WIDTH+:WIDTH];
            end else begin : g_memory
                logic [AT_BITS-1:0] at;
                wire  [AT_BITS-1:0] next = at == AT_BITS'(LINE - 1) ? '0 : at + 1'b1;
                always_ff @(posedge aclk) begin
                    if (!aresetn) at <= '0;
                    else if (start) at <= next;
                end
                if (BLOCK != 0) begin : g_block
                    (* ram_style = "block" *) logic [WIDTH-1:0] lines[LINE];
                    always_ff @(posedge aclk) begin
                        if (start) begin
                            ahead     <= lines[next];
                            lines[at] <= newest[X_WIDTH+:WIDTH];
                        end
                    end
                end else begin : g_distributed
                    (* ram_style = "distributed" *) logic [WIDTH-1:0] lines[LINE];
                    always_ff @(posedge aclk) begin
                        if (start) begin
                            ahead     <= lines[next];
                            lines[at] <= newest[X_WIDTH+:WIDTH];
                        end
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

    // Which kernel rows, and which columns that the beat's windows reach, lie inside the frame.
    logic [KERNEL_ROWS-1:0] row_inside;
    logic [OFFSETS-1:0]     column_inside;
    generate
        for (i = 0; i < KERNEL_ROWS; i = i + 1) begin : g_row_inside
            wire [R_BITS-1:0] at = row + R_BITS'(i - TOP);  // above the frame it wraps round, past ROWS
            always_ff @(posedge aclk) if (start) row_inside[i] <= PADDED == 0 || at < R_BITS'(ROWS);
        end
        for (j = 0; j < OFFSETS; j = j + 1) begin : g_column_inside
            wire [C_BITS-1:0] at = column + C_BITS'(j - LEFT);
            always_ff @(posedge aclk) if (start) column_inside[j] <= PADDED == 0 || at < C_BITS'(COLUMNS);
        end
        for (q = 0; q < WINDOWS; q = q + 1) begin : g_window
            for (i = 0; i < KERNEL_ROWS; i = i + 1) begin : g_tap_row
                for (j = 0; j < KERNEL_COLUMNS; j = j + 1) begin : g_tap
                    // The tap's pixel, counted from the leftmost that is held.
                    localparam COLUMN = (PIXELS > 1 ? q * STRIDE_COLUMNS : 0) + j - LEFT + LEFT_BEATS * PIXELS;
                    localparam AT = (i * SPAN + COLUMN / PIXELS * GROUPS) * X_WIDTH + COLUMN % PIXELS * P_WIDTH;
                    localparam OFFSET = (PIXELS > 1 ? q * STRIDE_COLUMNS : 0) + j;
                    wire shown = row_inside[i] && column_inside[OFFSET];
                    for (l = 0; l < CHANNELS; l = l + 1) begin : g_lane
                        assign y_data[((q*CHANNELS+l)*TAPS+i*KERNEL_COLUMNS+j)*X_BITS+:X_BITS] =
                            PADDED == 0 || shown ? window[AT+l*X_BITS+:X_BITS] : X_BITS'(FILL);
                    end
                end
            end
        end
    endgenerate
    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{1'b0, window, row_inside, column_inside, newest};
    // verilator lint_on UNUSEDSIGNAL
endmodule
`default_nettype wire
