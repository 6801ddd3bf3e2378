"""What a design takes of a part: LUT, FF, DSP and BRAM18, predicted from structure without running a tool."""
