// The width register of a design with several widths: synthesis reads it live, C simulation may hand out one a frame.
#ifndef CS_LIVE_H
#define CS_LIVE_H

namespace cs {

#ifndef __SYNTHESIS__
// What stands in for the register while it is set: called once a frame, as the frame's first beat comes in.
typedef unsigned (*live_source)();
inline live_source& live_from() {
    static live_source source = 0;
    return source;
}
#endif

inline unsigned live(volatile unsigned* width) {
#pragma HLS INLINE
#ifdef __SYNTHESIS__
    return *width;
#else
    return live_from() ? live_from()() : *width;
#endif
}

}  // namespace cs

#endif
