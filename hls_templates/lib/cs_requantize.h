// Requantize: one multiply, one add, one shift and one clamp per code; the add carries bias and rounding half up.
#ifndef CS_REQUANTIZE_H
#define CS_REQUANTIZE_H

#include "cs_types.h"

namespace cs {

template <class C>
void requantize_beat(const typename C::X::type& in, const typename C::multiplier_t (&multiplier)[C::GROUPS][C::X::LANES],
                     const typename C::offset_t (&offset)[C::GROUPS][C::X::LANES], int group, typename C::Y::type& out) {
#pragma HLS INLINE
Lane:
    for (int lane = 0; lane < C::X::LANES; ++lane) {
#pragma HLS UNROLL
        typename C::wide_t wide = C::X::get(in, lane);
        if (!C::UNIT) wide = exact_product<typename C::wide_t>(C::X::get(in, lane), multiplier[group][lane], typename C::multiplier());
        wide += offset[group][lane];
        wide >>= C::SHIFT;
        if (wide < C::LOW) wide = C::LOW;
        if (wide > C::HIGH) wide = C::HIGH;
        C::Y::set(out, lane, typename C::y_t(wide));
    }
}

template <class C>
void requantize(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y,
                const typename C::multiplier_t (&multiplier)[C::GROUPS][C::X::LANES],
                const typename C::offset_t (&offset)[C::GROUPS][C::X::LANES], unsigned frames) {
#pragma HLS INLINE
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
    Turn:
        for (int turn = 0; turn < C::TURNS; ++turn) {  // a pixel, or the pixels of a beat
        Group:
            for (int group = 0; group < C::GROUPS; ++group) {
#pragma HLS PIPELINE II=1
                typename C::Y::type out;
                requantize_beat<C>(x.read(), multiplier, offset, group, out);
                y.write(out);
            }
        }
    }
}

}  // namespace cs

#endif
