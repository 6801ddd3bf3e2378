// Bounded channels and a thread of its own for every process, so that a deadlock shows in C simulation (C++11, POSIX).
//
// The threads take turns on one core: a process runs until it must wait for a channel, then the next one that can go on
// does. Every process waits on one thing at a time, an empty input or a full output, so whether a design gets through does
// not depend on the order of turns, and "nobody can go on" is an exact test: no false alarm, no hang, the same run each time.
#ifndef CS_THREADS_H
#define CS_THREADS_H

#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>

// One row per channel; the generator writes the table beside the STREAM pragmas, from the same plan.
struct cs_depth_row {
    const char* name;
    unsigned depth;
};
extern const cs_depth_row cs_depth_table[];

namespace cs {

enum wait_kind { WAITS_FULL, WAITS_EMPTY };
enum { STATUS_MISUSE = 3, STATUS_DEADLOCK = 4, STATUS_SYSTEM = 5 };

class channel_watch;

struct process {
    const char* call;  // the text of its call
    std::function<void()> body;
    ucontext_t context;
    void* stack;
    const channel_watch* waits_for;  // null while it can go on
    wait_kind kind;
    bool ended;
};

// Who runs, and who can go on.
struct turns {
    process* running;
    std::deque<process*> ready;
    ucontext_t program;
};

inline turns& the_turns() {
    static turns t;
    return t;
}

// Gives the turn to the next process that can go on, or back to the program when there is none.
inline void pass_turn() {
    turns& t = the_turns();
    process* from = t.running;
    ucontext_t* to = &t.program;
    t.running = 0;
    if (!t.ready.empty()) {
        t.running = t.ready.front();
        t.ready.pop_front();
        to = &t.running->context;
    }
    if (swapcontext(from ? &from->context : &t.program, to) != 0) {
        std::perror("error: swapcontext");
        std::_Exit(STATUS_SYSTEM);
    }
}

// The bound of one channel and the process that waits for it. Channels that the table does not name are ports: never full.
class channel_watch {
  public:
    explicit channel_watch(const char* name) : name_(name), depth_(static_cast<std::size_t>(-1)), waiter_(0) {
        for (const cs_depth_row* row = cs_depth_table; row->name; ++row)
            if (!std::strcmp(row->name, name)) depth_ = row->depth;
    }

    const char* name() const { return name_; }
    std::size_t depth() const { return depth_; }

    void wait(wait_kind kind) {
        turns& t = the_turns();
        if (!t.running || waiter_) {
            std::fprintf(stderr, "error: channel '%s' %s\n", name_, waiter_ ? "has more than one reader or writer" : "is read while it is empty");
            std::_Exit(STATUS_MISUSE);
        }
        waiter_ = t.running;
        waiter_->waits_for = this;
        waiter_->kind = kind;
        pass_turn();
    }

    // A beat came or went: whoever waits here can go on.
    void moved() {
        if (!waiter_) return;
        waiter_->waits_for = 0;
        the_turns().ready.push_back(waiter_);
        waiter_ = 0;
    }

  private:
    const char* name_;
    std::size_t depth_;
    process* waiter_;
};

// The processes of one DATAFLOW region: all of them run to their end where the region ends.
class region {
  public:
    void start(const char* call, const std::function<void()>& body) {
        process p = process();
        p.call = call;
        p.body = body;
        processes_.push_back(p);
    }

    ~region() {
        turns& t = the_turns();
        for (std::size_t i = 0; i < processes_.size(); ++i) open(processes_[i]);
        while (!t.ready.empty()) pass_turn();
        for (std::size_t i = 0; i < processes_.size(); ++i)
            if (!processes_[i].ended) report();
        for (std::size_t i = 0; i < processes_.size(); ++i) munmap(processes_[i].stack, STACK_BYTES);
    }

  private:
    enum { STACK_BYTES = 8 << 20, GUARD_BYTES = 1 << 16 };  // pages are only taken when they are touched

    static void open(process& p) {
        p.stack = mmap(0, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p.stack == MAP_FAILED || mprotect(p.stack, GUARD_BYTES, PROT_NONE) != 0 || getcontext(&p.context) != 0) {
            std::perror("error: no stack for a process");
            std::_Exit(STATUS_SYSTEM);
        }
        p.context.uc_stack.ss_sp = p.stack;
        p.context.uc_stack.ss_size = STACK_BYTES;
        p.context.uc_link = 0;
        makecontext(&p.context, run, 0);
        the_turns().ready.push_back(&p);
    }

    static void run() {
        the_turns().running->body();
        the_turns().running->ended = true;
        pass_turn();
    }

    // Who waits where. A process that ended can no longer help the others, so they are in deadlock too.
    void report() const {
        std::fprintf(stderr, "error: deadlock; no process can go on:\n");
        for (std::size_t i = 0; i < processes_.size(); ++i) {
            const process& p = processes_[i];
            if (p.ended) continue;
            const bool port = p.waits_for->depth() == static_cast<std::size_t>(-1);
            std::fprintf(stderr, "  %.*s waits: ", static_cast<int>(std::strcspn(p.call, "(")), p.call);
            if (port)
                std::fprintf(stderr, "port '%s' is %s\n", p.waits_for->name(), p.kind == WAITS_FULL ? "full" : "empty");
            else
                std::fprintf(stderr, "channel '%s' (depth %lu) is %s\n", p.waits_for->name(), static_cast<unsigned long>(p.waits_for->depth()),
                             p.kind == WAITS_FULL ? "full" : "empty");
        }
        std::fflush(stderr);
        std::_Exit(STATUS_DEADLOCK);
    }

    std::deque<process> processes_;  // a deque: contexts must not move
};

}  // namespace cs

#endif
