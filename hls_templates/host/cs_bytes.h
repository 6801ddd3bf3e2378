// Bytes: unsigned codes of at most 8 bits, weights of at most 8, sums in 32.
#ifndef CS_BYTES_H
#define CS_BYTES_H

#include "cs_lanes.h"

namespace cs {

#if defined(CS_AVX512) || defined(__AVXVNNI__)
#if defined(CS_AVX512)
struct Bytes : Vector512 {
#else
struct Bytes : Vectors256 {
#endif
    typedef uint8_t Code;
    typedef int8_t Weight;
    typedef int32_t Sum;
    static const int TAPS = 4;
    template <int PIXELS> CS_INLINE void add(Sums* sums, const Codes* codes, const Weight* w) {
#if defined(CS_AVX512)
        const __m512i weights = _mm512_loadu_si512(w);
        CS_UNROLL
        for (int p = 0; p < PIXELS; ++p) {
            __m512i sum = sums[p];
            CS_ADD_IN_PLACE("vpdpbusd", sum, codes[p], weights);
            sums[p] = sum;
        }
#else
        CS_UNROLL
        for (int i = 0; i < 2; ++i) {
            const __m256i weights = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w) + i);
            CS_UNROLL
            for (int p = 0; p < PIXELS; ++p)
                sums[p].part[i] = _mm256_dpbusd_avx_epi32(sums[p].part[i], codes[p], weights);
        }
#endif
    }
};

#elif defined(CS_AVX2)
// AVX2's own product of bytes saturates, so bytes become words, and each sum is two halves until it is stored.
struct Bytes {
    typedef uint8_t Code;
    typedef int8_t Weight;
    typedef int32_t Sum;
    static const int TAPS = 4;
    static const int TILE = 3;
    typedef __m256i Codes;
    struct Sums {
        __m256i part[4];
    };
    CS_INLINE void clear(Sums& sums) {
        CS_UNROLL
        for (int i = 0; i < 4; ++i) sums.part[i] = _mm256_setzero_si256();
    }
    CS_INLINE void splat(Codes& codes, const Code* x) {
        codes = _mm256_cvtepu8_epi16(_mm_set1_epi32(group_at(x)));
    }
    template <int PIXELS> CS_INLINE void add(Sums* sums, const Codes* codes, const Weight* w) {
        CS_UNROLL
        for (int i = 0; i < 4; ++i) {
            const __m256i weights = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w) + i));
            CS_UNROLL
            for (int p = 0; p < PIXELS; ++p)
                sums[p].part[i] = _mm256_add_epi32(sums[p].part[i], _mm256_madd_epi16(codes[p], weights));
        }
    }
    CS_INLINE void store(const Sums& sums, Sum* y) {
        CS_UNROLL
        for (int i = 0; i < 2; ++i) {
            const __m256i mixed = _mm256_hadd_epi32(sums.part[2 * i], sums.part[2 * i + 1]);
            const __m256i ordered = _mm256_permute4x64_epi64(mixed, 0xd8);  // 0 2 1 3
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(y) + i, ordered);
        }
    }
};

#elif defined(CS_NEON)
struct Bytes : Vectors128<4> {
    typedef uint8_t Code;
    typedef int8_t Weight;
    typedef int32_t Sum;
    static const int TAPS = 4;
    template <int PIXELS> CS_INLINE void add(Sums* sums, const Codes* codes, const Weight* w) {
        CS_UNROLL
        for (int i = 0; i < 2; ++i) {
            const int8x8x4_t bytes = vld4_s8(w + 32 * i);
            CS_UNROLL
            for (int tap = 0; tap < TAPS; ++tap) {
                const int16x8_t weights = vmovl_s8(bytes.val[tap]);
                CS_UNROLL
                for (int p = 0; p < PIXELS; ++p) {
                    int32x4_t* part = sums[p].part + 2 * i;
                    part[0] = vmlal_n_s16(part[0], vget_low_s16(weights), codes[p][tap]);
                    part[1] = vmlal_n_s16(part[1], vget_high_s16(weights), codes[p][tap]);
                }
            }
        }
    }
};

#else
struct Bytes : Plain<uint8_t, int8_t, int32_t, 4> {};
#endif

}  // namespace cs
#endif
