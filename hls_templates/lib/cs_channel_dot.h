// Depthwise unit: every channel's kernel window times that channel's own weights, PE channels and SIMD positions a step.
#ifndef CS_CHANNEL_DOT_H
#define CS_CHANNEL_DOT_H

#include "cs_types.h"

namespace cs {

template <class C>
void channel_dot(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y,
                 const typename C::w_t (&weights)[C::TILES][C::PE][C::SIMD], unsigned frames) {
#pragma HLS INLINE
    typedef typename C::X X;
    typedef typename C::Y Y;
    typename C::y_t sums[C::PE];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=0
    typename X::type held;

Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Pixel:
        for (int pixel = 0; pixel < C::PIXELS; ++pixel) {
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
                    Pe:
                        for (int pe = 0; pe < C::PE; ++pe) {
#pragma HLS UNROLL
                            typename C::y_t sum = chunk == 0 ? typename C::y_t(0) : sums[pe];
                        Simd:
                            for (int simd = 0; simd < C::SIMD; ++simd) {
#pragma HLS UNROLL
                                const int lane = ((fold * C::PE + pe) * C::CHUNKS + chunk) * C::SIMD + simd;
                                sum += X::get(held, lane) * weights[tile][pe][simd];
                            }
                            sums[pe] = sum;
                            Y::set(out, pe, sum);
                        }
                        if (chunk == C::CHUNKS - 1) y.write(out);
                    }
                }
            }
        }
    }
}

}  // namespace cs

#endif
