// Sums of products, 16 outputs at a time: the inner loop of every layer with weights, on what the machine has.
//
// A lane is one output's accumulator. A group is TAPS neighbouring input codes, which every lane multiplies with TAPS
// weights of its own and adds up: one instruction on many machines. Weights lie as [output / 16][group][16][TAPS], zeros
// where outputs or inputs end early, so the last group may read codes past a window's end: they count nothing.
//
// A unit is Bytes, Words or Longs. splat() takes a group of one pixel, add() multiplies the groups of several pixels with
// 16 x TAPS weights, store() writes 16 sums. TILE is how many vectors of 16 sums stay in registers. Every unit on every
// machine gives the same sums: integers are exact, and the emitter proves that no sum leaves its type.
#ifndef CS_LANES_H
#define CS_LANES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#define CS_AVX512
#include <immintrin.h>
#elif defined(__AVX2__)
#define CS_AVX2
#include <immintrin.h>
#elif defined(__ARM_NEON)
#define CS_NEON
#include <arm_neon.h>
#endif

// Loops over sums are unrolled and what is called in them is inlined, else the sums would live in memory.
#if defined(__clang__)
#define CS_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__) && __GNUC__ >= 8
#define CS_UNROLL _Pragma("GCC unroll 32")
#else
#define CS_UNROLL
#endif
// Some loops over channels are not unrolled: then they are vectorized.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8
#define CS_ROLLED _Pragma("GCC unroll 1")
#else
#define CS_ROLLED
#endif
#if defined(__GNUC__)
#define CS_INLINE static inline __attribute__((always_inline))
#else
#define CS_INLINE static inline
#endif
// A layer is one function, and its callers know nothing of what it does: g++ 12.2 otherwise can believe of a loop that
// it writes nothing, and drop the call (its bug 110702).
#if defined(__clang__)
#define CS_LAYER static __attribute__((noinline))
#elif defined(__GNUC__) && __GNUC__ >= 8
#define CS_LAYER static __attribute__((noipa))
#else
#define CS_LAYER static
#endif

namespace cs {

const int LANES = 16;

#if defined(CS_AVX512) || defined(CS_AVX2)
// Four bytes or two words from any address.
static inline int32_t group_at(const void* x) {
    int32_t group;
    memcpy(&group, x, sizeof group);
    return group;
}
#endif

#if defined(CS_AVX512)
// Adds to a sum in place. With the intrinsic, g++ copies every sum before every product, and stays at half the speed.
#define CS_ADD_IN_PLACE(instruction, sum, codes, weights) \
    __asm__(instruction " %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(weights))

struct Vector512 {
    static const int TILE = 24;
    typedef __m512i Codes;
    typedef __m512i Sums;
    CS_INLINE void clear(Sums& sums) { sums = _mm512_setzero_si512(); }
    CS_INLINE void splat(Codes& codes, const void* x) { codes = _mm512_set1_epi32(group_at(x)); }
    CS_INLINE void store(const Sums& sums, int32_t* y) { _mm512_storeu_si512(y, sums); }
};
#elif defined(CS_AVX2)
struct Vectors256 {
    static const int TILE = 6;
    typedef __m256i Codes;
    struct Sums {
        __m256i part[2];
    };
    CS_INLINE void clear(Sums& sums) { sums.part[0] = sums.part[1] = _mm256_setzero_si256(); }
    CS_INLINE void splat(Codes& codes, const void* x) { codes = _mm256_set1_epi32(group_at(x)); }
    CS_INLINE void store(const Sums& sums, int32_t* y) {
        for (int i = 0; i < 2; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(y) + i, sums.part[i]);
    }
};
#elif defined(CS_NEON)
template <int TAPS> struct Vectors128 {
    static const int TILE = 2;
    typedef int16_t Codes[TAPS];
    struct Sums {
        int32x4_t part[4];
    };
    CS_INLINE void clear(Sums& sums) {
        for (int i = 0; i < 4; ++i) sums.part[i] = vdupq_n_s32(0);
    }
    template <class CODE> CS_INLINE void splat(Codes& codes, const CODE* x) {
        for (int tap = 0; tap < TAPS; ++tap) codes[tap] = x[tap];
    }
    CS_INLINE void store(const Sums& sums, int32_t* y) {
        for (int i = 0; i < 4; ++i) vst1q_s32(y + 4 * i, sums.part[i]);
    }
};
#endif

// What compilers make of plain loops; SUM holds every sum.
template <class CODE, class WEIGHT, class SUM, int TAPS_> struct Plain {
    typedef CODE Code;
    typedef WEIGHT Weight;
    typedef SUM Sum;
    static const int TAPS = TAPS_;
    static const int TILE = 1;
    typedef SUM Codes[TAPS];
    struct Sums {
        SUM lane[LANES];
    };
    CS_INLINE void clear(Sums& sums) { memset(&sums, 0, sizeof sums); }
    CS_INLINE void splat(Codes& codes, const CODE* x) {
        for (int tap = 0; tap < TAPS; ++tap) codes[tap] = x[tap];
    }
    template <int PIXELS> CS_INLINE void add(Sums* sums, const Codes* codes, const WEIGHT* w) {
        for (int p = 0; p < PIXELS; ++p)
            for (int lane = 0; lane < LANES; ++lane) {
                SUM sum = sums[p].lane[lane];
                CS_UNROLL
                for (int tap = 0; tap < TAPS; ++tap) sum += codes[p][tap] * w[lane * TAPS + tap];
                sums[p].lane[lane] = sum;
            }
    }
    CS_INLINE void store(const Sums& sums, SUM* y) { memcpy(y, sums.lane, sizeof sums); }
};

// Any codes and weights, sums in 64 bits: for the few layers whose sums need that.
template <class CODE, class WEIGHT> struct Longs : Plain<CODE, WEIGHT, int64_t, 1> {};

}  // namespace cs
#endif
