// Sliding window unit: one beat of the image in per step, one whole kernel window of its channel group out.
//
// The image is one endless stream of beats. Position (i, j) of a window lies a fixed number of beats back, wherever rows and
// frames begin, so the window registers shift on without a pause; taps that lie outside the frame are masked. The last
// windows of a frame leave while the first beats of the next one arrive; FLUSH steps without input end the batch.
#ifndef CS_SLIDING_WINDOW_H
#define CS_SLIDING_WINDOW_H

#include "cs_types.h"

namespace cs {

template <class C>
void sliding_window(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y,
                    typename C::X::type (&lines)[C::LINES][C::LINE_BEATS], unsigned frames) {
#pragma HLS INLINE
    typedef typename C::X X;
    typedef typename C::Y Y;
    // Static, so that the first taps are defined; what an earlier batch left here is masked like any row above the frame.
    static typename X::type window[C::KERNEL_ROWS][(C::KERNEL_COLUMNS - 1) * C::GROUPS + 1];
#pragma HLS ARRAY_PARTITION variable=window complete dim=0
    const unsigned beats = frames * C::BEATS;
    const unsigned steps = beats + C::FLUSH * C::GROUPS;
    int at = 0;
    int row = 0, column = 0, group = 0;  // of the anchor: the window's top left, the pads added
    int row_phase = 0, column_phase = 0;

Step:
    for (unsigned step = 0; step < steps; ++step) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::BEATS max=C::BEATS
        typename X::type newest = window[C::KERNEL_ROWS - 1][(C::KERNEL_COLUMNS - 1) * C::GROUPS];
        if (step < beats) newest = x.read();

    KernelRow:
        for (int i = 0; i < C::KERNEL_ROWS; ++i) {
#pragma HLS UNROLL
        Shift:
            for (int j = 0; j < (C::KERNEL_COLUMNS - 1) * C::GROUPS; ++j) {
#pragma HLS UNROLL
                window[i][j] = window[i][j + 1];
            }
            const bool oldest_rows = i < C::KERNEL_ROWS - 1;
            window[i][(C::KERNEL_COLUMNS - 1) * C::GROUPS] = oldest_rows ? lines[oldest_rows ? i : 0][at] : newest;
        }
    Line:
        for (int i = 0; i < C::KERNEL_ROWS - 1; ++i) {
#pragma HLS UNROLL
            lines[i][at] = window[i + 1][(C::KERNEL_COLUMNS - 1) * C::GROUPS];
        }
        at = at == C::LINE_BEATS - 1 ? 0 : at + 1;

        if (step >= static_cast<unsigned>(C::LAG * C::GROUPS)) {
            if (row_phase == 0 && column_phase == 0 && row < C::OUT_ROWS * C::STRIDE_ROWS && column < C::OUT_COLUMNS * C::STRIDE_COLUMNS) {
                typename Y::type out;
            TapRow:
                for (int i = 0; i < C::KERNEL_ROWS; ++i) {
#pragma HLS UNROLL
                    const bool row_inside = !C::PADDED || (row + i >= C::TOP && row + i < C::ROWS + C::TOP);
                TapColumn:
                    for (int j = 0; j < C::KERNEL_COLUMNS; ++j) {
#pragma HLS UNROLL
                        const bool inside = !C::PADDED || (row_inside && column + j >= C::LEFT && column + j < C::COLUMNS + C::LEFT);
                    Lane:
                        for (int lane = 0; lane < X::LANES; ++lane) {
#pragma HLS UNROLL
                            const typename C::x_t code = X::get(window[i][j * C::GROUPS], lane);
                            Y::set(out, (lane * C::KERNEL_ROWS + i) * C::KERNEL_COLUMNS + j, inside ? code : typename C::x_t(C::FILL));
                        }
                    }
                }
                y.write(out);
            }
            // The anchor walks through the frame in raster order, with its distance to the last strided position.
            if (group == C::GROUPS - 1) {
                group = 0;
                if (column == C::COLUMNS - 1) {
                    column = column_phase = 0;
                    row_phase = row == C::ROWS - 1 || row_phase == C::STRIDE_ROWS - 1 ? 0 : row_phase + 1;
                    row = row == C::ROWS - 1 ? 0 : row + 1;
                } else {
                    ++column;
                    column_phase = column_phase == C::STRIDE_COLUMNS - 1 ? 0 : column_phase + 1;
                }
            } else {
                ++group;
            }
        }
    }
}

}  // namespace cs

#endif
