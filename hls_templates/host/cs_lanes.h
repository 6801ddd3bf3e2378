// Sums of products, 16 outputs at a time: the inner loops of every layer with weights, on what the machine has.
//
// A lane is one output's accumulator. A group is TAPS neighbouring input codes, which every lane multiplies with TAPS
// weights of its own and adds up: one instruction on many machines. Weights lie as [output / 16][group][16][TAPS], zeros
// where outputs or inputs end early, so the last group may read codes past a window's end: they count nothing.
// A unit below says how; all units of one kind give the same sums, because integers are exact and no sum overflows.
#ifndef CS_LANES_H
#define CS_LANES_H
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#define CS_VNNI 1
#endif
#if defined(__clang__)
#define CS_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__) && __GNUC__ >= 8
#define CS_UNROLL _Pragma("GCC unroll 32")
#else
#define CS_UNROLL
#endif

namespace cs {

const int LANES = 16;

// Unsigned codes of at most 8 bits, weights of at most 8, sums in 32.
struct Bytes {
    typedef uint8_t Code;
    typedef int8_t Weight;
    typedef int32_t Sum;
    static const int TAPS = 4;

#if defined(CS_VNNI)
    static const int TILE = 24;  // pixels x vectors of 16 sums that fit into the registers
    typedef __m512i Codes;
    typedef __m512i Sums;
    static inline void clear(Sums& sums) { sums = _mm512_setzero_si512(); }
    static inline void splat(Codes& codes, const Code* x) {
        int32_t group;
        memcpy(&group, x, sizeof group);
        codes = _mm512_set1_epi32(group);
    }
    template <int PIXELS> static inline void add(Sums* sums, const Codes* codes, const Weight* w) {
        const __m512i weights = _mm512_loadu_si512(w);
        CS_UNROLL
        for (int p = 0; p < PIXELS; ++p) sums[p] = _mm512_dpbusd_epi32(sums[p], codes[p], weights);
    }
    static inline void store(const Sums& sums, Sum* y) { _mm512_storeu_si512(y, sums); }
#elif defined(__AVX2__)
    // Without a product of bytes that cannot saturate, bytes become words; a lane's sum is held in two halves.
    static const int TILE = 3;
    typedef __m256i Codes;
    struct Sums { __m256i part[4]; };
    static inline void clear(Sums& sums) {
        for (int i = 0; i < 4; ++i) sums.part[i] = _mm256_setzero_si256();
    }
    static inline void splat(Codes& codes, const Code* x) {
        int32_t group;
        memcpy(&group, x, sizeof group);
        codes = _mm256_cvtepu8_epi16(_mm_set1_epi32(group));
    }
    template <int PIXELS> static inline void add(Sums* sums, const Codes* codes, const Weight* w) {
        CS_UNROLL
        for (int i = 0; i < 4; ++i) {
            const __m256i weights = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w) + i));
            CS_UNROLL
            for (int p = 0; p < PIXELS; ++p)
                sums[p].part[i] = _mm256_add_epi32(sums[p].part[i], _mm256_madd_epi16(codes[p], weights));
        }
    }
    static inline void store(const Sums& sums, Sum* y) {
        for (int i = 0; i < 2; ++i) {
            const __m256i pairs = _mm256_hadd_epi32(sums.part[2 * i], sums.part[2 * i + 1]);
            const __m256i ordered = _mm256_permute4x64_epi64(pairs, _MM_SHUFFLE(3, 1, 2, 0));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(y) + i, ordered);
        }
    }
#elif defined(__ARM_NEON)
    static const int TILE = 2;
    typedef int16_t Codes[TAPS];
    struct Sums { int32x4_t part[4]; };
    static inline void clear(Sums& sums) {
        for (int i = 0; i < 4; ++i) sums.part[i] = vdupq_n_s32(0);
    }
    static inline void splat(Codes& codes, const Code* x) {
        for (int tap = 0; tap < TAPS; ++tap) codes[tap] = x[tap];
    }
    template <int PIXELS> static inline void add(Sums* sums, const Codes* codes, const Weight* w) {
        for (int half = 0; half < 2; ++half) {
            const int8x8x4_t bytes = vld4_s8(w + 32 * half);
            for (int tap = 0; tap < TAPS; ++tap) {
                const int16x8_t weights = vmovl_s8(bytes.val[tap]);
                for (int p = 0; p < PIXELS; ++p) {
                    int32x4_t* part = sums[p].part + 2 * half;
                    part[0] = vmlal_n_s16(part[0], vget_low_s16(weights), codes[p][tap]);
                    part[1] = vmlal_n_s16(part[1], vget_high_s16(weights), codes[p][tap]);
                }
            }
        }
    }
    static inline void store(const Sums& sums, Sum* y) {
        for (int i = 0; i < 4; ++i) vst1q_s32(y + 4 * i, sums.part[i]);
    }
#else
    static const int TILE = 1;
    typedef int32_t Codes[TAPS];
    struct Sums { int32_t lane[LANES]; };
    static inline void clear(Sums& sums) { memset(&sums, 0, sizeof sums); }
    static inline void splat(Codes& codes, const Code* x) {
        for (int tap = 0; tap < TAPS; ++tap) codes[tap] = x[tap];
    }
    template <int PIXELS> static inline void add(Sums* sums, const Codes* codes, const Weight* w) {
        for (int lane = 0; lane < LANES; ++lane)
            for (int p = 0; p < PIXELS; ++p)
                sums[p].lane[lane] += codes[p][0] * w[4 * lane] + codes[p][1] * w[4 * lane + 1] +
                                      codes[p][2] * w[4 * lane + 2] + codes[p][3] * w[4 * lane + 3];
    }
    static inline void store(const Sums& sums, Sum* y) { memcpy(y, sums.lane, sizeof sums); }
#endif
};

// Codes and weights that fit into 16 signed bits, sums in 32.
struct Words {
    typedef int16_t Code;
    typedef int16_t Weight;
    typedef int32_t Sum;
    static const int TAPS = 2;

#if defined(CS_VNNI)
    static const int TILE = 24;
    typedef __m512i Codes;
    typedef __m512i Sums;
    static inline void clear(Sums& sums) { sums = _mm512_setzero_si512(); }
    static inline void splat(Codes& codes, const Code* x) {
        int32_t group;
        memcpy(&group, x, sizeof group);
        codes = _mm512_set1_epi32(group);
    }
    template <int PIXELS> static inline void add(Sums* sums, const Codes* codes, const Weight* w) {
        const __m512i weights = _mm512_loadu_si512(w);
        CS_UNROLL
        for (int p = 0; p < PIXELS; ++p) sums[p] = _mm512_dpwssd_epi32(sums[p], codes[p], weights);
    }
    static inline void store(const Sums& sums, Sum* y) { _mm512_storeu_si512(y, sums); }
#elif defined(__AVX2__)
    static const int TILE = 6;
    typedef __m256i Codes;
    struct Sums { __m256i part[2]; };
    static inline void clear(Sums& sums) { sums.part[0] = sums.part[1] = _mm256_setzero_si256(); }
    static inline void splat(Codes& codes, const Code* x) {
        int32_t group;
        memcpy(&group, x, sizeof group);
        codes = _mm256_set1_epi32(group);
    }
    template <int PIXELS> static inline void add(Sums* sums, const Codes* codes, const Weight* w) {
        CS_UNROLL
        for (int i = 0; i < 2; ++i) {
            const __m256i weights = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w) + i);
            CS_UNROLL
            for (int p = 0; p < PIXELS; ++p)
                sums[p].part[i] = _mm256_add_epi32(sums[p].part[i], _mm256_madd_epi16(codes[p], weights));
        }
    }
    static inline void store(const Sums& sums, Sum* y) {
        for (int i = 0; i < 2; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(y) + i, sums.part[i]);
    }
#elif defined(__ARM_NEON)
    static const int TILE = 2;
    typedef int16_t Codes[TAPS];
    struct Sums { int32x4_t part[4]; };
    static inline void clear(Sums& sums) {
        for (int i = 0; i < 4; ++i) sums.part[i] = vdupq_n_s32(0);
    }
    static inline void splat(Codes& codes, const Code* x) { memcpy(codes, x, sizeof(Codes)); }
    template <int PIXELS> static inline void add(Sums* sums, const Codes* codes, const Weight* w) {
        for (int i = 0; i < 4; ++i) {
            const int16x4x2_t weights = vld2_s16(w + 8 * i);
            for (int tap = 0; tap < TAPS; ++tap)
                for (int p = 0; p < PIXELS; ++p)
                    sums[p].part[i] = vmlal_n_s16(sums[p].part[i], weights.val[tap], codes[p][tap]);
        }
    }
    static inline void store(const Sums& sums, Sum* y) {
        for (int i = 0; i < 4; ++i) vst1q_s32(y + 4 * i, sums.part[i]);
    }
#else
    static const int TILE = 1;
    typedef int32_t Codes[TAPS];
    struct Sums { int32_t lane[LANES]; };
    static inline void clear(Sums& sums) { memset(&sums, 0, sizeof sums); }
    static inline void splat(Codes& codes, const Code* x) {
        for (int tap = 0; tap < TAPS; ++tap) codes[tap] = x[tap];
    }
    template <int PIXELS> static inline void add(Sums* sums, const Codes* codes, const Weight* w) {
        for (int lane = 0; lane < LANES; ++lane)
            for (int p = 0; p < PIXELS; ++p)
                sums[p].lane[lane] += codes[p][0] * w[2 * lane] + codes[p][1] * w[2 * lane + 1];
    }
    static inline void store(const Sums& sums, Sum* y) { memcpy(y, sums.lane, sizeof sums); }
#endif
};

// Anything else: codes of any type, sums in 64 bits. Rare, so plain.
template <class CODE, class WEIGHT> struct Longs {
    typedef CODE Code;
    typedef WEIGHT Weight;
    typedef int64_t Sum;
    static const int TAPS = 1;
    static const int TILE = 1;
    typedef int64_t Codes;
    struct Sums { int64_t lane[LANES]; };
    static inline void clear(Sums& sums) { memset(&sums, 0, sizeof sums); }
    static inline void splat(Codes& codes, const Code* x) { codes = *x; }
    template <int PIXELS> static inline void add(Sums* sums, const Codes* codes, const Weight* w) {
        for (int lane = 0; lane < LANES; ++lane)
            for (int p = 0; p < PIXELS; ++p) sums[p].lane[lane] += codes[p] * w[lane];
    }
    static inline void store(const Sums& sums, Sum* y) { memcpy(y, sums.lane, sizeof sums); }
};

}  // namespace cs
#endif
