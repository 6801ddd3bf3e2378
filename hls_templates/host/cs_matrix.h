// A matrix times the codes of every window: convolution, and dense layers, whose one window is the whole frame.
#ifndef CS_MATRIX_H
#define CS_MATRIX_H

#include "cs_bytes.h"
#include "cs_map.h"
#include "cs_words.h"

namespace cs {

// Windows are read where they lie: a kernel row of a window is RUN neighbouring codes of the map.
//
// VS vectors of 16 outputs and P pixels are worked on together, so that VS x P sums stay in registers while P groups of
// codes meet VS vectors of weights. A dense layer has one pixel a frame, so frames of the block take the pixels' place.
template <class L, class X, class Y> struct Matrix {
    typedef typename L::Unit Unit;
    typedef typename Unit::Code Code;
    typedef typename Unit::Weight Weight;
    typedef typename Unit::Sum Sum;
    static const bool DENSE = L::ROWS * L::COLUMNS == 1;
    static const int GROUPS = (L::RUN + Unit::TAPS - 1) / Unit::TAPS;        // of a kernel row
    static const int VECTOR = L::KERNEL_ROWS * GROUPS * LANES * Unit::TAPS;  // weights of 16 outputs
    static const int VECTORS = (L::OUTPUTS + LANES - 1) / LANES;
    static const int SHARE = Unit::TILE / (DENSE ? 3 : 6);
    static const int MOST = SHARE > 0 ? SHARE : 1;
    static const int PASSES = (VECTORS + MOST - 1) / MOST;
    static const int V = (VECTORS + PASSES - 1) / PASSES;
    static const int LAST = VECTORS - (PASSES - 1) * V;

    CS_INLINE void run(const X& x, Y& y, int frames) {
        for (int pass = 0; pass < PASSES - 1; ++pass) Pass<V, V * LANES>::run(x, y, frames, pass * V);
        Pass<LAST, L::OUTPUTS - (PASSES - 1) * V * LANES>::run(x, y, frames, (PASSES - 1) * V);
    }

private:
    // COUNT outputs, which need VS vectors, from `vector` on.
    template <int VS, int COUNT> struct Pass {
        static const int PIXEL = VS * LANES;  // sums of a pixel
        static const int ROOM = Unit::TILE / VS > 0 ? Unit::TILE / VS : 1;
        static const int WIDTH = Y::COLUMNS * L::POOL_COLUMNS;  // windows of a row, those that the pool reads
        static const int TILES = (WIDTH + ROOM - 1) / ROOM;
        static const int P = (WIDTH + TILES - 1) / TILES;
        static const int REST = WIDTH % P;
        static const int STEP = L::COLUMN_STRIDE * X::CHANNELS;
        static const int FRAMES = !DENSE ? 0 : ROOM < X::BLOCK ? ROOM : X::BLOCK;  // of a dense layer

        CS_INLINE void run(const X& x, Y& y, int frames, int vector) {
            const Weight* w = L::weights() + vector * VECTOR;
            alignas(64) Sum sums[(DENSE ? X::BLOCK : L::POOL_ROWS * WIDTH) * PIXEL];
            if (DENSE) {
                Frames<FRAMES, 0>::run(x.at(0, -L::TOP, -L::LEFT), w, sums, frames);
                for (int frame = 0; frame < frames; ++frame)
                    finish(sums + frame * PIXEL, y.at(frame, 0, 0) + vector * LANES, vector * LANES);
                return;
            }
            for (int frame = 0; frame < frames; ++frame)
                for (int row = 0; row < Y::ROWS; ++row) {
                    for (int i = 0; i < L::POOL_ROWS; ++i) {
                        const int top = (row * L::POOL_ROWS + i) * L::ROW_STRIDE - L::TOP;
                        pixels(x.at(frame, top, -L::LEFT), w, sums + i * WIDTH * PIXEL);
                    }
                    for (int column = 0; column < Y::COLUMNS; ++column)
                        finish(sums + column * L::POOL_COLUMNS * PIXEL, y.at(frame, row, column) + vector * LANES, vector * LANES);
                }
        }

        // The sums of a row of windows.
        CS_INLINE void pixels(const Code* x, const Weight* w, Sum* sums) {
            for (int i = 0; i < WIDTH / P; ++i) tile<P, VS>(x + i * P * STEP, STEP, w, sums + i * P * PIXEL);
            if (REST) tile<(REST ? REST : 1), VS>(x + (WIDTH - REST) * STEP, STEP, w, sums + (WIDTH - REST) * PIXEL);
        }

        // The sums of the one window of every frame: COUNT_ frames at a time, then fewer.
        template <int AT_ONCE, int STOP> struct Frames {
            CS_INLINE void run(const Code* x, const Weight* w, Sum* sums, int frames) {
                for (; frames >= AT_ONCE; frames -= AT_ONCE) {
                    tile<AT_ONCE, VS>(x, X::FRAME, w, sums);
                    x += AT_ONCE * X::FRAME;
                    sums += AT_ONCE * PIXEL;
                }
                Frames<AT_ONCE - 1, STOP>::run(x, w, sums, frames);
            }
        };
        template <int STOP> struct Frames<STOP, STOP> {
            CS_INLINE void run(const Code*, const Weight*, Sum*, int) {}
        };

        // The codes of one pixel from the sums of the windows that it is pooled from. Where there is a pool, rounding
        // keeps the order of sums (the emitter sees to that), so the largest sum gives the largest code.
        //
        // Two ways, since compilers vectorize each only where it is taken: whole vectors are unrolled; where outputs end
        // early, unrolling would leave the outputs that are used, one by one.
        CS_INLINE void finish(const Sum* sums, typename Y::Code* y, int output) {
            typename Y::Code codes[PIXEL];
            if (COUNT % LANES == 0) {
                Sum best[PIXEL];
                if (L::POOL_ROWS * L::POOL_COLUMNS > 1) {
                    for (int o = 0; o < PIXEL; ++o) best[o] = sums[o];
                    for (int i = 0; i < L::POOL_ROWS; ++i)
                        for (int j = 0; j < L::POOL_COLUMNS; ++j)
                            for (int o = 0; o < PIXEL; ++o) best[o] = larger(best[o], sums[(i * WIDTH + j) * PIXEL + o]);
                    sums = best;
                }
                for (int o = 0; o < PIXEL; ++o) codes[o] = static_cast<typename Y::Code>(L::finish(sums[o], output + o));
            } else {
                CS_ROLLED
                for (int o = 0; o < PIXEL; ++o) {
                    Sum sum = sums[o];
                    for (int i = 0; i < L::POOL_ROWS; ++i)
                        for (int j = 0; j < L::POOL_COLUMNS; ++j) sum = larger(sum, sums[(i * WIDTH + j) * PIXEL + o]);
                    codes[o] = static_cast<typename Y::Code>(L::finish(sum, output + o));
                }
            }
            memcpy(y, codes, COUNT * sizeof codes[0]);
        }
    };

    // The sums of P windows, `step` codes apart, and VS vectors of outputs.
    template <int P, int VS> CS_INLINE void tile(const Code* x, int step, const Weight* w, Sum* sums) {
        typename Unit::Sums acc[VS][P];
        CS_UNROLL
        for (int v = 0; v < VS; ++v) {
            CS_UNROLL
            for (int p = 0; p < P; ++p) Unit::clear(acc[v][p]);
        }
        for (int row = 0; row < L::KERNEL_ROWS; ++row)
            for (int group = 0; group < GROUPS; ++group) {
                typename Unit::Codes codes[P];
                CS_UNROLL
                for (int p = 0; p < P; ++p) Unit::splat(codes[p], x + row * X::PITCH + group * Unit::TAPS + p * step);
                const Weight* at = w + (row * GROUPS + group) * LANES * Unit::TAPS;
                CS_UNROLL
                for (int v = 0; v < VS; ++v) Unit::template add<P>(acc[v], codes, at + v * VECTOR);
            }
        CS_UNROLL
        for (int v = 0; v < VS; ++v) {
            CS_UNROLL
            for (int p = 0; p < P; ++p) Unit::store(acc[v][p], sums + (p * VS + v) * LANES);
        }
    }
};

template <class L, class X, class Y> CS_LAYER void matrix(const X& x, Y& y, int frames) { Matrix<L, X, Y>::run(x, y, frames); }

}  // namespace cs
#endif
