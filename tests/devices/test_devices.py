"""Devices load by part and by board, with a source for their figures."""

import pytest

from codesign.devices import devices, load_board, load_device
from codesign.errors import ConfigError


def test_every_device_is_whole_and_has_a_source():
    assert {d.name for d in devices()} == {"xc7z020", "xczu3eg", "xczu7ev", "xck26", "xc7vx690t"}
    for device in devices():
        assert min(device.lut, device.ff, device.dsp, device.bram18) > 0
        assert device.ff == 2 * device.lut
        assert "Data Sheet" in device.source
        assert device.family in ("7series", "ultrascale+")


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("xc7z020", "xc7z020"),
        ("XC7Z020CLG400-1", "xc7z020"),
        ("pynq-z1", "xc7z020"),
        ("Pynq-Z2", "xc7z020"),
        ("ultra96", "xczu3eg"),
        ("zcu104", "xczu7ev"),
        ("kv260", "xck26"),
        ("xck26-sfvc784-2LV-c", "xck26"),
        ("xc7vx690tffg1761-2", "xc7vx690t"),
    ],
)
def test_names_of_parts_and_boards(name, device):
    assert load_device(name).name == device


def test_a_board_comes_with_its_device():
    device, board = load_board("pynq-z2")
    assert (device.part, device.dsp) == ("xc7z020clg400-1", 220)
    assert board is not None
    assert board.board_part.startswith("tul.com.tw:pynq-z2")
    assert load_board("xc7z020")[1] is None


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ConfigError, match="no device or board is named 'pink-z2'") as caught:
        load_device("pink-z2")
    assert caught.value.hint == "did you mean 'pynq-z2'?"
    with pytest.raises(ConfigError) as caught:
        load_device("")
    assert "kv260" in caught.value.hint
