// Units that move codes without changing them, and the exact add: pad, width converter, add.
#ifndef CS_STREAM_UNITS_H
#define CS_STREAM_UNITS_H

#include "cs_types.h"

namespace cs {

// The border over a frame waits for the frame's first beat: nothing comes of a frame that never does.
template <class C>
void pad(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, unsigned frames) {
#pragma HLS INLINE
    typename C::X::type newest;
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Row:
        for (int row = 0; row < C::TOP + C::ROWS + C::BOTTOM; ++row) {
        Column:
            for (int column = 0; column < C::LEFT + C::COLUMNS + C::RIGHT; ++column) {
            Group:
                for (int group = 0; group < C::GROUPS; ++group) {
#pragma HLS PIPELINE II=1
                    const bool inside = row >= C::TOP && row < C::TOP + C::ROWS && column >= C::LEFT && column < C::LEFT + C::COLUMNS;
                    const bool first = row == 0 && column == 0 && group == 0;
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
                }
            }
        }
    }
}

// The lowest lanes of a wide beat, which then makes way for the next.
template <class C>
void split_part(typename C::X::type& held, typename C::Y::type& out) {
#pragma HLS INLINE
Lane:
    for (int lane = 0; lane < C::Y::LANES; ++lane) {
#pragma HLS UNROLL
        C::Y::set(out, lane, C::X::get(held, lane));
    }
    C::X::shift(held, C::Y::LANES);
}

// Wide beats to narrow ones: SPLIT narrow beats leave for each wide one.
template <class C>
void split_beats(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, unsigned frames) {
#pragma HLS INLINE
    typename C::X::type held;
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Beat:
        for (int beat = 0; beat < C::BEATS; ++beat) {
        Part:
            for (int part = 0; part < C::RATIO; ++part) {
#pragma HLS PIPELINE II=1
                if (part == 0) held = x.read();
                typename C::Y::type out;
                split_part<C>(held, out);
                y.write(out);
            }
        }
    }
}

// Parts come in at the top: the first has reached the bottom when the last is in.
template <class C>
void join_part(const typename C::X::type& in, typename C::y_t (&held)[C::Y::LANES]) {
#pragma HLS INLINE
Older:
    for (int lane = 0; lane < C::Y::LANES - C::X::LANES; ++lane) {
#pragma HLS UNROLL
        held[lane] = held[lane + C::X::LANES];
    }
Newest:
    for (int lane = 0; lane < C::X::LANES; ++lane) {
#pragma HLS UNROLL
        held[C::Y::LANES - C::X::LANES + lane] = C::X::get(in, lane);
    }
}

template <class C>
void join_out(const typename C::y_t (&held)[C::Y::LANES], typename C::Y::type& out) {
#pragma HLS INLINE
Lane:
    for (int lane = 0; lane < C::Y::LANES; ++lane) {
#pragma HLS UNROLL
        C::Y::set(out, lane, held[lane]);
    }
}

// Narrow beats to wide ones: a wide beat leaves with the last of its parts.
template <class C>
void join_beats(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, unsigned frames) {
#pragma HLS INLINE
    static typename C::y_t held[C::Y::LANES];
#pragma HLS ARRAY_PARTITION variable=held complete dim=0
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Beat:
        for (int beat = 0; beat < C::BEATS; ++beat) {
        Part:
            for (int part = 0; part < C::RATIO; ++part) {
#pragma HLS PIPELINE II=1
                join_part<C>(x.read(), held);
                if (part == C::RATIO - 1) {
                    typename C::Y::type out;
                    join_out<C>(held, out);
                    y.write(out);
                }
            }
        }
    }
}

template <class C>
void add_beat(const typename C::A::type& in_a, const typename C::B::type& in_b, typename C::Y::type& out) {
#pragma HLS INLINE
Lane:
    for (int lane = 0; lane < C::Y::LANES; ++lane) {
#pragma HLS UNROLL
        const typename C::y_t term_a = exact_product<typename C::y_t>(C::A::get(in_a, lane), typename C::factor_t(C::FACTOR_A));
        const typename C::y_t term_b = exact_product<typename C::y_t>(C::B::get(in_b, lane), typename C::factor_t(C::FACTOR_B));
        C::Y::set(out, lane, typename C::y_t(term_a + term_b));
    }
}

template <class C>
void add(hls::stream<typename C::A::type>& a, hls::stream<typename C::B::type>& b, hls::stream<typename C::Y::type>& y, unsigned frames) {
#pragma HLS INLINE
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Beat:
        for (int beat = 0; beat < C::BEATS; ++beat) {
#pragma HLS PIPELINE II=1
            const typename C::A::type in_a = a.read();
            const typename C::B::type in_b = b.read();
            typename C::Y::type out;
            add_beat<C>(in_a, in_b, out);
            y.write(out);
        }
    }
}

}  // namespace cs

#endif
