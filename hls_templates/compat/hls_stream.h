// hls::stream for C simulation without a vendor tool: same calls, checked, traceable, and bounded when threads run it.
//
//   CS_TRACE    every beat of a channel that the harness selected is handed to it
//   CS_THREADS  (C++11) each process runs in a thread of its own and a channel holds at most its planned depth,
//               so a deadlock shows here, as the names of the channels that are full or empty
#ifndef CS_COMPAT_HLS_STREAM_H
#define CS_COMPAT_HLS_STREAM_H

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#ifdef CS_TRACE
#include "cs_trace.h"
#endif
#ifdef CS_THREADS
#include "cs_threads.h"
#endif

namespace hls {

// Arrays of closed channels. A design opens its channels anew in every call, and memory that is new to a process is slow.
template <class T>
class spares {
  public:
    spares() : count_(0) {}
    ~spares() {
        while (count_) delete[] beats_[--count_];
    }
    void take(T*& beats, std::size_t& room) {
        if (!count_) return;
        --count_;
        beats = beats_[count_];
        room = room_[count_];
    }
    void give(T* beats, std::size_t room) {
        if (!beats || count_ == MOST) {
            delete[] beats;
            return;
        }
        beats_[count_] = beats;
        room_[count_++] = room;
    }

  private:
    enum { MOST = 16 };
    T* beats_[MOST];
    std::size_t room_[MOST];
    int count_;
};

// A growing queue: read beats are given back to the front once the queue has run empty.
template <class T>
class stream {
  public:
    explicit stream(const char* name = "stream")
        : name_(name),
          beats_(0),
          room_(0),
          head_(0),
          tail_(0)
#ifdef CS_TRACE
          ,
          trace_(cs::trace_open(name))
#endif
#ifdef CS_THREADS
          ,
          watch_(name)
#endif
    {
        memory().take(beats_, room_);
    }
    ~stream() { memory().give(beats_, room_); }

    bool empty() const { return head_ == tail_; }
    std::size_t size() const { return tail_ - head_; }
    const char* name() const { return name_; }

    void write(const T& beat) {
#ifdef CS_TRACE
        if (trace_) cs::trace_beat(trace_, beat);
#endif
#ifdef CS_THREADS
        while (full()) watch_.wait(cs::WAITS_FULL);
#endif
        if (tail_ == room_) make_room();
        beats_[tail_++] = beat;
#ifdef CS_THREADS
        watch_.moved();
#endif
    }

    T read() {
#ifdef CS_THREADS
        while (empty()) watch_.wait(cs::WAITS_EMPTY);
#else
        if (empty()) {
            std::fprintf(stderr, "error: read from the empty channel '%s'\n", name_);
            std::exit(3);
        }
#endif
        const std::size_t at = head_++;
        if (head_ == tail_) head_ = tail_ = 0;
#ifdef CS_THREADS
        watch_.moved();
#endif
        return beats_[at];
    }

#ifdef CS_THREADS
    bool full() const { return size() >= watch_.depth(); }
#else
    bool full() const { return false; }
#endif

    void read(T& beat) { beat = read(); }
    bool read_nb(T& beat) {
        if (empty()) return false;
        beat = read();
        return true;
    }
    bool write_nb(const T& beat) {
        if (full()) return false;
        write(beat);
        return true;
    }
    void operator<<(const T& beat) { write(beat); }
    void operator>>(T& beat) { beat = read(); }

  private:
    stream(const stream&);
    stream& operator=(const stream&);

    // Moves the waiting beats to the front, into a larger array when they fill more than half of this one.
    void make_room() {
        const std::size_t room = 2 * size() < room_ ? room_ : room_ ? 2 * room_ : 1024;
        T* beats = room == room_ ? beats_ : new T[room];
        for (std::size_t i = head_; i < tail_; ++i) beats[i - head_] = beats_[i];
        if (beats != beats_) delete[] beats_;
        beats_ = beats;
        tail_ -= head_;
        head_ = 0;
        room_ = room;
    }

    static spares<T>& memory() {
        static spares<T> kept;
        return kept;
    }

    const char* name_;
    T* beats_;
    std::size_t room_, head_, tail_;
#ifdef CS_TRACE
    cs::trace_sink* trace_;
#endif
#ifdef CS_THREADS
    cs::channel_watch watch_;
#endif
};

}  // namespace hls

#endif
