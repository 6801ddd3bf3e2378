// Each channel's window by itself: depthwise convolution, pools, sums over the frame.
#ifndef CS_CHANNELWISE_H
#define CS_CHANNELWISE_H

#include "cs_map.h"

namespace cs {

// L::START is the sum before the first code, L::join(sum, code, position, channel) the sum after one more. A window's
// codes are POSITION apart along a row, channels CHANNEL apart; not 1 where windows lie written out.
template <class L, class X, class Y> static void channelwise(const X& x, Y& y, int frames) {
    typedef typename L::Sum Sum;
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < Y::ROWS; ++row)
            for (int column = 0; column < Y::COLUMNS; ++column) {
                const typename X::Code* from = x.at(frame, row * L::ROW_STRIDE - L::TOP, column * L::COLUMN_STRIDE - L::LEFT);
                Sum sums[Y::CHANNELS];
                for (int c = 0; c < Y::CHANNELS; ++c) sums[c] = L::START;
                for (int i = 0; i < L::KERNEL_ROWS; ++i)
                    for (int j = 0; j < L::KERNEL_COLUMNS; ++j) {
                        const typename X::Code* codes = from + i * X::PITCH + j * L::POSITION;
                        for (int c = 0; c < Y::CHANNELS; ++c)
                            sums[c] = L::join(sums[c], codes[c * L::CHANNEL], i * L::KERNEL_COLUMNS + j, c);
                    }
                typename Y::Code* to = y.at(frame, row, column);
                for (int c = 0; c < Y::CHANNELS; ++c) to[c] = static_cast<typename Y::Code>(L::finish(sums[c], c));
            }
}

}  // namespace cs
#endif
