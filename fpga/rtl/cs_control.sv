// AXI4-Lite registers, laid out as Vivado HLS lays out the bundle `control` of the HLS design, and behind them counters.
//
//   0x00  bit 0 start (reads 1 while a batch runs), 1 done (cleared by reading), 2 idle, 3 ready (as done)
//   0x04  bit 0 interrupts on        0x08  bit 0 on done, 1 on ready        0x0C  which came (writing 1 toggles, as in HLS)
//   0x10  frames   0x18  threshold   0x20  frames done, 0x24 its valid bit   0x30  exits, 0x34 its valid bit
//   0x40  width, in a design with several: an index, 0 the narrowest, after reset the widest; it holds from the next frame on
//   0x60  cycles from start to done  0x64, 0x68, 0x6C  cycles in which a word waited at the image, result, feature port
//
// A start while a batch runs is ignored, and so is one of no frames. Frames and threshold hold for the batch that starts
// behind them. Bit 7, auto-restart, is not there and reads 0.
`default_nettype none
module cs_control #(
    parameter WIDTHS = 1
) (
    input  wire         aclk,
    input  wire         aresetn,
    input  wire  [6:0]  s_axi_awaddr,
    input  wire         s_axi_awvalid,
    output wire         s_axi_awready,
    input  wire  [31:0] s_axi_wdata,
    input  wire  [3:0]  s_axi_wstrb,
    input  wire         s_axi_wvalid,
    output wire         s_axi_wready,
    output wire  [1:0]  s_axi_bresp,
    output logic        s_axi_bvalid,
    input  wire         s_axi_bready,
    input  wire  [6:0]  s_axi_araddr,
    input  wire         s_axi_arvalid,
    output wire         s_axi_arready,
    output logic [31:0] s_axi_rdata,
    output wire  [1:0]  s_axi_rresp,
    output logic        s_axi_rvalid,
    input  wire         s_axi_rready,
    output wire         irq,
    output logic        start,       // one cycle
    output logic [15:0] frames,      // of the batch that runs
    output logic [31:0] threshold,
    output logic [7:0]  width,       // of the frames that begin from now on
    input  wire         finished,    // the batch that runs has left the design
    input  wire  [31:0] frames_done,
    input  wire  [31:0] exits,
    input  wire  [2:0]  waits        // of a word at the image, result, feature port
);
    // Address and data of a write come in any order; the write happens when both are there and no answer is pending.
    logic [6:0]  address;
    logic [31:0] data;
    logic [3:0]  strobes;
    logic        has_address, has_data;
    wire         writes = has_address && has_data && !s_axi_bvalid;
    assign s_axi_awready = !has_address;
    assign s_axi_wready = !has_data;
    assign s_axi_bresp = 2'b00;
    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            has_address  <= 1'b0;
            has_data     <= 1'b0;
            s_axi_bvalid <= 1'b0;
        end else begin
            if (s_axi_awvalid && s_axi_awready) has_address <= 1'b1;
            if (s_axi_wvalid && s_axi_wready) has_data <= 1'b1;
            if (writes) {has_address, has_data} <= 2'b00;
            if (writes) s_axi_bvalid <= 1'b1;
            else if (s_axi_bready) s_axi_bvalid <= 1'b0;
        end
        if (s_axi_awready) address <= s_axi_awaddr;
        if (s_axi_wready) {data, strobes} <= {s_axi_wdata, s_axi_wstrb};
    end
    wire [31:0] bits = {{8{strobes[3]}}, {8{strobes[2]}}, {8{strobes[1]}}, {8{strobes[0]}}};
    wire [4:0]  written = writes ? address[6:2] : 5'h1F;  // no register has this number
    wire        byte_0 = strobes[0];

    // A read is answered a cycle later.
    wire       reads = s_axi_arvalid && s_axi_arready;
    wire [4:0] wanted = reads ? s_axi_araddr[6:2] : 5'h1F;
    assign s_axi_arready = !s_axi_rvalid;
    assign s_axi_rresp = 2'b00;

    logic        running, done, ready, global_enable, frames_valid, exits_valid;
    logic [1:0]  enable, status;
    logic [31:0] next_frames, next_threshold, last_frames, last_exits, cycles;
    logic [95:0] waited;
    wire         ends = running && finished && !start;
    wire         starts = written == 5'h00 && byte_0 && data[0] && !running && next_frames[15:0] != '0;
    assign irq = global_enable && status != 2'b00;

    always_ff @(posedge aclk) begin
        if (!aresetn) begin
            start          <= 1'b0;
            running        <= 1'b0;
            done           <= 1'b0;
            ready          <= 1'b0;
            global_enable  <= 1'b0;
            enable         <= 2'b00;
            status         <= 2'b00;
            frames_valid   <= 1'b0;
            exits_valid    <= 1'b0;
            next_frames    <= '0;
            next_threshold <= '0;
            width          <= 8'(WIDTHS - 1);
            last_frames    <= '0;
            last_exits     <= '0;
            cycles         <= '0;
            waited         <= '0;
        end else begin
            start <= starts;
            if (starts) running <= 1'b1;
            else if (ends) running <= 1'b0;
            done  <= ends || (done && wanted != 5'h00);
            ready <= ends || (ready && wanted != 5'h00);
            if (written == 5'h01 && byte_0) global_enable <= data[0];
            if (written == 5'h02 && byte_0) enable <= data[1:0];
            status <= (status ^ (written == 5'h03 && byte_0 ? data[1:0] : 2'b00)) | (ends ? enable : 2'b00);
            if (written == 5'h04) next_frames <= (next_frames & ~bits) | (data & bits);
            if (written == 5'h06) next_threshold <= (next_threshold & ~bits) | (data & bits);
            if (WIDTHS > 1 && written == 5'h10 && byte_0) width <= data[7:0];
            if (ends) begin
                last_frames <= frames_done;
                last_exits  <= exits;
            end
            frames_valid <= ends || (frames_valid && wanted != 5'h09);
            exits_valid  <= ends || (exits_valid && wanted != 5'h0D);
            if (start) begin
                cycles <= '0;
                waited <= '0;
            end else if (running) begin
                cycles <= cycles + 1'b1;
                if (waits[0]) waited[31:0] <= waited[31:0] + 1'b1;
                if (waits[1]) waited[63:32] <= waited[63:32] + 1'b1;
                if (waits[2]) waited[95:64] <= waited[95:64] + 1'b1;
            end
        end
        if (starts) {frames, threshold} <= {next_frames[15:0], next_threshold};
    end

    always_ff @(posedge aclk) begin
        if (!aresetn) s_axi_rvalid <= 1'b0;
        else if (reads) s_axi_rvalid <= 1'b1;
        else if (s_axi_rready) s_axi_rvalid <= 1'b0;
        if (reads) begin
            case (s_axi_araddr[6:2])
                5'h00:   s_axi_rdata <= {28'd0, ready, !running, done, running};
                5'h01:   s_axi_rdata <= {31'd0, global_enable};
                5'h02:   s_axi_rdata <= {30'd0, enable};
                5'h03:   s_axi_rdata <= {30'd0, status};
                5'h04:   s_axi_rdata <= next_frames;
                5'h06:   s_axi_rdata <= next_threshold;
                5'h08:   s_axi_rdata <= last_frames;
                5'h09:   s_axi_rdata <= {31'd0, frames_valid};
                5'h0C:   s_axi_rdata <= last_exits;
                5'h0D:   s_axi_rdata <= {31'd0, exits_valid};
                5'h10:   s_axi_rdata <= WIDTHS > 1 ? {24'd0, width} : '0;
                5'h18:   s_axi_rdata <= cycles;
                5'h19:   s_axi_rdata <= waited[31:0];
                5'h1A:   s_axi_rdata <= waited[63:32];
                5'h1B:   s_axi_rdata <= waited[95:64];
                default: s_axi_rdata <= '0;
            endcase
        end
    end
    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{1'b0, address[1:0], s_axi_araddr[1:0]};
    // verilator lint_on UNUSEDSIGNAL
endmodule
`default_nettype wire
