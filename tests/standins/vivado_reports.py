"""Reports in Vivado's formats, for the stand-in and for the tests of the readers. The figures are invented.

vivado_reports.py REPORT CELL PART FAULT     REPORT: report_utilization, report_timing_summary, report_route_status, report_power
"""

from __future__ import annotations

import sys

HEAD = """Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
---------------------------------------------------------------
| Tool Version : Vivado v.2022.2 (lin64)
| Command      : {command}
| Design       : codesign_board_wrapper
| Device       : {part}
---------------------------------------------------------------

"""
DESIGN, ACCELERATOR = (9120, 11240, 31, 17.5), (4310, 5215, 31, 10.5)  # LUT, FF, DSP, block RAM tiles


def utilization(part: str, cell: bool) -> str:
    """Tables with a column more since 2021, and other names on UltraScale+."""
    lut, ff, dsp, tiles = ACCELERATOR if cell else DESIGN
    plus = not part.startswith("xc7")
    luts, registers = ("CLB LUTs", "CLB Registers") if plus else ("Slice LUTs", "Slice Registers")
    rows = [
        (luts, lut, 53200),
        ("  LUT as Logic", lut - 400, 53200),
        ("  LUT as Memory", 400, 17400),
        (registers, ff, 106400),
    ]
    memory = [
        ("Block RAM Tile", tiles, 140),
        ("  RAMB36/FIFO*", int(tiles), 140),
        ("    RAMB36E1 only", int(tiles), ""),
        ("  RAMB18", 1, 280),
    ]
    memory += [("URAM", 0, 96)] if plus else []
    head = HEAD.format(command="report_utilization", part=part)
    tables = (
        ("1. Slice Logic", rows),
        ("3. Memory", memory),
        ("4. ARITHMETIC" if plus else "4. DSP", [("DSPs", dsp, 220)]),
    )
    return head + "".join(f"{title}\n{'-' * len(title)}\n\n{_table(body)}\n" for title, body in tables)


def _table(rows: list[tuple[str, object, object]]) -> str:
    line = "+------------------------+-------+-------+------------+-----------+-------+\n"
    text = line + "|        Site Type       |  Used | Fixed | Prohibited | Available | Util% |\n" + line
    for name, used, available in rows:
        share = f"{100 * float(used) / float(available):.2f}" if available else ""
        text += f"| {name:22} | {used:>5} |     0 |          0 | {available:>9} | {share:>5} |\n"
    return text + line


def timing(part: str, wns: float, whs: float = 0.029) -> str:
    failing, bad_holds = (12 if wns < 0 else 0), (3 if whs < 0 else 0)
    return (
        HEAD.format(command="report_timing_summary", part=part)
        + """Timing Summary Report

------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints  THS Total Endpoints     WPWS(ns)     TPWS(ns)  TPWS Failing Endpoints  TPWS Total Endpoints
    -------      -------  ---------------------  -------------------      -------      -------  ---------------------  -------------------     --------     --------  ----------------------  --------------------
"""
        + f"     {wns:6.3f}       {min(0.0, 4 * wns):6.3f}                     {failing:2}                31415       {whs:6.3f}        0.000                      {bad_holds}                31415        3.750        0.000                       0                 11823  \n\n\n"
        + ("Timing constraints are not met.\n" if wns < 0 else "All user specified timing constraints are met.\n")
    )


def route(errors: int) -> str:
    return f"""Design Route Status
                                               :      # nets :
   ------------------------------------------- : ----------- :
   # of logical nets.......................... :       21034 :
       # of nets not needing routing.......... :        6021 :
       # of routable nets..................... :       15013 :
           # of fully routed nets............. :       {15013 - errors} :
       # of nets with routing errors.......... :       {errors:5} :
   ------------------------------------------- : ----------- :
"""


def power(part: str) -> str:
    return (
        HEAD.format(command="report_power", part=part)
        + """Power Report

1. Summary
----------

+--------------------------+--------------+
| Total On-Chip Power (W)  | 1.541        |
| Design Power Budget (W)  | Unspecified* |
| Power Budget Margin (W)  | NA           |
| Dynamic (W)              | 1.405        |
| Device Static (W)        | 0.136        |
| Effective TJA (C/W)      | 11.5         |
| Max Ambient (C)          | 67.2         |
| Junction Temperature (C) | 42.8         |
| Confidence Level         | Low          |
+--------------------------+--------------+

1.1 On-Chip Components
----------------------

+--------------------------+-----------+----------+-----------+-----------------+
| On-Chip                  | Power (W) | Used     | Available | Utilization (%) |
+--------------------------+-----------+----------+-----------+-----------------+
| Clocks                   |     0.031 |        3 |       --- |             --- |
| Slice Logic              |     0.018 |    25110 |       --- |             --- |
|   LUT as Logic           |     0.015 |     8720 |     53200 |           16.39 |
| Block RAM                |     0.029 |     17.5 |       140 |           12.50 |
| DSPs                     |    <0.001 |       31 |       220 |           14.09 |
| PS7                      |     1.301 |        1 |       --- |             --- |
| Static Power             |     0.136 |          |           |                 |
| Total                    |     1.541 |          |           |                 |
+--------------------------+-----------+----------+-----------+-----------------+
"""
    )


def main(name: str, cell: str, part: str, fault: str = "") -> None:
    texts = {
        "report_utilization": lambda: utilization(part, cell == "1"),
        "report_timing_summary": lambda: timing(part, -0.312 if fault.startswith("slack") else 0.874),
        "report_route_status": lambda: route(3 if fault.startswith("unrouted") else 0),
        "report_power": lambda: power(part),
    }
    sys.stdout.write(texts[name]())


if __name__ == "__main__":
    main(*sys.argv[1:])
