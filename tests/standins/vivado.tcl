# Vivado's side of packing: a core revision must be a 32-bit integer.
namespace eval ipx {}
proc set_property {name value core} {
    if {$name eq "core_revision" && $value > 2147483647} {
        error "bad lexical cast: source type value could not be interpreted as target"
    }
}
proc ipx::save_core {core} { close [open component.xml w] }
if {$::env(STANDIN_FAULT) eq "y2k22-always"} {
    puts "ERROR: no licence"
    exit 1
}
source run_ippack.tcl
