// Layers of a quantized network on a CPU: exact integers, rows by columns by channels, a block of frames at a time.
//
// Sizes are template parameters or constants of L, the layer's own struct in the emitted source, so that every loop has
// a known length and every offset is a constant. L::finish(sum, channel) is what is done to each exact sum: nothing, or
// multiply, add, shift and clamp.
#ifndef CS_LAYERS_H
#define CS_LAYERS_H
#include "cs_lanes.h"

namespace cs {

template <class T> static inline T smaller(T a, T b) { return a < b ? a : b; }
template <class T> static inline T larger(T a, T b) { return a > b ? a : b; }

// Every rounding step; `offset` holds the bias and half of 1 << shift, and >> rounds to minus infinity.
template <class WIDE> static inline WIDE requantize(WIDE sum, WIDE multiplier, WIDE offset, int shift, WIDE low, WIDE high) {
    return smaller(larger((sum * multiplier + offset) >> shift, low), high);
}

// A value in the workspace. The border holds what windows read outside the frame; it is written once, by create().
template <class CODE, int BLOCK, int ROWS_, int COLUMNS_, int CHANNELS_, int TOP, int LEFT, int BOTTOM, int RIGHT>
struct Map {
    typedef CODE Code;
    static const int ROWS = ROWS_;
    static const int COLUMNS = COLUMNS_;
    static const int CHANNELS = CHANNELS_;
    static const int SIZE = ROWS * COLUMNS * CHANNELS;
    static const int PITCH = (LEFT + COLUMNS + RIGHT) * CHANNELS;
    static const int FRAME = ((TOP + ROWS + BOTTOM) * PITCH + 63) / 64 * 64;

    // The last 64 codes are there for groups that reach past the last window.
    alignas(64) CODE codes[BLOCK * FRAME + 64];

    void fill(CODE code) {
        for (int i = 0; i < BLOCK * FRAME + 64; ++i) codes[i] = code;
    }
    CODE* at(int frame, int row, int column) {
        return codes + frame * FRAME + (TOP + row) * PITCH + (LEFT + column) * CHANNELS;
    }
    const CODE* at(int frame, int row, int column) const {
        return codes + frame * FRAME + (TOP + row) * PITCH + (LEFT + column) * CHANNELS;
    }
};

// A matrix times the codes of every window: convolution, or a dense layer, whose window is the whole frame.
//
// Outputs are worked on V vectors of 16 at a time and pixels P at a time, so that P x V sums stay in registers while P
// codes meet V vectors of weights. A dense layer has one pixel a frame; there the frames of the block take their place.
template <class L, class X, class Y> struct Matrix {
    typedef typename L::Unit Unit;
    typedef typename Unit::Code Code;
    typedef typename Unit::Weight Weight;
    typedef typename Unit::Sum Sum;
    static const bool DENSE = L::ROWS * L::COLUMNS == 1;
    static const int GROUPS = (L::RUN + Unit::TAPS - 1) / Unit::TAPS;  // of a kernel row
    static const int VECTOR = L::KERNEL_ROWS * GROUPS * LANES * Unit::TAPS;  // weights of 16 outputs
    static const int VECTORS = (L::OUTPUTS + LANES - 1) / LANES;
    static const int MOST = Unit::TILE >= (DENSE ? 3 : 6) ? Unit::TILE / (DENSE ? 3 : 6) : 1;
    static const int PASSES = (VECTORS + MOST - 1) / MOST;
    static const int V = (VECTORS + PASSES - 1) / PASSES;
    static const int LAST = VECTORS - (PASSES - 1) * V;

    static void run(const X& x, Y& y, int frames) {
        for (int pass = 0; pass < PASSES - 1; ++pass) outputs<V, V * LANES>(x, y, frames, pass * V);
        outputs<LAST, L::OUTPUTS - (PASSES - 1) * V * LANES>(x, y, frames, (PASSES - 1) * V);
    }

private:
    template <int VS, int COUNT> static void outputs(const X& x, Y& y, int frames, int vector) {
        const Weight* w = L::weights() + vector * VECTOR;
        const int first = vector * LANES;
        if (DENSE) {
            alignas(64) Sum sums[L::BLOCK * VS * LANES];
            Frames<VS, (Unit::TILE / VS > 0 ? Unit::TILE / VS : 1)>::run(x.at(0, -L::TOP, -L::LEFT), w, sums, frames);
            for (int frame = 0; frame < frames; ++frame)
                finish<VS, COUNT>(sums + frame * VS * LANES, 0, y.at(frame, 0, 0) + first, first);
            return;
        }
        static const int ROW = L::COLUMNS * VS * LANES;
        alignas(64) Sum sums[L::POOL_ROWS * ROW];
        for (int frame = 0; frame < frames; ++frame)
            for (int row = 0; row < Y::ROWS; ++row) {
                for (int i = 0; i < L::POOL_ROWS; ++i)
                    pixels<VS>(x.at(frame, (row * L::POOL_ROWS + i) * L::ROW_STRIDE - L::TOP, -L::LEFT), w, sums + i * ROW);
                for (int column = 0; column < Y::COLUMNS; ++column)
                    finish<VS, COUNT>(sums + column * L::POOL_COLUMNS * VS * LANES, ROW, y.at(frame, row, column) + first, first);
            }
    }

    // The sums of one row of windows, those that the pool reads.
    template <int VS> static inline void pixels(const Code* x, const Weight* w, Sum* sums) {
        static const int COUNT = Y::COLUMNS * L::POOL_COLUMNS;
        static const int ROOM = Unit::TILE / VS > 0 ? Unit::TILE / VS : 1;
        static const int TILES = (COUNT + ROOM - 1) / ROOM;
        static const int P = (COUNT + TILES - 1) / TILES;
        static const int REST = COUNT % P;
        static const int STEP = L::COLUMN_STRIDE * X::CHANNELS;
        for (int i = 0; i < COUNT / P; ++i) tile<P, VS>(x + i * P * STEP, STEP, w, sums + i * P * VS * LANES);
        if (REST) tile<(REST ? REST : 1), VS>(x + (COUNT - REST) * STEP, STEP, w, sums + (COUNT - REST) * VS * LANES);
    }

    // The sums of the one window of every frame: P frames at a time, then fewer.
    template <int VS, int P> struct Frames {
        static inline void run(const Code* x, const Weight* w, Sum* sums, int frames) {
            int frame = 0;
            for (; frame + P <= frames; frame += P) tile<P, VS>(x + frame * X::FRAME, X::FRAME, w, sums + frame * VS * LANES);
            Frames<VS, P - 1>::run(x + frame * X::FRAME, w, sums + frame * VS * LANES, frames - frame);
        }
    };
    template <int VS> struct Frames<VS, 0> {
        static inline void run(const Code*, const Weight*, Sum*, int) {}
    };

    template <int P, int VS> static inline void tile(const Code* x, int step, const Weight* w, Sum* sums) {
        typename Unit::Sums acc[VS][P];
        CS_UNROLL
        for (int v = 0; v < VS; ++v) {
            CS_UNROLL
            for (int p = 0; p < P; ++p) Unit::clear(acc[v][p]);
        }
        for (int row = 0; row < L::KERNEL_ROWS; ++row)
            for (int group = 0; group < GROUPS; ++group) {
                const Code* from = x + row * X::PITCH + group * Unit::TAPS;
                typename Unit::Codes codes[P];
                CS_UNROLL
                for (int p = 0; p < P; ++p) Unit::splat(codes[p], from + p * step);
                CS_UNROLL
                for (int v = 0; v < VS; ++v)
                    Unit::template add<P>(acc[v], codes, w + v * VECTOR + (row * GROUPS + group) * LANES * Unit::TAPS);
            }
        CS_UNROLL
        for (int v = 0; v < VS; ++v) {
            CS_UNROLL
            for (int p = 0; p < P; ++p) Unit::store(acc[v][p], sums + (p * VS + v) * LANES);
        }
    }

    // The codes of one pixel from the sums of the windows that it is pooled from. Rounding never turns an order round
    // (the emitter sees to that), so the largest sum gives the largest code.
    template <int VS, int COUNT>
    static inline void finish(const Sum* sums, int row, typename Y::Code* y, int first) {
        typename Y::Code codes[VS * LANES];
        for (int o = 0; o < VS * LANES; ++o) {
            Sum sum = sums[o];
            for (int i = 0; i < L::POOL_ROWS; ++i)
                for (int j = 0; j < L::POOL_COLUMNS; ++j) sum = larger(sum, sums[i * row + j * VS * LANES + o]);
            codes[o] = static_cast<typename Y::Code>(L::finish(sum, first + o));
        }
        memcpy(y, codes, COUNT * sizeof(codes[0]));
    }
};

// Each channel's window by itself: depthwise convolution, pools, sums over the frame. L::join takes in one code.
template <class L, class X, class Y> static void channelwise(const X& x, Y& y, int frames) {
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < Y::ROWS; ++row)
            for (int column = 0; column < Y::COLUMNS; ++column) {
                const typename X::Code* from = x.at(frame, row * L::ROW_STRIDE - L::TOP, column * L::COLUMN_STRIDE - L::LEFT);
                typename L::Sum sums[Y::CHANNELS];
                for (int c = 0; c < Y::CHANNELS; ++c) sums[c] = L::START;
                for (int i = 0; i < L::KERNEL_ROWS; ++i)
                    for (int j = 0; j < L::KERNEL_COLUMNS; ++j) {
                        const typename X::Code* codes = from + i * X::PITCH + j * L::POSITION;
                        for (int c = 0; c < Y::CHANNELS; ++c)
                            sums[c] = L::join(sums[c], codes[c * L::CHANNEL], (i * L::KERNEL_COLUMNS + j) * Y::CHANNELS + c);
                    }
                typename Y::Code* to = y.at(frame, row, column);
                for (int c = 0; c < Y::CHANNELS; ++c) to[c] = static_cast<typename Y::Code>(L::finish(sums[c], c));
            }
}

// Two values, or one with itself alone, code by code.
template <class L, class A, class B, class Y> static void add(const A& a, const B& b, Y& y, int frames) {
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < Y::ROWS; ++row)
            for (int column = 0; column < Y::COLUMNS; ++column) {
                const typename A::Code* from = a.at(frame, row, column);
                const typename B::Code* other = b.at(frame, row, column);
                typename Y::Code* to = y.at(frame, row, column);
                for (int c = 0; c < Y::CHANNELS; ++c)
                    to[c] = static_cast<typename Y::Code>(L::finish(from[c] * L::FACTOR_A + other[c] * L::FACTOR_B, c));
            }
}

template <class L, class X, class Y> static void each(const X& x, Y& y, int frames) {
    for (int frame = 0; frame < frames; ++frame)
        for (int row = 0; row < X::ROWS; ++row)
            for (int column = 0; column < X::COLUMNS; ++column) {
                const typename X::Code* from = x.at(frame, row, column);
                typename Y::Code* to = y.at(frame, row + L::TOP, column + L::LEFT);
                for (int c = 0; c < X::CHANNELS; ++c) to[c] = static_cast<typename Y::Code>(L::finish(from[c], c));
            }
}
}  // namespace cs
#endif
