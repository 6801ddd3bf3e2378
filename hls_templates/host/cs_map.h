// Values of a network in memory, and the layers that work on single codes. Channels are innermost, as everywhere.
//
// L, in these files, is a layer's own struct in the emitted source: sizes as constants, so that every loop has a known
// length and every offset is a number, and finish(sum, channel), which rounds each exact sum.
#ifndef CS_MAP_H
#define CS_MAP_H

#include "cs_lanes.h"

namespace cs {

template <class T> CS_INLINE T smaller(T a, T b) { return a < b ? a : b; }
template <class T> CS_INLINE T larger(T a, T b) { return a > b ? a : b; }

// Every rounding step. `offset` is the bias and half of 1 << shift; >> rounds to minus infinity, as every compiler has it.
// FACTOR holds the sum and the multiplier, WIDE their product, NARROW what is left of it after the shift.
template <class NARROW, class WIDE, class FACTOR>
CS_INLINE NARROW requantize(FACTOR sum, FACTOR multiplier, WIDE offset, int shift, NARROW low, NARROW high) {
    const WIDE exact = static_cast<WIDE>(sum) * multiplier + offset;
    return smaller(larger(static_cast<NARROW>(exact >> shift), low), high);
}

// A block of frames of one value. The border holds what windows read outside a frame; it is written once, by border().
template <class CODE, int BLOCK_, int ROWS_, int COLUMNS_, int CHANNELS_, int TOP, int LEFT, int BOTTOM, int RIGHT>
struct Map {
    typedef CODE Code;
    static const int BLOCK = BLOCK_;
    static const int ROWS = ROWS_;
    static const int COLUMNS = COLUMNS_;
    static const int CHANNELS = CHANNELS_;
    static const int PITCH = (LEFT + COLUMNS + RIGHT) * CHANNELS;
    static const int FRAME = ((TOP + ROWS + BOTTOM) * PITCH + 63) / 64 * 64;

    // The last group of the last window may reach past it: into codes that are there, and count nothing.
    alignas(64) CODE codes[BLOCK * FRAME + 64];

    const CODE* at(int frame, int row, int column) const {
        return codes + frame * FRAME + (TOP + row) * PITCH + (LEFT + column) * CHANNELS;
    }
    CODE* at(int frame, int row, int column) {
        return codes + frame * FRAME + (TOP + row) * PITCH + (LEFT + column) * CHANNELS;
    }
    void border(CODE code) {
        for (int frame = 0; frame < BLOCK; ++frame)
            for (int row = -TOP; row < ROWS + BOTTOM; ++row)
                for (int column = -LEFT; column < COLUMNS + RIGHT; ++column) {
                    const bool inside = row >= 0 && row < ROWS && column >= 0 && column < COLUMNS;
                    for (int c = 0; c < CHANNELS && !inside; ++c) at(frame, row, column)[c] = code;
                }
    }
};

// Takes frames in; returns how many there are before one with a code outside low..low + span. `span` is all ones in binary,
// so a code outside shows in the bits above.
template <class IN, class X> CS_LAYER int take(const IN* x, int frames, int64_t low, uint64_t span, X& map) {
    const int row_codes = X::COLUMNS * X::CHANNELS;
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < X::ROWS; ++row) {
            typename X::Code* to = map.at(frame, row, 0);
            uint64_t outside = 0;
            for (int i = 0; i < row_codes; ++i) {
                outside |= (static_cast<uint64_t>(x[i]) - static_cast<uint64_t>(low)) & ~span;
                to[i] = static_cast<typename X::Code>(x[i]);
            }
            if (outside) return frame;
            x += row_codes;
        }
    return frames;
}

// Gives frames out, each `step` codes behind the one before it.
template <class Y, class OUT> CS_LAYER void give(const Y& map, int frames, OUT* y, int step) {
    const int row_codes = Y::COLUMNS * Y::CHANNELS;
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < Y::ROWS; ++row)
            for (int i = 0; i < row_codes; ++i)
                y[static_cast<size_t>(frame) * step + row * row_codes + i] = static_cast<OUT>(map.at(frame, row, 0)[i]);
}

// Every code by itself, and put L::TOP rows and L::LEFT columns further on: a rounding step, a copy, a pad.
template <class L, class X, class Y> CS_LAYER void each(const X& x, Y& y, int frames) {
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < X::ROWS; ++row)
            for (int column = 0; column < X::COLUMNS; ++column) {
                const typename X::Code* from = x.at(frame, row, column);
                typename Y::Code* to = y.at(frame, row + L::TOP, column + L::LEFT);
                CS_ROLLED
                for (int c = 0; c < X::CHANNELS; ++c) to[c] = static_cast<typename Y::Code>(L::finish(from[c], c));
            }
}

// Two values brought to one scale and added.
template <class L, class A, class B, class Y> CS_LAYER void add(const A& a, const B& b, Y& y, int frames) {
    typedef typename L::Sum Sum;
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < Y::ROWS; ++row)
            for (int column = 0; column < Y::COLUMNS; ++column) {
                const typename A::Code* from = a.at(frame, row, column);
                const typename B::Code* other = b.at(frame, row, column);
                typename Y::Code* to = y.at(frame, row, column);
                CS_ROLLED
                for (int c = 0; c < Y::CHANNELS; ++c) {
                    const Sum sum = static_cast<Sum>(from[c]) * L::FACTOR_A + static_cast<Sum>(other[c]) * L::FACTOR_B;
                    to[c] = static_cast<typename Y::Code>(L::finish(sum, c));
                }
            }
}

// A frame as one long vector.
template <class L, class X, class Y> CS_LAYER void flatten(const X& x, Y& y, int frames) {
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < X::ROWS; ++row)
            for (int i = 0; i < X::COLUMNS * X::CHANNELS; ++i)
                y.at(frame, 0, 0)[row * X::COLUMNS * X::CHANNELS + i] = static_cast<typename Y::Code>(x.at(frame, row, 0)[i]);
}

// Windows written out, channel by channel, for the rare reader that does not look through them.
template <class L, class X, class Y> CS_LAYER void windows(const X& x, Y& y, int frames) {
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < Y::ROWS; ++row)
            for (int column = 0; column < Y::COLUMNS; ++column) {
                typename Y::Code* to = y.at(frame, row, column);
                for (int c = 0; c < X::CHANNELS; ++c)
                    for (int i = 0; i < L::KERNEL_ROWS; ++i)
                        for (int j = 0; j < L::KERNEL_COLUMNS; ++j)
                            *to++ = static_cast<typename Y::Code>(
                                x.at(frame, row * L::ROW_STRIDE - L::TOP + i, column * L::COLUMN_STRIDE - L::LEFT + j)[c]);
            }
}

}  // namespace cs
#endif
