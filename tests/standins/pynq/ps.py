"""Clocks of the processor, as the bitstream's .hwh sets them."""

from pynq import fabric


class _ClocksMeta(type):
    @property
    def fclk0_mhz(cls) -> float:
        parameters = fabric.the_fabric.parameters
        zynq = "PCW_FCLK0_PERIPHERAL_DIVISOR0" in parameters
        name = "PCW_FCLK0_PERIPHERAL_DIVISOR" if zynq else "PSU__CRL_APB__PL0_REF_CTRL__DIVISOR"
        return (1000 if zynq else 1500) / int(parameters[name + "0"]) / int(parameters[name + "1"])


class Clocks(metaclass=_ClocksMeta):
    pass
