// Each channel's window by itself: depthwise convolution, pools, sums over the frame.
#ifndef CS_CHANNELWISE_H
#define CS_CHANNELWISE_H

#include "cs_map.h"

namespace cs {

// L::START is the sum before the first code, L::join(sum, code, position, channel) the sum after one more. A window's
// codes are POSITION apart along a row, channels CHANNEL apart; not 1 where windows lie written out.
template <class L, class X, class Y> struct Channelwise {
    typedef typename L::Sum Sum;
    static const int POSITIONS = L::KERNEL_ROWS * L::KERNEL_COLUMNS;

    CS_INLINE Sum joined(Sum sum, const typename X::Code* window, int position, int c) {
        const int row = position / L::KERNEL_COLUMNS, column = position % L::KERNEL_COLUMNS;
        return L::join(sum, window[row * X::PITCH + column * L::POSITION + c * L::CHANNEL], position, c);
    }

    // A window of few codes: its sum stays in a register, many channels side by side.
    CS_INLINE void few(const typename X::Code* window, typename Y::Code* y) {
        CS_ROLLED
        for (int c = 0; c < Y::CHANNELS; ++c) {
            Sum sum = L::START;
            CS_UNROLL
            for (int position = 0; position < POSITIONS; ++position) sum = joined(sum, window, position, c);
            y[c] = static_cast<typename Y::Code>(L::finish(sum, c));
        }
    }

    // A window of many: pixel by pixel.
    CS_INLINE void many(const typename X::Code* window, typename Y::Code* y) {
        Sum sums[Y::CHANNELS];
        for (int c = 0; c < Y::CHANNELS; ++c) sums[c] = L::START;
        for (int position = 0; position < POSITIONS; ++position)
            CS_ROLLED
            for (int c = 0; c < Y::CHANNELS; ++c) sums[c] = joined(sums[c], window, position, c);
        CS_ROLLED
        for (int c = 0; c < Y::CHANNELS; ++c) y[c] = static_cast<typename Y::Code>(L::finish(sums[c], c));
    }

    CS_INLINE void run(const X& x, Y& y, int frames) {
        for (int frame = 0; frame < frames; ++frame)
            for (int row = 0; row < Y::ROWS; ++row)
                for (int column = 0; column < Y::COLUMNS; ++column) {
                    const typename X::Code* window = x.at(frame, row * L::ROW_STRIDE - L::TOP, column * L::COLUMN_STRIDE - L::LEFT);
                    if (POSITIONS <= 32) few(window, y.at(frame, row, column));
                    else many(window, y.at(frame, row, column));
                }
    }
};

template <class L, class X, class Y> CS_LAYER void channelwise(const X& x, Y& y, int frames) {
    Channelwise<L, X, Y>::run(x, y, frames);
}

}  // namespace cs
#endif
