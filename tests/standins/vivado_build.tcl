# The commands of Vivado that build.tcl, package.tcl and design.tcl use: each checks its arguments and says on STANDIN_LOG that it
# ran. The block design is kept as Vivado would, checked when it is validated, and written as a .hwh by hwh.py.
set standins [file dirname [file normalize [info script]]]
source [file join $standins vivado_ips.tcl]
set fault $::env(STANDIN_FAULT)
set release [expr {[info exists ::env(STANDIN_RELEASE)] ? $::env(STANDIN_RELEASE) : "2022.2"}]
puts "****** Vivado v$release (64-bit)"
array set props {}
array set types {}   ;# cell -> IP
array set vlnvs {}
array set nets {}    ;# pin -> the pin that drives it
array set links {}   ;# bus -> its other end
set cores {}
set mapped {}

proc called {args} {
    set file [open $::env(STANDIN_LOG) a]
    puts $file [join [lmap word $args { string map {\n " "} $word }] "\t"]
    close $file
}
proc wrong {message} { puts "ERROR: \[STANDIN 1\] $message"; error $message }
proc check {condition message} { if {![uplevel 1 [list expr $condition]]} { wrong $message } }
proc may_fail {step} { if {$::fault eq $step} { wrong "$step went wrong" } }
proc flags {words known} {
    # Splits options from the rest; an option that is not known is an error. `known` is {option takes-a-value ...}.
    set options {}
    set rest {}
    for {set i 0} {$i < [llength $words]} {incr i} {
        set word [lindex $words $i]
        if {[string match -* $word]} {
            check {[dict exists $known $word]} "unknown option '$word'"
            dict set options $word [expr {[dict get $known $word] ? [lindex $words [incr i]] : 1}]
        } else { lappend rest $word }
    }
    return [list $options $rest]
}

# Projects and files.
proc get_parts {args} { lassign [flags $args {-quiet 0}] o r; return [expr {$::fault eq "no-part" ? "" : $r}] }
proc create_project {args} {
    called create_project {*}$args
    lassign [flags $args {-force 0 -part 1}] options rest
    check {[llength $rest] == 2 && [regexp {^xc[A-Za-z0-9-]+$} [dict get $options -part]]} "create_project: $args"
    set ::project [lindex $rest 0]
    set ::work [lindex $rest 1]
    file mkdir $::work
    set ::props(project,part) [dict get $options -part]
    set ::sources {}
}
proc close_project {} { called close_project; unset ::project }
proc current_project {} { check {[info exists ::project]} "no project is open"; return project }
proc current_fileset {} { return fileset }
proc get_board_parts {args} {
    lassign [flags $args {-quiet 0}] o rest
    check {[regexp {^[\w.]+:[\w-]+:part0:\*$} [lindex $rest 0]]} "get_board_parts: $rest"
    if {$::fault eq "no-board"} { return {} }
    return [list [string map {* 1.0} [lindex $rest 0]] [string map {* 1.1} [lindex $rest 0]]]
}
proc add_files {args} {
    called add_files {*}$args
    lassign [flags $args {-norecurse 0}] o rest
    foreach file [concat {*}$rest] { check {[file isfile $file]} "add_files: no file $file"; lappend ::sources $file }
}
proc update_compile_order {args} { called update_compile_order {*}$args; check {$args eq "-fileset sources_1"} "update_compile_order: $args" }
proc get_files {name} { return [file join $::work $::project.srcs sources_1 bd [file rootname $name] $name] }
proc update_ip_catalog {args} { called update_ip_catalog {*}$args; check {$args in {{} -rebuild}} "update_ip_catalog: $args" }

proc set_property {args} {
    called set_property {*}$args
    if {[lindex $args 0] eq "-dict"} {
        check {[llength $args] == 3 && [llength [lindex $args 1]] % 2 == 0} "set_property: $args"
        foreach {name value} [lindex $args 1] { put_property $name $value [lindex $args 2] }
    } else { check {[llength $args] == 3} "set_property: $args"; put_property {*}$args }
}
proc put_property {name value object} {
    if {[info exists ::types($object)]} {
        set type $::types($object)
        check {[regexp {^CONFIG\.(.+)$} $name - setting]} "$object has no property $name"
        check {[dict exists $::ip::settings $type $setting]} "$type has no setting $setting"
        check {[regexp [dict get $::ip::settings $type $setting] $value]} "$value is no $setting of $type"
        set name $setting
    } elseif {$object in {project fileset} || [string match core* $object]} {
        set known {target_language ip_repo_paths board_part top name version display_name description supported_families core_revision
            slave_memory_map_ref range width address_offset size access bit_offset bit_width}
        check {$name in $known} "$object has no property $name"
        if {$name eq "core_revision" && $value > 2147483647} { wrong "bad lexical cast: source type value could not be interpreted as target" }
        if {$name eq "ip_repo_paths"} { foreach folder $value { check {[file isfile [file join $folder component.xml]]} "no IP in $folder" } }
    } else { wrong "there is no object '$object' for $name" }
    set ::props($object,$name) $value
}
proc get_property {name object} {
    switch -glob $name {
        STATUS { return [expr {$::fault eq $object ? "[string map {_1 _design} $object] ERROR" : $::status($object)}] }
        DIRECTORY { return [file join $::work $::project.runs $object] }
        STATS.WNS { return [expr {$::fault eq "slack" ? "-0.312" : "0.874"}] }
        STATS.WHS { return [expr {$::fault eq "hold" ? "-0.021" : "0.029"}] }
        STATS.FAILED_NETS { return [expr {$::fault eq "unrouted" ? 3 : 0}] }
        CONFIG.PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ { return [format %.6f $::props($object,PCW_FPGA0_PERIPHERAL_FREQMHZ)] }
        CONFIG.PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ { return [format %.6f [expr {$::props($object,PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ) * 0.99999}]] }
        default { wrong "$object has no property $name" }
    }
}

# Packaging.
namespace eval ipx {
    proc package_project {args} {
        called ipx::package_project {*}$args
        lassign [flags $args {-root_dir 1 -vendor 1 -library 1 -taxonomy 1 -import_files 0 -force 0}] o rest
        check {$rest eq "" && [file pathtype [dict get $o -root_dir]] eq "absolute"} "ipx::package_project: $args"
        set ::core_options $o
        set ::core_buses [interfaces_of [lindex [lsearch -all -inline $::sources *_ip.v] 0]]
    }
    proc current_core {} { return core }
    proc interfaces_of {file} {
        # The interfaces that the attributes of the wrapper name.
        set channel [open $file]
        set text [read $channel]
        close $channel
        set names {}
        foreach {- name} [regexp -all -inline {X_INTERFACE_INFO = "xilinx.com:(?:signal|interface):\w+:1.0 (\w+) \w+"} $text] { if {$name ni $names} { lappend names $name } }
        set ::core_bits [lmap port {s_axis_image m_axis_result m_axis_feature} { regexp "\\\[(\\d+):0\\\] ${port}_tdata" $text - left; expr {$left + 1} }]
        return $names
    }
    proc get_bus_interfaces {name of core} { check {$of eq "-of_objects"} "get_bus_interfaces: $of"; return [expr {$name in $::core_buses ? "core,$name" : ""}] }
    proc add_memory_map {quiet name core} { called add_memory_map $name; check {$quiet eq "-quiet"} "add_memory_map"; return core,map }
    proc add_address_block {quiet name map} { check {$quiet eq "-quiet" && $map eq "core,map"} "add_address_block"; return core,block }
    proc add_register {name block} { called add_register $name; check {$block eq "core,block"} "add_register: $block"; lappend ::registers $name; return core,register,$name }
    proc get_registers {name of block} { check {$name in $::registers} "no register $name"; return core,register,$name }
    proc add_field {name register} { lappend ::fields([lindex [split $register ,] end]) $name; return $register,$name }
    foreach name {create_xgui_files update_checksums check_integrity} { proc $name {core} { called ipx::[lindex [info level 0] 0]; check {$core eq "core"} "$core is no core" } }
    proc save_core {core} {
        called ipx::save_core
        may_fail package
        file mkdir [dict get $::core_options -root_dir]
        close [open [file join [dict get $::core_options -root_dir] component.xml] w]
        foreach word {name version core_revision} { check {[info exists ::props(core,$word)]} "the core has no $word" }
        lappend ::cores "[dict get $::core_options -vendor]:[dict get $::core_options -library]:$::props(core,name):$::props(core,version)"
    }
}

# The block design.
proc create_bd_design {name} { called create_bd_design $name; set ::bd $name }
proc get_ipdefs {quiet pattern} {
    if {[info exists ::env(STANDIN_HLS_TOP)]} { lappend ::cores xilinx.com:hls:$::env(STANDIN_HLS_TOP):1.0 }
    foreach {name version} $::ip::versions { lappend known $name:$version }
    return [lsearch -all -inline [concat $known $::cores] $pattern]
}
proc create_bd_cell {args} {
    called create_bd_cell {*}$args
    lassign [flags $args {-type 1 -vlnv 1}] o name
    set vlnv [dict get $o -vlnv]
    check {[dict get $o -type] eq "ip" && [llength [get_ipdefs -quiet $vlnv]] && ![info exists ::types($name)]} "create_bd_cell: $args"
    lassign [split $vlnv :] vendor library ip
    set ::vlnvs($name) $vlnv
    set ::types($name) [expr {"$vendor:$library" eq "codesign:rtl" ? "rtl" : "$vendor:$library" eq "xilinx.com:hls" ? "hls" : $ip}]
    if {[dict exists $::ip::defaults $::types($name)]} { dict for {key value} [dict get $::ip::defaults $::types($name)] { set ::props($name,$key) $value } }
}
proc get_bd_cells {name} { check {[info exists ::types($name)]} "no cell $name"; return $name }
proc apply_bd_automation {args} {
    called apply_bd_automation {*}$args
    lassign [flags $args {-rule 1 -config 1}] o cell
    check {[dict get $o -rule] eq "xilinx.com:bd_rule:$::types($cell)"} "no rule [dict get $o -rule]"
    check {[dict get $o -config apply_board_preset] == ([info exists ::props(project,board_part)] ? 1 : 0)} "a preset needs a board"
    if {$::types($cell) eq "processing_system7"} { check {[dict get $o -config make_external] eq "FIXED_IO, DDR"} "DDR is not led out" }
}
proc settings_of {cell} {
    set found {}
    foreach {key value} [array get ::props $cell,*] { dict set found [string range $key [string length $cell,] end] $value }
    return $found
}
proc pins_of {cell} { return [ip::pins $::types($cell) [settings_of $cell]] }
proc buses_of {cell} { return [ip::buses $::types($cell) [settings_of $cell] [expr {[info exists ::core_bits] ? $::core_bits : "8 64 64"}]] }
proc entry {path table size what} {
    # The row of a pin or bus `cell/name`.
    lassign [split $path /] cell name
    check {[info exists ::types($cell)]} "no cell $cell"
    foreach row [rows [$table $cell] $size] { if {[lindex $row 0] eq $name} { return $row } }
    wrong "$cell ($::types($cell)) has no $what $name"
}
proc rows {flat size} { set rows {}; for {set i 0} {$i < [llength $flat]} {incr i $size} { lappend rows [lrange $flat $i $i+[expr {$size - 1}]] }; return $rows }
proc get_bd_pins {path} { entry $path pins_of 3 pin; return $path }
proc get_bd_intf_pins {path} { entry $path buses_of 4 bus; return $path }
proc connect_bd_net {from to} {
    called connect_bd_net $from $to
    lassign [entry $from pins_of 3 pin] - out kind
    lassign [entry $to pins_of 3 pin] - in other
    check {$out eq "O" && $in eq "I" && $kind eq $other} "$from ($kind) cannot drive $to ($other)"
    check {![info exists ::nets($to)]} "$to is driven twice"
    set ::nets($to) $from
}
proc connect_bd_intf_net {from to} {
    called connect_bd_intf_net $from $to
    lassign [entry $from buses_of 4 bus] - mode protocol bits
    lassign [entry $to buses_of 4 bus] - other_mode other other_bits
    check {$mode eq "master" && $other_mode eq "slave"} "$from is a $mode and $to a $other_mode"
    check {($protocol eq "axis") == ($other eq "axis")} "$from is $protocol, $to $other"
    if {$protocol eq "axis"} { check {$bits == $other_bits} "$from has $bits bits, $to $other_bits" }
    foreach end [list $from $to] { check {![info exists ::links($end)]} "$end is connected twice" }
    set ::links($from) $to
    set ::links($to) $from
}
proc assign_bd_address {} { called assign_bd_address; set ::mapped 1 }
proc validate_bd_design {} {
    called validate_bd_design
    may_fail validate
    check {$::mapped eq 1} "addresses are not assigned"
    foreach cell [array names ::types] {
        foreach row [rows [pins_of $cell] 3] {
            lassign $row pin direction kind
            if {$direction eq "I"} { check {[info exists ::nets($cell/$pin)]} "$cell/$pin is not connected" }
        }
        foreach row [rows [buses_of $cell] 4] { check {[info exists ::links($cell/[lindex $row 0])]} "$cell/[lindex $row 0] is not connected" }
    }
}
proc save_bd_design {} { called save_bd_design }
proc make_wrapper {args} {
    called make_wrapper {*}$args
    check {[lindex $args 0] eq "-files" && [lindex $args 2] eq "-top"} "make_wrapper: $args"
    set wrapper [file join $::work $::project.srcs ${::bd}_wrapper.v]
    close [open $wrapper w]
    return $wrapper
}
proc generate_target {what file} {
    called generate_target $what $file
    set state [open [file join $::work state.tsv] w]
    puts $state "release\t$::release\npart\t$::props(project,part)\ndesign\t$::bd"
    foreach cell [lsort [array names ::types]] {
        puts $state "cell\t$cell\t$::vlnvs($cell)"
        dict for {key value} [settings_of $cell] { puts $state "setting\t$cell\t$key\t$value" }
        foreach row [rows [pins_of $cell] 3] { puts $state "pin\t$cell\t[join $row \t]" }
        foreach row [rows [buses_of $cell] 4] { puts $state "bus\t$cell\t[join $row \t]" }
    }
    foreach {to from} [array get ::nets] { puts $state "net\t$from\t$to" }
    foreach {from to} [array get ::links] { puts $state "link\t$from\t$to" }
    foreach name [expr {[info exists ::registers] ? $::registers : {}}] {
        puts $state "register\t$name\t$::props(core,register,$name,address_offset)\t$::props(core,register,$name,access)\t$::props(core,register,$name,description)"
        foreach field [expr {[info exists ::fields($name)] ? $::fields($name) : {}}] {
            puts $state "field\t$name\t$field\t$::props(core,register,$name,$field,bit_offset)\t$::props(core,register,$name,$field,bit_width)\t$::props(core,register,$name,$field,access)"
        }
    }
    close $state
    set kind [expr {[string compare $::release 2020.2] >= 0 ? "gen" : "srcs"}]
    set folder [file join $::work $::project.$kind sources_1 bd $::bd hw_handoff]
    file mkdir $folder [file dirname $file]
    exec python3 [file join $::standins hwh.py] [file join $::work state.tsv] [file join $folder $::bd.hwh]
    close [open $file w]
}

# Runs and reports.
proc get_runs {name} { check {$name in {synth_1 impl_1}} "no run $name"; return $name }
proc launch_runs {args} {
    called launch_runs {*}$args
    lassign [flags $args {-jobs 1 -to_step 1}] o run
    check {[string is integer -strict [dict get $o -jobs]]} "launch_runs: $args"
    set step [expr {[dict exists $o -to_step] ? [dict get $o -to_step] : "synth_design"}]
    check {$run eq "synth_1" || ([info exists ::status(synth_1)] && $step in {route_design write_bitstream})} "launch_runs: $args"
    set ::status($run) "$step Complete!"
    if {$step ne "write_bitstream"} return
    set folder [file join $::work $::project.runs impl_1]
    file mkdir $folder
    exec python3 [file join $::standins hwh.py] --bit $::project $::props(project,part) [file join $folder ${::bd}_wrapper.bit]
}
proc wait_on_run {run} { called wait_on_run $run; check {[info exists ::status($run)]} "$run does not run" }
proc open_run {run} { called open_run $run; check {[string match "route_design*" $::status($run)]} "$run is not routed"; set ::opened 1 }
proc get_cells {path} { check {$path eq "${::bd}_i/accelerator"} "no cell $path"; return $path }
foreach name {report_utilization report_timing_summary report_route_status report_power} {
    proc $name {args} {
        set name [lindex [info level 0] 0]
        called $name {*}$args
        lassign [flags $args {-file 1 -cells 1}] o rest
        check {$rest eq "" && [info exists ::opened]} "$name: $args"
        if {$::fault eq "no-$name"} return
        exec python3 [file join $::standins vivado_reports.py] $name [dict exists $o -cells] $::props(project,part) $::fault > [dict get $o -file]
    }
}

source [lindex $argv end]
