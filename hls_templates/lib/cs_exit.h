// Exit unit: one decision word a frame from its logits. No divider, no multiplier, no floating point.
//
// A frame passes twice: Read finds the largest logit, Lookup adds up exp(-d) and d exp(-d) from one ROM, d being the
// exact distance to the largest. Refine then runs a logarithm (shift and add) and a quotient (shift and subtract) side
// by side, one bit of each per step. Tables and steps are rounded so that the entropy code is never below the true
// entropy. Sums are exact: their types hold the worst case. Mathematics and proofs: docs/exit_unit.md.
#ifndef CS_EXIT_H
#define CS_EXIT_H

#include "cs_types.h"

namespace cs {

typedef uint<48>::type decision_t;

// Confidence code 31..0, saturating; class 46..32; exited 47.
template <class C>
decision_t exit_word(decision_t code, typename C::best_t best, bool exited) {
#pragma HLS INLINE
    decision_t word = decision_t(best) << 32 | code;
    if (exited) word |= decision_t(1) << 47;
    return word;
}

inline decision_t exit_saturate(decision_t code) {
#pragma HLS INLINE
    return (code >> 32) != 0 ? decision_t(0xFFFFFFFFu) : code;
}

template <class C>
void exit_write(hls::stream<typename C::Y::type>& y, decision_t word) {
#pragma HLS INLINE
    typename C::Y::type out;
    C::Y::set(out, 0, word);
    y.write(out);
}

// Keeps one frame's logits; `best` is the smallest index of the largest one.
template <class C>
void exit_read(hls::stream<typename C::X::type>& x, typename C::x_t (&held)[C::CLASSES], typename C::x_t& top,
               typename C::best_t& best) {
#pragma HLS INLINE
Read:
    for (int c = 0; c < C::CLASSES; ++c) {
#pragma HLS PIPELINE II=1
        const typename C::x_t logit = C::X::get(x.read(), 0);
        held[c] = logit;
        if (c == 0 || logit > top) {
            top = logit;
            best = c;
        }
    }
}

// Adds both tables over all classes. The largest logit has d = 0, whose entry is exactly 1 and 0. Distances beyond the
// table share its last entry, which is on the safe side for all of them.
template <class C>
void exit_lookup(const typename C::x_t (&held)[C::CLASSES], typename C::x_t top,
                 const typename C::word_t (&rom)[C::ENTRIES], typename C::sum_t& sum, typename C::part_t& weighted) {
#pragma HLS INLINE
    const typename C::word_t mask = (typename C::word_t(1) << int(C::WEIGHTED_BITS)) - 1;
    sum = 0;
    weighted = 0;
Lookup:
    for (int c = 0; c < C::CLASSES; ++c) {
#pragma HLS PIPELINE II=1
        const typename C::distance_t distance = typename C::distance_t(top) - typename C::distance_t(held[c]);
        const bool beyond = distance > C::ENTRIES - 1;
        const typename C::distance_t nearer = beyond ? typename C::distance_t(C::ENTRIES - 1) : distance;
        const typename C::address_t address = typename C::address_t(nearer);
        const typename C::word_t word = rom[address];
        sum += typename C::sum_t(word >> int(C::WEIGHTED_BITS));
        weighted += typename C::part_t(word & mask);
    }
}

// An upper bound of ln S + U / S. `grown` starts at the power of two below S and is multiplied by 1 + 2^-k as long as
// it stays at or below S: the logarithms of the factors taken, and the tail, bound ln S. The quotient is rounded up.
template <class C>
typename C::code_t exit_entropy_code(typename C::sum_t sum, typename C::part_t weighted,
                                     const typename C::ln_t (&ln_power)[C::POWERS],
                                     const typename C::ln_t (&ln_step)[C::STEPS]) {
#pragma HLS INLINE
    typename C::grown_t grown = typename C::grown_t(1) << int(C::FRACTION_BITS + C::LOG_GUARD_BITS);
    typename C::ln_t ln = ln_power[0];
Power:
    for (int e = 1; e < C::POWERS; ++e) {
#pragma HLS UNROLL
        if ((sum >> int(C::FRACTION_BITS + e)) != 0) {
            grown = typename C::grown_t(1) << int(C::FRACTION_BITS + C::LOG_GUARD_BITS + e);
            ln = ln_power[e];
        }
    }
    typename C::grown_t rest = (typename C::grown_t(sum) << int(C::LOG_GUARD_BITS)) - grown;
    const typename C::part_t divisor = typename C::part_t(sum) << int(C::STEPS - C::FRACTION_BITS);
    typename C::part_t part = weighted;
    typename C::code_t quotient = 0;

    // One bit of the logarithm and one of the quotient per step.
Refine:
    for (int k = 1; k <= C::STEPS; ++k) {
#pragma HLS PIPELINE II=1
        const typename C::grown_t step = grown >> k;
        if (step <= rest) {
            grown += step;
            rest -= step;
            ln += ln_step[k - 1];
        }
        const typename C::part_t twice = part << 1;
        const bool fits = twice >= divisor;
        part = fits ? typename C::part_t(twice - divisor) : twice;
        quotient = typename C::code_t(quotient << 1) | typename C::code_t(fits ? 1 : 0);
    }
    if (part != 0) quotient += 1;
    return typename C::code_t(quotient + typename C::code_t(ln >> int(C::LOG_GUARD_BITS)));
}

// Exit where the entropy is below the threshold.
template <class C>
void exit_entropy(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y,
                  typename C::x_t (&held)[C::CLASSES], const typename C::word_t (&rom)[C::ENTRIES],
                  const typename C::ln_t (&ln_power)[C::POWERS], const typename C::ln_t (&ln_step)[C::STEPS],
                  unsigned threshold, unsigned frames) {
#pragma HLS INLINE
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
        typename C::x_t top = 0;
        typename C::best_t best = 0;
        typename C::sum_t sum;
        typename C::part_t weighted;
        exit_read<C>(x, held, top, best);
        exit_lookup<C>(held, top, rom, sum, weighted);
        const decision_t code = exit_entropy_code<C>(sum, weighted, ln_power, ln_step);
        exit_write<C>(y, exit_word<C>(code, best, code < threshold));
    }
}

// Exit where the largest probability is above the threshold: its odds against, S - 1, are below 1 / C - 1.
template <class C>
void exit_max_probability(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y,
                          typename C::x_t (&held)[C::CLASSES], const typename C::word_t (&rom)[C::ENTRIES],
                          unsigned threshold, unsigned frames) {
#pragma HLS INLINE
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
        typename C::x_t top = 0;
        typename C::best_t best = 0;
        typename C::sum_t sum;
        typename C::part_t weighted;
        exit_read<C>(x, held, top, best);
        exit_lookup<C>(held, top, rom, sum, weighted);
        const decision_t odds = decision_t(sum) - (decision_t(1) << int(C::FRACTION_BITS));
        const decision_t code = exit_saturate(odds);
        exit_write<C>(y, exit_word<C>(code, best, code < threshold));
    }
}

// Exit where the largest logit leads the second by more than the threshold: exact, one pass.
template <class C>
void exit_margin(hls::stream<typename C::X::type>& x, hls::stream<typename C::Y::type>& y, unsigned threshold,
                 unsigned frames) {
#pragma HLS INLINE
Frame:
    for (unsigned frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1
        typename C::x_t top = 0, second = 0;
        typename C::best_t best = 0;
    Read:
        for (int c = 0; c < C::CLASSES; ++c) {
#pragma HLS PIPELINE II=1
            const typename C::x_t logit = C::X::get(x.read(), 0);
            const bool leads = c == 0 || logit > top;
            if (leads) {
                second = top;
                top = logit;
                best = c;
            } else if (c == 1 || logit > second) {
                second = logit;
            }
        }
        const decision_t code = decision_t(typename C::distance_t(top) - typename C::distance_t(second));
        exit_write<C>(y, exit_word<C>(code, best, code > threshold));
    }
}

}  // namespace cs

#endif
