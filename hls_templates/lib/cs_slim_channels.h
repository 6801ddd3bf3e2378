// Units of a design with several widths whose work depends on the channel groups of a pixel; see cs_slim.h.
#ifndef CS_SLIM_CHANNELS_H
#define CS_SLIM_CHANNELS_H

#include "cs_channel_dot.h"
#include "cs_pool.h"

namespace cs {

template <class C>
void slim_global_sum(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
                     const typename C::count_t (&groups)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::y_t sums[C::GROUPS][C::X::LANES];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=0
    typename C::count_t group = 0, pixel = 0;
    int now = 0;
    unsigned frame = 0;
Step:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (pixel == 0 && group == 0) now = int(C::T::get(width.read(), 0));
        const bool last_group = group + 1 == groups[now], last_pixel = pixel == C::PIXELS - 1;
        typename C::Y::type out;
        global_sum_beat<C>(x.read(), sums, int(group), pixel == 0, out);
        if (last_pixel) y.write(out);
        if (last_group && last_pixel) ++frame;
        if (last_group) pixel = last_pixel ? typename C::count_t(0) : typename C::count_t(pixel + 1);
        group = last_group ? typename C::count_t(0) : typename C::count_t(group + 1);
    }
}

// The tiles of a narrower width are the first of the widest's; those of a step up lie behind.
template <class C>
void slim_channel_dot(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
                      const typename C::w_t (&weights)[C::TILES][C::PE][C::SIMD], const typename C::count_t (&groups)[C::WIDTHS],
                      const typename C::count_t (&firsts)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::y_t sums[C::PIXELS][C::PE];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=0
    typename C::X::type held;
    typename C::count_t tile = 0, chunk = 0, fold = 0, group = 0, turn = 0;
    int now = 0;
    unsigned frame = 0;
Step:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (tile == 0 && turn == 0) now = int(C::T::get(width.read(), 0));
        const bool last_chunk = chunk == C::CHUNKS - 1, last_fold = last_chunk && fold == C::FOLDS - 1;
        const bool last_group = last_fold && group + 1 == groups[now];
        if (fold == 0 && chunk == 0) held = x.read();
        typename C::Y::type out;
        channel_dot_step<C>(held, weights, int(firsts[now] + tile), sums, chunk == 0, out);
        if (last_chunk) y.write(out);
        if (C::CHUNKS * C::FOLDS > 1) C::X::shift(held, last_chunk ? int(C::SIMD + (C::PE - 1) * C::CHUNKS * C::SIMD) : int(C::SIMD));

        tile = last_group ? typename C::count_t(0) : typename C::count_t(tile + 1);
        chunk = last_chunk ? typename C::count_t(0) : typename C::count_t(chunk + 1);
        if (last_chunk) fold = last_fold ? typename C::count_t(0) : typename C::count_t(fold + 1);
        if (last_fold) group = last_group ? typename C::count_t(0) : typename C::count_t(group + 1);
        if (last_group && turn == C::TURNS - 1) ++frame;
        if (last_group) turn = turn == C::TURNS - 1 ? typename C::count_t(0) : typename C::count_t(turn + 1);
    }
}

// As pad: the border over a frame waits for the frame's first beat, and before that for its token.
template <class C>
void slim_pad(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
              const typename C::count_t (&groups)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::X::type newest;
    typename C::count_t row = 0, column = 0, group = 0;
    int now = 0;
    unsigned frame = 0;
Step:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        const bool first = row == 0 && column == 0 && group == 0;
        if (first) now = int(C::T::get(width.read(), 0));
        const bool inside = row >= C::TOP && row < C::TOP + C::ROWS && column >= C::LEFT && column < C::LEFT + C::COLUMNS;
        const bool there = row == C::TOP && column == C::LEFT && group == 0;  // the first beat, read already
        typename C::Y::type out;
    Lane:
        for (int lane = 0; lane < C::Y::LANES; ++lane) {
#pragma HLS UNROLL
            C::Y::set(out, lane, typename C::y_t(0));
        }
        if (first || (inside && !there)) newest = x.read();
        if (inside) out = newest;
        y.write(out);
        const bool last_group = group + 1 == groups[now], last_column = last_group && column == C::LEFT + C::COLUMNS + C::RIGHT - 1;
        const bool last_row = last_column && row == C::TOP + C::ROWS + C::BOTTOM - 1;
        if (last_row) ++frame;
        if (last_column) row = last_row ? typename C::count_t(0) : typename C::count_t(row + 1);
        if (last_group) column = last_column ? typename C::count_t(0) : typename C::count_t(column + 1);
        group = last_group ? typename C::count_t(0) : typename C::count_t(group + 1);
    }
}

}  // namespace cs

#endif
