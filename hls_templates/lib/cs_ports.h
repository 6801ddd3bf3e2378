// Between the AXI4-Stream ports and the channels: image in, results out, and the feature maps of frames that go on.
#ifndef CS_PORTS_H
#define CS_PORTS_H

#include "cs_axis.h"

namespace cs {

// A bus word to a beat: lane i is in the i-th container (whole bytes) of the word.
template <class C, class WORD>
void image_beat(const WORD& word, typename C::Y::type& out) {
#pragma HLS INLINE
Lane:
    for (int lane = 0; lane < C::Y::LANES; ++lane) {
#pragma HLS UNROLL
        C::Y::set(out, lane, axis_code<typename C::y_t, C::CONTAINER, C::SIGNED>(word, lane * C::CONTAINER));
    }
}

template <class C, class WORD>
void image_port(hls::stream<WORD>& port, hls::stream<typename C::Y::type>& y, unsigned frames) {
#pragma HLS INLINE
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Beat:
        for (int beat = 0; beat < C::BEATS; ++beat) {
#pragma HLS PIPELINE II=1
            const WORD word = port.read();
            typename C::Y::type out;
            image_beat<C>(word, out);
            y.write(out);
        }
    }
}

// One 64-bit word a frame: confidence 31..0, class 46..32, exited 47, frame number 63..48; TLAST on the batch's last.
template <class C, class WORD>
void result_port(hls::stream<typename C::X::type>& decision, hls::stream<WORD>& port, unsigned* frames_done,
                 unsigned* exits, unsigned frames) {
#pragma HLS INLINE
    unsigned count = 0;
    // Not pipelined: a stalled pipeline would keep a frame's answer until later frames push it out.
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
        const typename C::X::type in = decision.read();
        const typename C::x_t code = C::X::get(in, 0);
        WORD word;
        axis_clear(word);
        axis_set_at<48>(word, 0, code);
        axis_set_at<16>(word, 48, frame);
        word.last = frame == frames - 1;
        port.write(word);
        if ((code >> 47) != 0) ++count;
    }
    *frames_done = frames;
    *exits = count;
}

// A beat to a bus word, the other way round.
template <class C, class WORD>
void feature_beat(const typename C::X::type& in, WORD& word) {
#pragma HLS INLINE
Lane:
    for (int lane = 0; lane < C::X::LANES; ++lane) {
#pragma HLS UNROLL
        axis_set_at<C::CONTAINER>(word, lane * C::CONTAINER, C::X::get(in, lane));
    }
}

// The map of each frame that goes on, behind a header word with its frame number. A trailer word with frame number
// 0xFFFFFFFF and TLAST ends the batch, so that a batch in which every frame exits still ends its DMA transfer.
template <class C, class WORD>
void conditional_buffer(hls::stream<typename C::X::type>& feature, hls::stream<typename C::D::type>& decision,
                        hls::stream<WORD>& port, unsigned frames) {
#pragma HLS INLINE
    bool exited = false;
Frame:
    for (unsigned frame = 0; frame <= frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Step:
        for (int step = 0; step <= C::BEATS; ++step) {
#pragma HLS PIPELINE II=1
            const bool trailer = frame == frames;
            WORD word;
            axis_clear(word);
            if (step == 0) {
                if (!trailer) exited = (C::D::get(decision.read(), 0) >> 47) != 0;
                axis_set_at<32>(word, 0, trailer ? 0xFFFFFFFFu : frame);
                word.last = trailer;
                if (trailer || !exited) port.write(word);
            } else if (!trailer) {
                feature_beat<C>(feature.read(), word);
                if (!exited) port.write(word);
            }
        }
    }
}

}  // namespace cs

#endif
