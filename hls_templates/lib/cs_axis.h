// Bus words of the AXI4-Stream ports, byte by byte little end first, for both type systems.
#ifndef CS_AXIS_H
#define CS_AXIS_H

#include "cs_types.h"

namespace cs {

#ifdef CS_NATIVE

// The same fields as ap_axiu, as far as the design uses them.
template <int BITS>
struct axis {
    struct type {
        unsigned char data[BITS / 8];
        bool last;
    };
};

template <class WORD>
inline void axis_clear(WORD& word) {
    for (unsigned i = 0; i < sizeof(word.data); ++i) word.data[i] = 0;
    word.last = false;
}

// BITS of the word from bit `low` up (whole bytes), as an unsigned number.
template <int BITS, class WORD>
inline unsigned long long axis_get_at(const WORD& word, int low) {
    unsigned long long value = 0;
    for (int i = 0; i < BITS / 8; ++i) value |= static_cast<unsigned long long>(word.data[low / 8 + i]) << (8 * i);
    return value;
}

// A code of the word, sign-extended from its container where its type is signed.
template <class CODE, int CONTAINER, int SIGNED, class WORD>
inline CODE axis_code(const WORD& word, int low) {
    const unsigned long long bits = axis_get_at<CONTAINER>(word, low);
    return SIGNED ? static_cast<CODE>(static_cast<long long>(bits << (64 - CONTAINER)) >> (64 - CONTAINER)) : static_cast<CODE>(bits);
}

template <int BITS, class WORD>
inline void axis_set_at(WORD& word, int low, unsigned long long value) {
    for (int i = 0; i < BITS / 8; ++i) word.data[low / 8 + i] = static_cast<unsigned char>(value >> (8 * i));
}

#else

template <int BITS>
struct axis {
    typedef ap_axiu<BITS, 1, 1, 1> type;
};

template <class WORD>
inline void axis_clear(WORD& word) {
#pragma HLS INLINE
    word.data = 0;
    word.keep = -1;
    word.strb = -1;
    word.user = 0;
    word.last = 0;
    word.id = 0;
    word.dest = 0;
}

template <int BITS, class WORD>
inline ap_uint<BITS> axis_get_at(const WORD& word, int low) {
#pragma HLS INLINE
    return word.data.range(low + BITS - 1, low);
}

// A code of the word: its low bits, whatever the container was filled up with.
template <class CODE, int CONTAINER, int SIGNED, class WORD>
inline CODE axis_code(const WORD& word, int low) {
#pragma HLS INLINE
    return CODE(axis_get_at<CONTAINER>(word, low));
}

template <int BITS, class WORD>
inline void axis_set_at(WORD& word, int low, ap_uint<BITS> value) {
#pragma HLS INLINE
    word.data.range(low + BITS - 1, low) = value;
}

#endif

}  // namespace cs

#endif
