// Pooling units: the largest code, or the sum, of every channel's kernel window; and the sum over a whole frame.
#ifndef CS_POOL_H
#define CS_POOL_H

#include "cs_types.h"

namespace cs {

template <class C>
void max_pool_beat(const typename C::X::type& in, typename C::Y::type& out) {
#pragma HLS INLINE
Lane:
    for (int lane = 0; lane < C::Y::LANES; ++lane) {
#pragma HLS UNROLL
        typename C::y_t best = C::X::get(in, lane * C::POSITIONS);
    Position:
        for (int k = 1; k < C::POSITIONS; ++k) {
#pragma HLS UNROLL
            const typename C::y_t code = C::X::get(in, lane * C::POSITIONS + k);
            if (code > best) best = code;
        }
        C::Y::set(out, lane, best);
    }
}

template <class C>
void max_pool(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, unsigned frames) {
#pragma HLS INLINE
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Beat:
        for (int beat = 0; beat < C::BEATS; ++beat) {
#pragma HLS PIPELINE II=1
            typename C::Y::type out;
            max_pool_beat<C>(x.read(), out);
            y.write(out);
        }
    }
}

template <class C>
void sum_pool_beat(const typename C::X::type& in, typename C::Y::type& out) {
#pragma HLS INLINE
Lane:
    for (int lane = 0; lane < C::Y::LANES; ++lane) {
#pragma HLS UNROLL
        typename C::y_t sum = 0;
    Position:
        for (int k = 0; k < C::POSITIONS; ++k) {
#pragma HLS UNROLL
            sum += C::X::get(in, lane * C::POSITIONS + k);
        }
        C::Y::set(out, lane, sum);
    }
}

template <class C>
void sum_pool(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, unsigned frames) {
#pragma HLS INLINE
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Beat:
        for (int beat = 0; beat < C::BEATS; ++beat) {
#pragma HLS PIPELINE II=1
            typename C::Y::type out;
            sum_pool_beat<C>(x.read(), out);
            y.write(out);
        }
    }
}

template <class C>
void global_sum_beat(const typename C::X::type& in, typename C::y_t (&sums)[C::GROUPS][C::X::LANES], int group, bool first, typename C::Y::type& out) {
#pragma HLS INLINE
Lane:
    for (int lane = 0; lane < C::X::LANES; ++lane) {
#pragma HLS UNROLL
        typename C::y_t sum = first ? typename C::y_t(0) : sums[group][lane];
        sum += C::X::get(in, lane);
        sums[group][lane] = sum;
        C::Y::set(out, lane, sum);
    }
}

template <class C>
void global_sum(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, unsigned frames) {
#pragma HLS INLINE
    typename C::y_t sums[C::GROUPS][C::X::LANES];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=0
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Pixel:
        for (int pixel = 0; pixel < C::PIXELS; ++pixel) {
        Group:
            for (int group = 0; group < C::GROUPS; ++group) {
#pragma HLS PIPELINE II=1
                typename C::Y::type out;
                global_sum_beat<C>(x.read(), sums, group, pixel == 0, out);
                if (pixel == C::PIXELS - 1) y.write(out);
            }
        }
    }
}

}  // namespace cs

#endif
