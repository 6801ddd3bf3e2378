// Talks to cs_control as a driver does, and plays the design behind it: prints a line for everything that is not so.
module bench_registers;
    reg         aclk = 0, aresetn = 0;
    reg  [6:0]  awaddr = 'x, araddr = 'x;
    reg  [31:0] wdata = 'x;
    reg  [3:0]  wstrb = 'x;
    reg         awvalid = 0, wvalid = 0, bready = 0, arvalid = 0, rready = 0;
    wire        awready, wready, bvalid, arready, rvalid, irq, start;
    wire [1:0]  bresp, rresp;
    wire [31:0] rdata, threshold;
    wire [15:0] frames;
    reg         finished = 1;  // a batch before it all
    reg  [31:0] frames_done = 0, exits = 0;
    reg  [2:0]  waits = 0;
    reg  [31:0] value;
    integer     starts = 0, i;

    always #1 aclk = !aclk;
    cs_control control (
        .aclk(aclk), .aresetn(aresetn),
        .s_axi_awaddr(awaddr), .s_axi_awvalid(awvalid), .s_axi_awready(awready),
        .s_axi_wdata(wdata), .s_axi_wstrb(wstrb), .s_axi_wvalid(wvalid), .s_axi_wready(wready),
        .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(bready),
        .s_axi_araddr(araddr), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
        .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rvalid(rvalid), .s_axi_rready(rready),
        .irq(irq), .start(start), .frames(frames), .threshold(threshold), .finished(finished),
        .frames_done(frames_done), .exits(exits), .waits(waits)
    );
    // What the ports do: the end of the batch before is forgotten a cycle behind the start.
    always @(posedge aclk) if (start) begin
        starts   <= starts + 1;
        finished <= 0;
    end

    task put_address(input [6:0] address);
        begin
            awaddr <= address;
            awvalid <= 1;
            @(posedge aclk);
            while (!awready) @(posedge aclk);
            awvalid <= 0;
            awaddr <= 'x;
        end
    endtask

    task put_data(input [31:0] data, input [3:0] strobes);
        begin
            wdata <= data;
            wstrb <= strobes;
            wvalid <= 1;
            @(posedge aclk);
            while (!wready) @(posedge aclk);
            wvalid <= 0;
            wdata <= 'x;
            wstrb <= 'x;
        end
    endtask

    // `order`: 0 both at once, above it the address comes so many cycles later, below it the data; `hold` delays BREADY.
    task write_bytes(input [6:0] address, input [31:0] data, input [3:0] strobes, input integer order, hold);
        begin
            bready <= hold == 0;
            fork
                begin
                    repeat (order > 0 ? order : 0) @(posedge aclk);
                    put_address(address);
                end
                begin
                    repeat (order < 0 ? -order : 0) @(posedge aclk);
                    put_data(data, strobes);
                end
            join
            while (!bvalid) @(posedge aclk);
            repeat (hold) begin
                @(posedge aclk);
                if (!bvalid) $display("FAIL: BVALID does not wait");
            end
            bready <= 1;
            if (hold != 0) @(posedge aclk);
            if (bresp != 0) $display("FAIL: BRESP is %b", bresp);
            @(posedge aclk) bready <= 0;
            if (bvalid && hold == 0) $display("FAIL: two answers to a write");
        end
    endtask

    task write(input [6:0] address, input [31:0] data);
        write_bytes(address, data, 15, 0, 0);
    endtask

    task read(input [6:0] address, input integer hold);
        begin
            araddr <= address;
            arvalid <= 1;
            rready <= 0;
            @(posedge aclk);
            while (!arready) @(posedge aclk);
            arvalid <= 0;
            araddr <= 'x;
            @(posedge aclk);
            while (!rvalid) @(posedge aclk);
            value = rdata;
            repeat (hold) begin
                @(posedge aclk);
                if (!rvalid || rdata !== value) $display("FAIL: read data do not wait");
            end
            if (rresp != 0) $display("FAIL: RRESP is %b", rresp);
            rready <= 1;
            @(posedge aclk) rready <= 0;
        end
    endtask

    task expects(input [6:0] address, input [31:0] want);
        begin
            read(address, 0);
            if (value !== want) $display("FAIL: register %h is %h, not %h, at %0d", address, value, want, $time);
        end
    endtask

    task check(input right, input [8*40-1:0] what);
        if (right !== 1) $display("FAIL: %0s at %0d", what, $time);
    endtask

    // Ends the batch `length` cycles behind its start, with `stalled` cycles of every kind of wait.
    task finish(input integer length, input integer stalled, input [31:0] out);
        begin
            for (i = 0; i < length; i = i + 1) begin
                waits <= {i < 3 * stalled, i < 2 * stalled, i < stalled};
                @(posedge aclk);
            end
            waits <= 0;
            frames_done <= frames;
            exits <= out;
            finished <= 1;
            @(posedge aclk) @(posedge aclk);
        end
    endtask

    initial begin
        repeat (3) @(posedge aclk);
        aresetn <= 1;
        @(posedge aclk);
        expects(7'h00, 4);  // idle
        for (i = 1; i < 32; i = i + 1) expects(7'(4 * i), 0);

        // Bytes, order, answers that wait.
        write(7'h10, 32'h11223344);
        write_bytes(7'h10, 32'haabbccdd, 4'b0101, 2, 3);
        expects(7'h10, 32'h11bb33dd);
        write_bytes(7'h18, 32'hdeadbeef, 4'b1111, -3, 0);
        write_bytes(7'h18, 32'h00000000, 4'b0010, 5, 5);
        read(7'h18, 4);
        check(value === 32'hdead00ef, "the threshold in bytes");
        write(7'h7c, 32'hffffffff);  // nothing there
        write(7'h60, 32'hffffffff);  // read only
        expects(7'h60, 0);
        check(starts == 0 && !irq, "nothing starts by itself");

        // No frames, no start; nor without the byte's strobe.
        write(7'h10, 32'h00010000);
        write(7'h00, 1);
        write(7'h10, 5);
        write_bytes(7'h00, 1, 4'b1110, 0, 0);
        expects(7'h00, 4);
        check(starts == 0, "a start of no frames");

        // A batch: what is written meanwhile is for the next one, and another start is not heard.
        write(7'h00, 32'h81);
        check(starts == 1 && frames == 5 && threshold == 32'hdead00ef, "a batch with its registers");
        expects(7'h00, 1);
        write(7'h10, 9);
        write(7'h18, 77);
        write(7'h00, 1);
        check(starts == 1 && frames == 5 && threshold == 32'hdead00ef, "a batch that keeps its registers");
        expects(7'h24, 0);
        finish(20, 2, 3);
        expects(7'h20, 5);
        expects(7'h30, 3);
        expects(7'h24, 1);
        expects(7'h24, 0);  // cleared when read
        expects(7'h34, 1);
        expects(7'h34, 0);
        expects(7'h64, 2);
        expects(7'h68, 4);
        expects(7'h6c, 6);
        check(!irq, "no interrupt unless asked for");
        expects(7'h0c, 0);
        expects(7'h00, 32'he);  // done, idle, ready
        expects(7'h00, 4);

        // Interrupts: asked for, pending until toggled.
        write(7'h08, 3);
        write(7'h00, 1);
        check(frames == 9 && threshold == 77, "the next batch");
        finish(7, 1, 9);
        expects(7'h0c, 3);
        check(!irq, "an interrupt only when they are on");
        write(7'h04, 1);
        check(irq, "the interrupt");
        write(7'h0c, 1);
        expects(7'h0c, 2);
        check(irq, "still one of two");
        write(7'h0c, 3);
        expects(7'h0c, 1);  // toggles, as in HLS
        write_bytes(7'h0c, 1, 4'b1110, 0, 0);
        expects(7'h0c, 1);
        write(7'h0c, 1);
        check(!irq, "the interrupt is gone");
        write(7'h08, 1);

        // Cycles: from the start to the end.
        fork
            write(7'h00, 1);
            begin
                while (!start) @(posedge aclk);
                repeat (99) @(posedge aclk);
                finished <= 1;
            end
        join
        repeat (3) @(posedge aclk);
        expects(7'h60, 100);  // done comes a hundred cycles behind start
        expects(7'h0c, 1);

        // Reset in the midst of a batch forgets everything.
        write(7'h00, 1);
        aresetn <= 0;
        @(posedge aclk) @(posedge aclk) aresetn <= 1;
        @(posedge aclk);
        check(!bvalid && !rvalid && !irq && !start, "reset");
        expects(7'h00, 4);
        expects(7'h10, 0);
        expects(7'h08, 0);
        $display("end");
        $finish;
    end
endmodule
