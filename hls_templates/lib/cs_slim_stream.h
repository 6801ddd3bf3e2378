// Units of a design with several widths whose frames only differ in how many beats they have, and its ports; see cs_slim.h.
#ifndef CS_SLIM_STREAM_H
#define CS_SLIM_STREAM_H

#include "cs_live.h"
#include "cs_pool.h"
#include "cs_ports.h"
#include "cs_stream_units.h"

namespace cs {

template <class C>
void slim_max_pool(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
                   const typename C::count_t (&beats)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::count_t left = 0;
    unsigned frame = 0;
Beat:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (left == 0) left = beats[int(C::T::get(width.read(), 0))];
        typename C::Y::type out;
        max_pool_beat<C>(x.read(), out);
        y.write(out);
        --left;
        if (left == 0) ++frame;
    }
}

template <class C>
void slim_sum_pool(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
                   const typename C::count_t (&beats)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::count_t left = 0;
    unsigned frame = 0;
Beat:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (left == 0) left = beats[int(C::T::get(width.read(), 0))];
        typename C::Y::type out;
        sum_pool_beat<C>(x.read(), out);
        y.write(out);
        --left;
        if (left == 0) ++frame;
    }
}

template <class C>
void slim_add(hls::stream<typename C::A::type>& a, hls::stream<typename C::B::type>& b, hls::stream<typename C::Y::type>& y,
              hls::stream<typename C::T::type>& width, const typename C::count_t (&beats)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::count_t left = 0;
    unsigned frame = 0;
Beat:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (left == 0) left = beats[int(C::T::get(width.read(), 0))];
        const typename C::A::type in_a = a.read();
        const typename C::B::type in_b = b.read();
        typename C::Y::type out;
        add_beat<C>(in_a, in_b, out);
        y.write(out);
        --left;
        if (left == 0) ++frame;
    }
}

// Passes a frame on and keeps it: `groups` beats leave a pixel. Of a frame that steps up, the first `kept` of them are those of
// the frame before, and only the others come in.
template <class C>
void slim_keep(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
               typename C::X::type (&memory)[C::WORDS], const typename C::count_t (&groups)[C::WIDTHS],
               const typename C::count_t (&kept)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::count_t pixel = 0, group = 0, base = 0;
    int now = 0;
    unsigned frame = 0;
Step:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (pixel == 0 && group == 0) now = int(C::T::get(width.read(), 0));
        typename C::X::type beat;
        if (group < kept[now]) {
            beat = memory[int(base + group)];
        } else {
            beat = x.read();
            memory[int(base + group)] = beat;
        }
        y.write(beat);
        const bool ends_pixel = group + 1 == groups[now], ends = ends_pixel && pixel == C::TURNS - 1;
        if (ends) ++frame;
        if (ends_pixel) base = ends ? typename C::count_t(0) : typename C::count_t(base + C::GROUPS);
        if (ends_pixel) pixel = ends ? typename C::count_t(0) : typename C::count_t(pixel + 1);
        group = ends_pixel ? typename C::count_t(0) : typename C::count_t(group + 1);
    }
}

// `parts` are narrow beats a frame, of which RATIO make a wide one.
template <class C>
void slim_split_beats(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
                      const typename C::count_t (&parts)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::X::type held;
    typename C::count_t left = 0;
    int part = 0;
    unsigned frame = 0;
Part:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (left == 0) left = parts[int(C::T::get(width.read(), 0))];
        if (part == 0) held = x.read();
        typename C::Y::type out;
        split_part<C>(held, out);
        y.write(out);
        part = part == C::RATIO - 1 ? 0 : part + 1;
        --left;
        if (left == 0) ++frame;
    }
}

template <class C>
void slim_join_beats(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, hls::stream<typename C::T::type>& width,
                     const typename C::count_t (&parts)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    static typename C::y_t held[C::Y::LANES];
#pragma HLS ARRAY_PARTITION variable=held complete dim=0
    typename C::count_t left = 0;
    int part = 0;
    unsigned frame = 0;
Part:
    while (frame < frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        if (left == 0) left = parts[int(C::T::get(width.read(), 0))];
        join_part<C>(x.read(), held);
        if (part == C::RATIO - 1) {
            typename C::Y::type out;
            join_out<C>(held, out);
            y.write(out);
        }
        part = part == C::RATIO - 1 ? 0 : part + 1;
        --left;
        if (left == 0) ++frame;
    }
}

// The width register as it is now, as a token; an index above the last means the widest.
template <class C>
void read_width(volatile unsigned* width, typename C::T::type& token) {
#pragma HLS INLINE
    const unsigned asked = live(width);
    C::T::set(token, 0, typename C::t_t(asked < static_cast<unsigned>(C::KINDS) ? asked : static_cast<unsigned>(C::WIDTHS - 1)));
}

// As result_port; the class has bits 43..32, and the width's index 46..44.
template <class C, class WORD>
void slim_result_port(hls::stream<typename C::X::type>& decision, hls::stream<WORD>& port, unsigned* frames_done, unsigned* exits,
                      hls::stream<typename C::T::type>& width, unsigned frames) {
#pragma HLS INLINE
    unsigned count = 0;
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
        const typename C::X::type in = decision.read();
        const typename C::x_t code = C::X::get(in, 0), now = C::T::get(width.read(), 0);
        WORD word;
        axis_clear(word);
        axis_set_at<48>(word, 0, code | now << 44);
        axis_set_at<16>(word, 48, frame);
        word.last = frame == frames - 1;
        port.write(word);
        if ((code >> 47) != 0) ++count;
    }
    *frames_done = frames;
    *exits = count;
}

// As conditional_buffer; a map has the beats of its width, and the header says in bits 39..32 which that is.
template <class C, class WORD>
void slim_conditional_buffer(hls::stream<typename C::X::type>& feature, hls::stream<typename C::D::type>& decision, hls::stream<WORD>& port,
                             hls::stream<typename C::T::type>& width, const typename C::count_t (&beats)[C::WIDTHS], unsigned frames) {
#pragma HLS INLINE
    typename C::count_t left = 0;
    bool exited = false;
    unsigned frame = 0;
Step:
    while (frame <= frames) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=C::LEAST max=C::MOST
        const bool trailer = frame == frames, header = left == 0;
        WORD word;
        axis_clear(word);
        if (header) {
            int now = 0;
            if (!trailer) {
                now = int(C::T::get(width.read(), 0));
                exited = (C::D::get(decision.read(), 0) >> 47) != 0;
                left = beats[now];
            }
            axis_set_at<32>(word, 0, trailer ? 0xFFFFFFFFu : frame);
            axis_set_at<8>(word, 32, static_cast<unsigned>(now));
            word.last = trailer;
            if (trailer || !exited) port.write(word);
        } else {
            feature_beat<C>(feature.read(), word);
            if (!exited) port.write(word);
            --left;
        }
        if (trailer || (!header && left == 0)) ++frame;
    }
}

}  // namespace cs

#endif
