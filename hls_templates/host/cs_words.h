// Words: codes and weights that fit into 16 signed bits, sums in 32.
#ifndef CS_WORDS_H
#define CS_WORDS_H

#include "cs_lanes.h"

namespace cs {

#if defined(CS_AVX512)
struct Words : Vector512 {
    typedef int16_t Code;
    typedef int16_t Weight;
    typedef int32_t Sum;
    static const int TAPS = 2;
    template <int PIXELS> CS_INLINE void add(Sums* sums, const Codes* codes, const Weight* w) {
        const __m512i weights = _mm512_loadu_si512(w);
        CS_UNROLL
        for (int p = 0; p < PIXELS; ++p) {
            __m512i sum = sums[p];
            CS_ADD_IN_PLACE("vpdpwssd", sum, codes[p], weights);
            sums[p] = sum;
        }
    }
};

#elif defined(CS_AVX2)
struct Words : Vectors256 {
    typedef int16_t Code;
    typedef int16_t Weight;
    typedef int32_t Sum;
    static const int TAPS = 2;
    template <int PIXELS> CS_INLINE void add(Sums* sums, const Codes* codes, const Weight* w) {
        CS_UNROLL
        for (int i = 0; i < 2; ++i) {
            const __m256i weights = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w) + i);
            CS_UNROLL
            for (int p = 0; p < PIXELS; ++p)
                sums[p].part[i] = _mm256_add_epi32(sums[p].part[i], _mm256_madd_epi16(codes[p], weights));
        }
    }
};

#elif defined(CS_NEON)
struct Words : Vectors128<2> {
    typedef int16_t Code;
    typedef int16_t Weight;
    typedef int32_t Sum;
    static const int TAPS = 2;
    template <int PIXELS> CS_INLINE void add(Sums* sums, const Codes* codes, const Weight* w) {
        CS_UNROLL
        for (int i = 0; i < 4; ++i) {
            const int16x4x2_t weights = vld2_s16(w + 8 * i);
            CS_UNROLL
            for (int tap = 0; tap < TAPS; ++tap) {
                CS_UNROLL
                for (int p = 0; p < PIXELS; ++p)
                    sums[p].part[i] = vmlal_n_s16(sums[p].part[i], weights.val[tap], codes[p][tap]);
            }
        }
    }
};

#else
struct Words : Plain<int16_t, int16_t, int32_t, 2> {};
#endif

}  // namespace cs
#endif
