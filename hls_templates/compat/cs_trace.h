// Hands the beats of selected channels to the harness, as integers: C simulation only.
#ifndef CS_TRACE_H
#define CS_TRACE_H

#include <cstddef>

namespace cs {

struct trace_sink {
    long long* codes;  // next free place
    long long* end;
    long long overflow;  // codes that came after the place was full
};

trace_sink* trace_open(const char* name);  // null when the harness does not want this channel

template <class T, int W, int N>
struct beat_value;

// Beats other than a pack of codes (bus words of a port) are not traced.
template <class T>
inline void trace_beat(trace_sink*, const T&) {}

template <class T, int W, int N>
inline void trace_beat(trace_sink* sink, const beat_value<T, W, N>& beat) {
    for (int i = 0; i < N; ++i) {
        if (sink->codes == sink->end)
            ++sink->overflow;
        else
            *sink->codes++ = static_cast<long long>(beat.v[i]);
    }
}

}  // namespace cs

#endif
