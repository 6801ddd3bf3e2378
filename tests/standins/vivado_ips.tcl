# What the stand-in knows of Vivado's IPs: settings with the values they take, pins, and buses, as the settings make them.
namespace eval ip {
    # IP -> version
    variable versions {
        xilinx.com:ip:processing_system7 5.5  xilinx.com:ip:zynq_ultra_ps_e 3.3  xilinx.com:ip:axi_dma 7.1
        xilinx.com:ip:axi_interconnect 2.1  xilinx.com:ip:smartconnect 1.0  xilinx.com:ip:axi_intc 4.1
        xilinx.com:ip:xlconcat 2.1  xilinx.com:ip:proc_sys_reset 5.0
    }
    # IP -> setting -> pattern of its values. A setting that is not here is none.
    variable settings {
        processing_system7 {
            PCW_FPGA0_PERIPHERAL_FREQMHZ {^[0-9.]+$}  PCW_EN_CLK0_PORT {^[01]$}  PCW_EN_RST0_PORT {^[01]$}  PCW_USE_M_AXI_GP0 {^[01]$}
            PCW_USE_S_AXI_HP0 {^[01]$}  PCW_USE_S_AXI_HP1 {^[01]$}  PCW_USE_FABRIC_INTERRUPT {^[01]$}  PCW_IRQ_F2P_INTR {^[01]$}
        }
        zynq_ultra_ps_e {
            PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ {^[0-9.]+$}  PSU__FPGA_PL0_ENABLE {^[01]$}  PSU__USE__M_AXI_GP0 {^[01]$}  PSU__USE__M_AXI_GP1 {^[01]$}
            PSU__USE__M_AXI_GP2 {^[01]$}  PSU__USE__S_AXI_GP2 {^[01]$}  PSU__USE__S_AXI_GP3 {^[01]$}  PSU__USE__IRQ0 {^[01]$}
        }
        axi_dma {
            c_include_sg {^[01]$}  c_sg_include_stscntrl_strm {^[01]$}  c_sg_length_width {^([89]|1[0-9]|2[0-6])$}  c_addr_width {^(3[2-9]|[45][0-9]|6[0-4])$}
            c_include_mm2s {^[01]$}  c_include_mm2s_dre {^[01]$}  c_m_axi_mm2s_data_width {^(32|64|128|256|512|1024)$}
            c_m_axis_mm2s_tdata_width {^(8|16|32|64|128|256|512|1024)$}  c_mm2s_burst_size {^(2|4|8|16|32|64|128|256)$}
            c_include_s2mm {^[01]$}  c_include_s2mm_dre {^[01]$}  c_m_axi_s2mm_data_width {^(32|64|128|256|512|1024)$}
            c_s_axis_s2mm_tdata_width {^(8|16|32|64|128|256|512|1024)$}  c_s2mm_burst_size {^(2|4|8|16|32|64|128|256)$}
        }
        axi_interconnect {NUM_SI {^[1-9]$} NUM_MI {^[1-9]$}}  smartconnect {NUM_SI {^[1-9]$} NUM_MI {^[1-9]$}}
        axi_intc {C_IRQ_CONNECTION {^[01]$}}  xlconcat {NUM_PORTS {^[1-9]$}}  proc_sys_reset {}
    }
    variable defaults {
        axi_dma {
            c_include_sg 1 c_sg_length_width 14 c_addr_width 32 c_include_mm2s 1 c_include_s2mm 1 c_include_mm2s_dre 0 c_include_s2mm_dre 0
            c_m_axi_mm2s_data_width 32 c_m_axis_mm2s_tdata_width 32 c_m_axi_s2mm_data_width 32 c_s_axis_s2mm_tdata_width 32 c_micro_dma 0
            c_mm2s_burst_size 16 c_s2mm_burst_size 16
        }
        axi_interconnect {NUM_SI 1 NUM_MI 1} smartconnect {NUM_SI 2 NUM_MI 1} xlconcat {NUM_PORTS 2} axi_intc {C_IRQ_CONNECTION 0}
        processing_system7 {PCW_USE_S_AXI_HP0 0 PCW_USE_S_AXI_HP1 0 PCW_USE_M_AXI_GP0 1 PCW_FPGA0_PERIPHERAL_FREQMHZ 50 PCW_IRQ_F2P_INTR 0}
        zynq_ultra_ps_e {PSU__USE__S_AXI_GP2 0 PSU__USE__S_AXI_GP3 0 PSU__USE__M_AXI_GP0 1 PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 100 PSU__USE__IRQ0 0}
        proc_sys_reset {}
    }
}

# {pin direction kind ...} of a cell: kind clk, rst, intr or data; a clock or reset that goes in must be connected.
proc ip::pins {type s} {
    switch $type {
        processing_system7 {
            set pins {FCLK_CLK0 O clk FCLK_RESET0_N O rst M_AXI_GP0_ACLK I clk}
            foreach n {0 1} { if {[dict get $s PCW_USE_S_AXI_HP$n]} { lappend pins S_AXI_HP${n}_ACLK I clk } }
            if {[dict get $s PCW_IRQ_F2P_INTR]} { lappend pins IRQ_F2P I intr }
        }
        zynq_ultra_ps_e {
            set pins {pl_clk0 O clk pl_resetn0 O rst maxihpm0_fpd_aclk I clk}
            foreach n {0 1} { if {[dict get $s PSU__USE__S_AXI_GP[expr {$n + 2}]]} { lappend pins saxihp${n}_fpd_aclk I clk } }
            if {[dict get $s PSU__USE__IRQ0]} { lappend pins pl_ps_irq0 I intr }
        }
        axi_dma {
            set pins {s_axi_lite_aclk I clk axi_resetn I rst}
            foreach side {mm2s s2mm} { if {[dict get $s c_include_$side]} { lappend pins m_axi_${side}_aclk I clk ${side}_introut O intr } }
        }
        axi_interconnect {
            set pins {ACLK I clk ARESETN I rst}
            foreach {kind count} [list S [dict get $s NUM_SI] M [dict get $s NUM_MI]] {
                for {set i 0} {$i < $count} {incr i} { lappend pins ${kind}0${i}_ACLK I clk ${kind}0${i}_ARESETN I rst }
            }
        }
        smartconnect { set pins {aclk I clk aresetn I rst} }
        axi_intc { set pins {s_axi_aclk I clk s_axi_aresetn I rst intr I intr irq O intr} }
        xlconcat {
            set pins {dout O intr}
            for {set i 0} {$i < [dict get $s NUM_PORTS]} {incr i} { lappend pins In$i I intr }
        }
        proc_sys_reset { set pins {slowest_sync_clk I clk ext_reset_in I rst peripheral_aresetn O rst interconnect_aresetn O rst} }
        rtl { set pins {aclk I clk aresetn I rst interrupt O intr} }
        hls { set pins {ap_clk I clk ap_rst_n I rst interrupt O intr} }
    }
    return $pins
}

# {bus mode protocol bits ...}: mode master or slave, protocol axi, lite or axis; 0 bits adapt to the other side.
proc ip::buses {type s top_bits} {
    set buses {}
    switch $type {
        processing_system7 {
            lappend buses M_AXI_GP0 master axi 32
            foreach n {0 1} { if {[dict get $s PCW_USE_S_AXI_HP$n]} { lappend buses S_AXI_HP$n slave axi 64 } }
        }
        zynq_ultra_ps_e {
            lappend buses M_AXI_HPM0_FPD master axi 128
            foreach n {0 1} { if {[dict get $s PSU__USE__S_AXI_GP[expr {$n + 2}]]} { lappend buses S_AXI_HP${n}_FPD slave axi 128 } }
        }
        axi_dma {
            lappend buses S_AXI_LITE slave lite 32
            if {[dict get $s c_include_sg]} { lappend buses M_AXI_SG master axi 32 }
            if {[dict get $s c_include_mm2s]} { lappend buses M_AXI_MM2S master axi [dict get $s c_m_axi_mm2s_data_width] M_AXIS_MM2S master axis [dict get $s c_m_axis_mm2s_tdata_width] }
            if {[dict get $s c_include_s2mm]} { lappend buses M_AXI_S2MM master axi [dict get $s c_m_axi_s2mm_data_width] S_AXIS_S2MM slave axis [dict get $s c_s_axis_s2mm_tdata_width] }
        }
        axi_interconnect - smartconnect {
            for {set i 0} {$i < [dict get $s NUM_SI]} {incr i} { lappend buses S0${i}_AXI slave axi 0 }
            for {set i 0} {$i < [dict get $s NUM_MI]} {incr i} { lappend buses M0${i}_AXI master axi 0 }
        }
        axi_intc { lappend buses s_axi slave lite 32 }
        rtl - hls {
            lassign $top_bits image result feature
            lappend buses s_axi_control slave lite 32 s_axis_image slave axis $image m_axis_result master axis $result m_axis_feature master axis $feature
        }
    }
    return $buses
}
