"""Made-up synthesis reports in the form of csynth_calibrate.json, for tests that have no table."""

from typing import Any


def report(repo: str = "example.org/somebody/net", **changes: Any) -> dict[str, Any]:
    """A convolution of hls4ml that nobody synthesized."""
    return {
        "id": f"{repo}_conv",
        "source": {"repo": repo},
        "tool": "Vivado HLS 2020.1",
        "top": "conv_2d_cl_array_array_ap_fixed_4u_config2_s",
        "layer_type": "conv_2d_cl",
        "part": "xc7z020-clg400-1",
        "clock_ns": 5.0,
        "latency_max": 1692,
        "dsp": 14,
        "lut": 1430,
        "ff": 3644,
        "bram18": 4,
        "loops": [
            {
                "TripCount": 36,
                "IterationLatency": [4, 47],
                "sub": [{"TripCount": 36, "PipelineII": 1, "PipelineDepth": 8}],
            }
        ],
        "layer": {
            "in_height": 6,
            "in_width": 6,
            "n_chan": 4,
            "n_filt": 4,
            "filt_height": 3,
            "filt_width": 3,
            "reuse_factor": 36,
        },
        "hls4ml_global": {"Strategy": "Resource"},
        "datatype": "ap_fixed<32,16>",
        **changes,
    }
