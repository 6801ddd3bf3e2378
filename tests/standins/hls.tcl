# The commands of Vivado HLS and Vitis HLS that run_hls.tcl uses: each checks its arguments, and says on STANDIN_LOG that it ran.
namespace eval standin {
    variable fault $::env(STANDIN_FAULT) tb {} is_vitis [expr {$::env(STANDIN_TOOL) ne "vivado_hls"}]
}
puts [expr {$::standin::is_vitis ? "****** Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2023.2 (64-bit)" :
                        "****** Vivado(TM) HLS - High-Level Synthesis from C, C++ and SystemC v2019.2 (64-bit)"}]

proc called {args} {
    set file [open $::env(STANDIN_LOG) a]
    puts $file [join $args "\t"]
    close $file
}
proc wrong {message} {
    puts "ERROR: \[HLS 200-101\] $message"
    error $message
}
proc check {condition message} { if {![uplevel 1 [list expr $condition]]} { wrong $message } }
proc may_fail {step} {
    if {$::standin::fault ne $step} return
    puts "ERROR: \[STANDIN 1\] $step went wrong"
    error "command 'ap_source' returned error code"
}

proc open_project {args} {
    called open_project {*}$args
    set ::standin::prj [lindex $args end]
    check {[llength $args] == 1 || [lindex $args 0] eq "-reset"} "open_project: $args"
    if {"-reset" in $args} { file delete -force $::standin::prj }
    file mkdir $::standin::prj
}
proc set_top {name} { called set_top $name; set ::standin::top $name }
proc add_files {args} {
    called add_files {*}$args
    set is_tb [expr {[lindex $args 0] eq "-tb"}]
    if {$is_tb} { set args [lrange $args 1 end] }
    check {[llength $args] == 1 || ([llength $args] == 3 && [lindex $args 1] eq "-cflags")} "add_files: $args"
    check {[file isfile [lindex $args 0]]} "add_files: no file [lindex $args 0]"
    if {$is_tb} { lappend ::standin::tb [lindex $args 0] }
}
proc open_solution {args} {
    called open_solution {*}$args
    check {$::standin::is_vitis || "-flow_target" ni $args} "open_solution: unknown option '-flow_target'"
    set ::standin::solution [file join $::standin::prj [lindex $args end]]
    if {"-reset" in $args} { file delete -force $::standin::solution }
    file mkdir $::standin::solution
}
proc set_part {part} {
    called set_part $part
    check {$::standin::fault ne "no-part" && [regexp {^xc[a-z0-9-]+$} $part]} "no part $part"
}
proc create_clock {args} {
    called create_clock {*}$args
    check {[lindex $args 0] eq "-period" && [string is double -strict [lindex $args 1]] && [lrange $args 2 end] eq "-name default"} "create_clock: $args"
}
proc set_clock_uncertainty {value} { called set_clock_uncertainty $value; check {$value eq "12.5%"} "uncertainty $value" }
proc config_compile {option value} {
    called config_compile $option $value
    check {$option in {-pipeline_loops -name_max_length} && [string is integer -strict $value]} "config_compile: $option"
}
proc csim_design {} {
    called csim_design
    may_fail csim
    if {![info exists ::env(STANDIN_CXXFLAGS)]} return
    set build [file join $::standin::solution csim build]
    file mkdir $build
    set cpp [lsearch -all -inline $::standin::tb *.cpp]
    exec g++ {*}$::env(STANDIN_CXXFLAGS) -std=c++0x -Isrc {*}$cpp [file join src $::standin::top.cpp] -o [file join $build csim.exe]
    set here [pwd]
    cd $build
    exec ./csim.exe >@stdout
    cd $here
}
proc csynth_design {} {
    called csynth_design
    may_fail csynth
    file mkdir [file join $::standin::solution syn]
}
proc cosim_design {args} {
    called cosim_design {*}$args
    check {[lrange $args 0 2] eq "-rtl verilog -argv" && [string is integer -strict [lindex $args 3]]} "cosim_design: $args"
    check {[file isdirectory [file join $::standin::solution syn]]} "cosim_design: synthesize first"
    may_fail cosim
}
proc export_design {args} {
    called export_design {*}$args
    check {$args eq "-format ip_catalog -version 1.0.0"} "export_design: $args"
    check {[file isdirectory [file join $::standin::solution syn]]} "export_design: synthesize first"
    may_fail export
    set ip [file join $::standin::solution impl ip]
    file mkdir $ip
    if {![string match y2k22* $::standin::fault]} { close [open [file join $ip component.xml] w]; return }
    set file [open [file join $ip run_ippack.tcl] w]
    puts $file "set Vendor      \"xilinx.com\"\nset Revision    \"2609291200\"\nset core component_1"
    puts $file "set_property core_revision \$Revision \$core\nipx::save_core \$core"
    close $file
    puts "bad lexical cast: source type value could not be interpreted as target"
    puts "ERROR: \[IMPL 213-28\] Failed to generate IP."
    error "command 'ap_source' returned error code"
}

source [lindex $argv end]
