// Units of a design with several widths. Every frame has one, an index from narrow to wide, which arrives as a token in the
// stream `width`; a unit reads it in the first step of the frame. What differs are the limits of loops, from small tables.
//
// Loops whose limits differ do not flatten, so a unit is one pipelined loop over steps, with counters kept by hand.
// `frames` of them end it; arithmetic and memories are those of the units with one width, as large as the widest takes.
#ifndef CS_SLIM_H
#define CS_SLIM_H

#include "cs_matrix_vector.h"
#include "cs_requantize.h"
#include "cs_sliding_window.h"

namespace cs {

// The widest width's tiles lie one behind the other: pixel of the flattened map (1 of a convolution), beat, chunk, fold.
// A narrower one leaves out the last folds of every chunk and the last beats of every pixel: from its last fold of a
// chunk to the next chunk are CHUNK_SKIPS tiles, from its last tile of a pixel to the next pixel PIXEL_SKIPS. A frame that
// steps up begins with another tile than the first, and where it keeps, with the sums that the frame before has left.
template <class C>
void slim_matrix_vector(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
                        const typename C::w_t (&weights)[C::TILES][C::PE][C::SIMD], const typename C::count_t (&folds)[C::WIDTHS],
                        const typename C::count_t (&beats)[C::WIDTHS], const typename C::count_t (&chunk_skips)[C::WIDTHS],
                        const typename C::count_t (&pixel_skips)[C::WIDTHS], const typename C::count_t (&firsts)[C::WIDTHS],
                        const typename C::count_t (&keeps)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    static typename C::y_t sums[C::FOLDS][C::PIXELS][C::PE];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=0
    typename C::X::type held;
    typename C::count_t tile = 0, fold = 0, chunk = 0, beat = 0, pixel = 0, turn = 0;
    int now = 0;
    unsigned frame = 0;
Step:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        const bool first = pixel == 0 && beat == 0 && chunk == 0;
        if (first && fold == 0 && turn == 0) now = int(C::T::get(width.read(), 0));
        const bool last_fold = fold + 1 == folds[now], last_chunk = chunk == C::CHUNKS - 1;
        const bool last_beat = beat + 1 == beats[now], last_pixel = pixel == C::MAP_PIXELS - 1;
        if (chunk == 0 && fold == 0) held = x.read();
        typename C::Y::type out;
        matrix_vector_step<C>(held, weights, int(firsts[now] + tile), sums, int(fold), first && keeps[now] == 0, out);
        if (last_chunk && last_beat && last_pixel) y.write(out);
        if (C::CHUNKS > 1 && last_fold) C::X::shift(held, C::SIMD);

        const bool ends_pixel = last_fold && last_chunk && last_beat;
        if (ends_pixel && last_pixel)
            tile = 0;
        else if (ends_pixel)
            tile += pixel_skips[now];
        else if (last_fold)
            tile += chunk_skips[now];
        else
            ++tile;
        if (last_fold && last_chunk && last_beat && last_pixel) {
            if (turn == C::TURNS - 1) ++frame;
            turn = turn == C::TURNS - 1 ? typename C::count_t(0) : typename C::count_t(turn + 1);
        }
        if (ends_pixel) pixel = last_pixel ? typename C::count_t(0) : typename C::count_t(pixel + 1);
        if (last_fold && last_chunk) beat = last_beat ? typename C::count_t(0) : typename C::count_t(beat + 1);
        if (last_fold) chunk = last_chunk ? typename C::count_t(0) : typename C::count_t(chunk + 1);
        fold = last_fold ? typename C::count_t(0) : typename C::count_t(fold + 1);
    }
}

// The constants of a width are `groups` words of the tables from `bases` on.
template <class C>
void slim_requantize(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
                     const typename C::multiplier_t (&multiplier)[C::GROUPS][C::X::LANES],
                     const typename C::offset_t (&offset)[C::GROUPS][C::X::LANES], const typename C::count_t (&beats)[C::WIDTHS],
                     const typename C::count_t (&groups)[C::WIDTHS], const typename C::count_t (&bases)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::count_t left = 0, group = 0;
    int now = 0;
    unsigned frame = 0;
Beat:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (left == 0) {
            now = int(C::T::get(width.read(), 0));
            left = beats[now];
        }
        typename C::Y::type out;
        requantize_beat<C>(x.read(), multiplier, offset, int(bases[now] + group), out);
        y.write(out);
        group = group + 1 == groups[now] ? typename C::count_t(0) : typename C::count_t(group + 1);
        --left;
        if (left == 0) ++frame;
    }
}

// Rows are as long as the width has beats, and neighbouring pixels as far apart. Frames with equal groups follow each other
// as in the unit with one width. Before one with others the last windows are pushed out by FLUSH pixels of nothing, and then
// the unit begins anew; what it holds by then is masked like any row above the frame.
template <class C>
void slim_sliding_window(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
                         typename C::X::type (&lines)[C::LINES][C::LINE_BEATS], const typename C::count_t (&groups)[C::WIDTHS],
                         const typename C::count_t (&line_beats)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    static typename C::X::type window[C::KERNEL_ROWS][C::SPAN];
#pragma HLS ARRAY_PARTITION variable=window complete dim=0
    typename C::count_t at = 0, group = 0, left = 0, lag = 0;  // `left` pixels until the next frame, or nothing, begins
    int row = 0, column = 0, row_phase = 0, column_phase = 0;  // of the anchor
    int now = 0, next = 0;
    bool waiting = false, blank = false, fresh = true;  // a token is read ahead; no frame comes in; nothing is held back
    unsigned frame = 0;
Step:
    while (frame < frames || !fresh) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (left == 0) {
            if (frame < frames && !waiting) {
                next = int(C::T::get(width.read(), 0));
                waiting = true;
            }
            blank = !fresh && (!waiting || groups[next] != groups[now]);
            left = blank ? typename C::count_t(C::FLUSH) : typename C::count_t(C::ROWS * C::COLUMNS);
            if (fresh) {
                at = 0;
                lag = C::LAG;
                row = column = row_phase = column_phase = 0;
            }
            if (!blank) {
                now = next;
                waiting = fresh = false;
                ++frame;
            }
        }
        typename C::X::type newest = window[C::KERNEL_ROWS - 1][C::SPAN - 1];
        if (!blank) newest = x.read();
        window_shift<C>(window, lines, int(at), newest);
        at = at + 1 == line_beats[now] ? typename C::count_t(0) : typename C::count_t(at + 1);

        const bool anchored = lag == 0, last_group = group + 1 == groups[now];
        if (anchored && row_phase == 0 && column_phase == 0 && row < C::OUT_ROWS * C::STRIDE_ROWS && column < C::OUT_COLUMNS * C::STRIDE_COLUMNS) {
            // Beats of the same group, one a pixel: how far apart they lie is the width's.
            typename C::X::type taps[C::KERNEL_ROWS][C::REACH + 1];
#pragma HLS ARRAY_PARTITION variable=taps complete dim=0
        TapRow:
            for (int i = 0; i < C::KERNEL_ROWS; ++i) {
#pragma HLS UNROLL
            TapColumn:
                for (int j = 0; j <= C::REACH; ++j) {
#pragma HLS UNROLL
                Width:
                    for (int k = 0; k < C::WIDTHS; ++k) {
#pragma HLS UNROLL
                        if (k == 0 || k == now) taps[i][j] = window[i][C::SPAN - 1 - (C::REACH - j) * int(groups[k])];
                    }
                }
            }
            typename C::Y::type out;
            window_out<C, 1, C::REACH + 1>(taps, row, column, out);
            y.write(out);
        }
        if (last_group && anchored) {
            if (column == C::COLUMNS - 1) {
                column = column_phase = 0;
                row_phase = row == C::ROWS - 1 || row_phase == C::STRIDE_ROWS - 1 ? 0 : row_phase + 1;
                row = row == C::ROWS - 1 ? 0 : row + 1;
            } else {
                ++column;
                column_phase = column_phase == C::STRIDE_COLUMNS - 1 ? 0 : column_phase + 1;
            }
        }
        if (last_group) {
            if (!anchored) --lag;
            --left;
            fresh = left == 0 && (blank || C::FLUSH == 0);
        }
        group = last_group ? typename C::count_t(0) : typename C::count_t(group + 1);
    }
}

}  // namespace cs

#endif
