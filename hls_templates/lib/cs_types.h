// The one switch between type systems. Every unit and every emitted source is written against these names.
//
//   CS_NATIVE   plain C++ integers at least as wide: fast C simulation
//   (default)   ap_int / ap_uint of exactly the width, lanes of a beat kept apart: C simulation with vendor types
//   CS_PACKED   ap_int / ap_uint, a beat is one ap_uint with lane 0 in the lowest bits: what synthesis sees
//
// No value here ever leaves its width: accumulators are sized by their weights and every narrowing is a clamp, which is why
// the three give the same codes.
#ifndef CS_TYPES_H
#define CS_TYPES_H

#if defined(__SYNTHESIS__) && !defined(CS_PACKED)
#define CS_PACKED
#endif

// Labels name loops in synthesis reports, and only synthesis knows its pragmas (g++ before 13 needs -Wno-unknown-pragmas too).
#if defined(__GNUC__) && !defined(__SYNTHESIS__)
#pragma GCC diagnostic ignored "-Wunused-label"
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#endif

#ifndef CS_NATIVE
#ifndef AP_INT_MAX_W
#define AP_INT_MAX_W 4096  // a packed kernel window can be wider than the default 1024
#endif
#include <ap_axi_sdata.h>
#include <ap_int.h>
#endif
#include <hls_stream.h>

namespace cs {

#ifdef CS_NATIVE

// The smallest of 16, 32 and 64 bits that holds the code and its sign: SIMD units multiply and add 16-bit lanes in pairs.
template <int CLASS>
struct native;
template <>
struct native<0> {
    typedef short type;
};
template <>
struct native<1> {
    typedef int type;
};
template <>
struct native<2> {
    typedef long long type;
};

template <int W>
struct sint {
    typedef typename native<(W > 16) + (W > 32)>::type type;
};
template <int W>
struct uint {
    typedef typename native<(W > 15) + (W > 31)>::type type;
};

#else

template <int W>
struct sint {
    typedef ap_int<W> type;
};
template <int W>
struct uint {
    typedef ap_uint<W> type;
};

#endif

// N codes side by side.
template <class T, int W, int N>
struct beat_value {
    T v[N];
};

// A beat of N codes of W bits: `type` travels in channels, get and set reach its lanes, shift drops the lowest ones, so that
// a process that works on a part at a time always reads the same lanes.
#ifdef CS_PACKED
template <class T, int W, int N>
struct beat {
    typedef ap_uint<W * N> type;
    enum { LANES = N };
    static T get(const type& b, int lane) {
#pragma HLS INLINE
        return T(b.range(W * lane + W - 1, W * lane));
    }
    static void set(type& b, int lane, T code) {
#pragma HLS INLINE
        b.range(W * lane + W - 1, W * lane) = ap_uint<W>(code);
    }
    static void shift(type& b, int lanes) {
#pragma HLS INLINE
        b >>= W * lanes;
    }
};
#else
template <class T, int W, int N>
struct beat {
    typedef beat_value<T, W, N> type;
    enum { LANES = N };
    static T get(const type& b, int lane) { return b.v[lane]; }
    static void set(type& b, int lane, T code) { b.v[lane] = code; }
    static void shift(type& b, int lanes) {
    Shift:
        for (int lane = 0; lane < N - lanes; ++lane) b.v[lane] = b.v[lane + lanes];
    }
};
#endif

// The exact product: vendor types widen by themselves, native integers are widened first.
template <class WIDE, class A, class B>
inline WIDE exact_product(const A& a, const B& b) {
#pragma HLS INLINE
#ifdef CS_NATIVE
    return static_cast<WIDE>(a) * static_cast<WIDE>(b);
#else
    return WIDE(a * b);
#endif
}

// Where a product is made: wherever the tool likes; in LUTs, where the plan found too few DSPs; in DSPs, where it found too
// few LUTs for all products with constants.
struct any_multiplier {};
struct lut_multiplier {};
struct dsp_multiplier {};

template <class WIDE, class A, class B>
inline WIDE exact_product(const A& a, const B& b, any_multiplier) {
#pragma HLS INLINE
    return exact_product<WIDE>(a, b);
}

template <class WIDE, class A, class B>
inline WIDE exact_product(const A& a, const B& b, lut_multiplier) {
#pragma HLS INLINE
#ifdef CS_NATIVE
    return exact_product<WIDE>(a, b);
#else
    const WIDE product = a * b;
#ifdef __VITIS_HLS__
#pragma HLS BIND_OP variable=product op=mul impl=fabric
#else
#pragma HLS RESOURCE variable=product core=Mul_LUT
#endif
    return product;
#endif
}

template <class WIDE, class A, class B>
inline WIDE exact_product(const A& a, const B& b, dsp_multiplier) {
#pragma HLS INLINE
#ifdef CS_NATIVE
    return exact_product<WIDE>(a, b);
#else
    const WIDE product = a * b;
#ifdef __VITIS_HLS__
#pragma HLS BIND_OP variable=product op=mul impl=dsp
#else
#pragma HLS RESOURCE variable=product core=DSP48
#endif
    return product;
#endif
}

}  // namespace cs

// A process of a DATAFLOW region: a plain call, except in the threaded C simulation.
#ifdef CS_THREADS
#define CS_REGION cs::region cs_region;
#define CS_PROCESS(call) cs_region.start(#call, [&] { call; })
#else
#define CS_REGION
#define CS_PROCESS(call) call
#endif

#endif
