// A beat as a word of a port: code i, extended to CONTAINER bits, in the i-th container from the low end. No register.
`default_nettype none
module cs_port_word #(
    parameter X_BITS    = 8,
    parameter X_SIGNED  = 0,
    parameter LANES     = 6,
    parameter PORT_BITS = 64,
    parameter CONTAINER = 8,
    // derived: leave alone
    parameter X_WIDTH   = LANES * X_BITS
) (
    input  wire [X_WIDTH-1:0]   x_data,
    output wire [PORT_BITS-1:0] codes
);
    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            wire [X_BITS-1:0] code = x_data[i*X_BITS+:X_BITS];
            if (CONTAINER == X_BITS) begin : g_full
                assign codes[i*CONTAINER+:CONTAINER] = code;
            end else begin : g_extended
                assign codes[i*CONTAINER+:CONTAINER] = {{(CONTAINER - X_BITS) {X_SIGNED != 0 && code[X_BITS-1]}}, code};
            end
        end
        if (LANES * CONTAINER < PORT_BITS) begin : g_rest
            assign codes[PORT_BITS-1:LANES*CONTAINER] = '0;
        end
    endgenerate
endmodule
`default_nettype wire
