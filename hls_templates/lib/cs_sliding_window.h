// Sliding window unit: one beat of the image in per step, one whole kernel window of its channel group out, or the windows
// of all the beat's pixels.
//
// The image is one endless stream of beats. Position (i, j) of a window lies a fixed number of beats back, wherever rows and
// frames begin, so the window registers shift on without a pause; taps that lie outside the frame are masked. The last
// windows of a frame leave while the first beats of the next one arrive; FLUSH steps without input end the batch.
#ifndef CS_SLIDING_WINDOW_H
#define CS_SLIDING_WINDOW_H

#include "cs_types.h"

namespace cs {

// The newest beat comes in, beside those that lie whole rows above it, which the lines keep at `at`.
template <class C>
void window_shift(typename C::X::type (&window)[C::KERNEL_ROWS][C::SPAN], typename C::X::type (&lines)[C::LINES][C::LINE_BEATS], int at,
                  const typename C::X::type& newest) {
#pragma HLS INLINE
KernelRow:
    for (int i = 0; i < C::KERNEL_ROWS; ++i) {
#pragma HLS UNROLL
    Shift:
        for (int j = 0; j < C::SPAN - 1; ++j) {
#pragma HLS UNROLL
            window[i][j] = window[i][j + 1];
        }
        const bool oldest_rows = i < C::KERNEL_ROWS - 1;
        window[i][C::SPAN - 1] = oldest_rows ? lines[oldest_rows ? i : 0][at] : newest;
    }
Line:
    for (int i = 0; i < C::KERNEL_ROWS - 1; ++i) {
#pragma HLS UNROLL
        lines[i][at] = window[i + 1][C::SPAN - 1];
    }
}

// The windows of the anchor at (row, column), from held beats in which a pixel has its next neighbour GROUPS further on.
template <class C, int GROUPS, int SPAN>
void window_out(const typename C::X::type (&window)[C::KERNEL_ROWS][SPAN], int row, int column, typename C::Y::type& out) {
#pragma HLS INLINE
Window:
    for (int w = 0; w < C::WINDOWS; ++w) {
#pragma HLS UNROLL
    TapRow:
        for (int i = 0; i < C::KERNEL_ROWS; ++i) {
#pragma HLS UNROLL
            const bool row_inside = !C::PADDED || (row + i >= C::TOP && row + i < C::ROWS + C::TOP);
        TapColumn:
            for (int j = 0; j < C::KERNEL_COLUMNS; ++j) {
#pragma HLS UNROLL
                const int at_column = column + w * C::STRIDE_COLUMNS + j;
                const bool inside = !C::PADDED || (row_inside && at_column >= C::LEFT && at_column < C::COLUMNS + C::LEFT);
                const int pixel = C::SPARE + w * C::STRIDE_COLUMNS + j;  // counted from the oldest that is held
            Lane:
                for (int lane = 0; lane < C::CHANNELS; ++lane) {
#pragma HLS UNROLL
                    const typename C::x_t code = C::X::get(window[i][pixel / C::PIXELS * GROUPS], pixel % C::PIXELS * C::CHANNELS + lane);
                    C::Y::set(out, ((w * C::CHANNELS + lane) * C::KERNEL_ROWS + i) * C::KERNEL_COLUMNS + j, inside ? code : typename C::x_t(C::FILL));
                }
            }
        }
    }
}

template <class C>
void sliding_window(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y,
                    typename C::X::type (&lines)[C::LINES][C::LINE_BEATS], unsigned frames) {
#pragma HLS INLINE
    typedef typename C::X X;
    typedef typename C::Y Y;
    // Static, so that the first taps are defined; what an earlier batch left here is masked like any row above the frame.
    static typename X::type window[C::KERNEL_ROWS][C::SPAN];
#pragma HLS ARRAY_PARTITION variable=window complete dim=0
    const unsigned beats = frames * C::BEATS;
    const unsigned steps = beats + C::FLUSH;
    int at = 0;
    int row = 0, column = 0, group = 0;  // of the anchor: the (first) window's top left, the pads added
    int row_phase = 0, column_phase = 0;

Step:
    for (unsigned step = 0; step < steps; ++step) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::BEATS max=C::BEATS
        typename X::type newest = window[C::KERNEL_ROWS - 1][C::SPAN - 1];
        if (step < beats) newest = x.read();
        window_shift<C>(window, lines, at, newest);
        at = at == C::LINE_BEATS - 1 ? 0 : at + 1;

        if (step >= static_cast<unsigned>(C::LAG)) {
            if (row_phase == 0 && column_phase == 0 && row < C::OUT_ROWS * C::STRIDE_ROWS && column < C::OUT_COLUMNS * C::STRIDE_COLUMNS) {
                typename Y::type out;
                window_out<C, C::GROUPS, C::SPAN>(window, row, column, out);
                y.write(out);
            }
            // The anchor walks through the frame in raster order, with its distance to the last strided position.
            if (group == C::GROUPS - 1) {
                group = 0;
                if (column == C::COLUMNS - C::PIXELS) {
                    column = column_phase = 0;
                    row_phase = row == C::ROWS - 1 || row_phase == C::STRIDE_ROWS - 1 ? 0 : row_phase + 1;
                    row = row == C::ROWS - 1 ? 0 : row + 1;
                } else {
                    column += C::PIXELS;
                    column_phase = column_phase + C::PIXELS >= C::STRIDE_COLUMNS ? 0 : column_phase + C::PIXELS;
                }
            } else {
                ++group;
            }
        }
    }
}

}  // namespace cs

#endif
