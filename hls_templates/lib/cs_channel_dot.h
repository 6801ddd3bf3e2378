// Depthwise unit: every channel's kernel window times that channel's own weights, PE channels and SIMD positions a step,
// of PIXELS neighbouring pixels, which share their weights.
#ifndef CS_CHANNEL_DOT_H
#define CS_CHANNEL_DOT_H

#include "cs_types.h"

namespace cs {

// One step: SIMD positions of PE channels of every pixel of a beat, added to what these channels have so far.
template <class C>
void channel_dot_step(const typename C::X::type& held, const typename C::w_t (&weights)[C::TILES][C::PE][C::SIMD], int tile,
                      typename C::y_t (&sums)[C::PIXELS][C::PE], bool first, typename C::Y::type& out) {
#pragma HLS INLINE
Pixel:
    for (int pixel = 0; pixel < C::PIXELS; ++pixel) {
#pragma HLS UNROLL
    Pe:
        for (int pe = 0; pe < C::PE; ++pe) {
#pragma HLS UNROLL
            const int dot_of_beat = pixel * C::PE + pe;
            typename C::y_t dot = 0;
        Simd:
            for (int simd = 0; simd < C::SIMD; ++simd) {
#pragma HLS UNROLL
                dot += exact_product<typename C::y_t>(C::X::get(held, dot_of_beat * C::CHUNKS * C::SIMD + simd), weights[tile][pe][simd], typename C::multiplier());
            }
            const typename C::y_t sum = first ? dot : typename C::y_t(sums[pixel][pe] + dot);
            sums[pixel][pe] = sum;
            C::Y::set(out, dot_of_beat, sum);
        }
    }
}

template <class C>
void channel_dot(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y,
                 const typename C::w_t (&weights)[C::TILES][C::PE][C::SIMD], unsigned frames) {
#pragma HLS INLINE
    typedef typename C::X X;
    typedef typename C::Y Y;
    typename C::y_t sums[C::PIXELS][C::PE];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=0
    typename X::type held;

Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Turn:
        for (int turn = 0; turn < C::TURNS; ++turn) {
        Group:
            for (int group = 0; group < C::GROUPS; ++group) {
            Fold:
                for (int fold = 0; fold < C::FOLDS; ++fold) {
                Chunk:
                    for (int chunk = 0; chunk < C::CHUNKS; ++chunk) {
#pragma HLS PIPELINE II=1
                        const int tile = (group * C::FOLDS + fold) * C::CHUNKS + chunk;
                        if (fold == 0 && chunk == 0) held = x.read();
                        typename Y::type out;
                        channel_dot_step<C>(held, weights, tile, sums, chunk == 0, out);
                        if (chunk == C::CHUNKS - 1) y.write(out);
                        // On to the next SIMD positions of these channels, or past them to the next PE channels.
                        if (C::CHUNKS * C::FOLDS > 1)
                            X::shift(held, chunk == C::CHUNKS - 1 ? int(C::SIMD + (C::PE - 1) * C::CHUNKS * C::SIMD) : int(C::SIMD));
                    }
                }
            }
        }
    }
}

}  // namespace cs

#endif
