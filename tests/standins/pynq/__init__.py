"""Stands in for pynq 2.7 and 3.0 on a PC: the classes that scripts for a board use, over a model of the hardware.

`pynq.fabric.plug(chip)` puts an accelerator behind the DMAs; everything else comes from the .hwh beside the bitstream. What
the real package does without saying so is done too: caches that must be flushed, idle bits that are 0 after a start, registers
that take plain integers only, waiting that never ends (here an AssertionError).
"""

from pynq import fabric, pmbus
from pynq.buffer import PynqBuffer, allocate
from pynq.mmio import MMIO
from pynq.overlay import DefaultIP, Overlay
from pynq.pmbus import get_rails
from pynq.ps import Clocks

__version__ = "3.0.1"
__all__ = ["MMIO", "Clocks", "DefaultIP", "Overlay", "PynqBuffer", "allocate", "fabric", "get_rails", "pmbus"]
