// Matrix-vector unit: PE outputs times SIMD inputs of PIXELS pixels a step, exact accumulators.
//
// Work goes input beat by input beat, chunk by chunk of SIMD lanes, and over the FOLDS groups of PE outputs innermost, so
// input is consumed at an even pace, is held in one register, and each output keeps its own accumulator. A beat of several
// pixels has whole vectors side by side; a chunk is then the same lanes of each, times the same weights.
#ifndef CS_MATRIX_VECTOR_H
#define CS_MATRIX_VECTOR_H

#include "cs_types.h"

namespace cs {

// One step: SIMD lanes of every pixel of a beat times a tile of weights, added to what the fold has so far.
template <class C>
void matrix_vector_step(const typename C::X::type& held, const typename C::w_t (&weights)[C::TILES][C::PE][C::SIMD], int tile,
                        typename C::y_t (&sums)[C::FOLDS][C::PIXELS][C::PE], int fold, bool first, typename C::Y::type& out) {
#pragma HLS INLINE
Pixel:
    for (int pixel = 0; pixel < C::PIXELS; ++pixel) {
#pragma HLS UNROLL
    Pe:
        for (int pe = 0; pe < C::PE; ++pe) {
#pragma HLS UNROLL
            typename C::y_t dot = 0;
        Simd:
            for (int simd = 0; simd < C::SIMD; ++simd) {
#pragma HLS UNROLL
                const typename C::x_t code = C::X::get(held, pixel * C::CHUNKS * C::SIMD + simd);
                if (pe < C::DSP_PE) {
                    dot += exact_product<typename C::y_t>(code, weights[tile][pe][simd], dsp_multiplier());
                } else {
                    dot += exact_product<typename C::y_t>(code, weights[tile][pe][simd], typename C::multiplier());
                }
            }
            // One add closes the loop from step to step; the tree in front of it is pipelined.
            const typename C::y_t sum = first ? dot : typename C::y_t(sums[fold][pixel][pe] + dot);
            sums[fold][pixel][pe] = sum;
            C::Y::set(out, pixel * C::PE + pe, sum);
        }
    }
}

template <class C>
void matrix_vector(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y,
                   const typename C::w_t (&weights)[C::TILES][C::PE][C::SIMD], unsigned frames) {
#pragma HLS INLINE
    typedef typename C::X X;
    typedef typename C::Y Y;
    typename C::y_t sums[C::FOLDS][C::PIXELS][C::PE];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=0
    typename X::type held;

    // One perfect nest: the tool flattens it, so the pipeline stays full across vectors and frames.
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Turn:
        for (int turn = 0; turn < C::TURNS; ++turn) {
        Beat:
            for (int beat = 0; beat < C::BEATS; ++beat) {
            Chunk:
                for (int chunk = 0; chunk < C::CHUNKS; ++chunk) {
                Fold:
                    for (int fold = 0; fold < C::FOLDS; ++fold) {
#pragma HLS PIPELINE II=1
                        const bool first = beat == 0 && chunk == 0;
                        const bool last = beat == C::BEATS - 1 && chunk == C::CHUNKS - 1;
                        const int tile = (beat * C::CHUNKS + chunk) * C::FOLDS + fold;
                        if (chunk == 0 && fold == 0) held = x.read();
                        typename Y::type out;
                        matrix_vector_step<C>(held, weights, tile, sums, fold, first, out);
                        if (last) y.write(out);
                        if (C::CHUNKS > 1 && fold == C::FOLDS - 1) X::shift(held, C::SIMD);
                    }
                }
            }
        }
    }
}

}  // namespace cs

#endif
