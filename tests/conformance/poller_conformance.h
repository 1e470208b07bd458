// The Poller contract as a suite: every backend that speaks readiness passes the same named tests.
//
//      poller_subjects    a new backend is one line here
//      PollerTest         opens the subject's poller on a World, and waits for events with a bound
//
//      poller_registration_test.cc    add, remove, what cannot be watched, running out
//      poller_readiness_test.cc       arm, and what it promises of everything that can happen to a socket
//      poller_wake_test.cc            time-outs, wakes, interruptions
//      poll_test.cc                   the poller of poll(2) alone: its list
//
// What the contract leaves open is left open: an event may be spurious, may tell of a direction nobody armed,
// and one wait may tell a part of what has happened. So a test never expects silence, except after `remove`,
// and collects events until what it waits for is among them.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <ostream>
#include <vector>

#include "platform/epoll/epoll_poller.h"
#include "platform/iocp/afd_poller.h"
#include "platform/poll/poll_poller.h"
#include "platform/simulated/simulated_poller.h"
#include "tests/conformance/harness.h"

namespace pollard::conformance {

struct PollerSubject {
    const char* name;
    Result<Poller*> (*open)(World&);
    WorldOptions world = {};
    /// The door's call in which it waits, and in which it wakes; `none`: it does not pass the door.
    Call waits_by = Call::none;
    Call wakes_by = Call::none;
    /// What this kernel has and others lack.
    bool has_files = false;        // descriptors that are no sockets
    bool has_duplicates = false;   // dup(2)
    bool has_urgent_data = false;  // MSG_OOB
    bool watches_files = false;    // regular files are always ready, and not refused
    bool tells_the_end = true;     // as a hang-up or an error; else as readable: whoever reads finds it
};
inline void PrintTo(const PollerSubject& subject, std::ostream* out) { *out << subject.name; }

#ifdef __linux__
inline Result<Poller*> open_epoll(World& world) { return open_epoll_poller(world.failing); }
#endif
#ifndef _WIN32
inline Result<Poller*> open_poll(World& world) { return open_poll_poller(world.failing); }
/// As on a kernel without eventfd.
inline Result<Poller*> open_poll_with_pipe(World& world) {
    world.failing.fail(Call::eventfd, ENOSYS);
    return open_poll_poller(world.failing);
}
#endif
inline Result<Poller*> open_simulated(World& world) {
    return open_simulated_poller(*world.simulated(), world.failing);
}

#ifdef _WIN32
inline Result<Poller*> open_afd(World& world) { return open_afd_poller(world.failing); }
#endif

inline constexpr PollerSubject poller_subjects[] = {
#ifdef _WIN32
    {"afd", open_afd, {}, Call::iocp_wait, Call::iocp_post},
#endif
#ifdef __linux__
    {"epoll", open_epoll, {}, Call::epoll_wait, Call::write, true, true, true},
#endif
#ifndef _WIN32
    {"poll", open_poll, {}, Call::poll, Call::write, true, true, true, true},
    {"poll_with_pipe", open_poll_with_pipe, {}, Call::poll, Call::write, true, true, true, true},
#endif
    {"simulated", open_simulated, {.simulated = true}},
    {"simulated_far", open_simulated, {.simulated = true, .latency_ns = 3 * millisecond_ns}},
    {"simulated_moody",
     open_simulated,
     {.simulated = true,
      .faults = {.spurious_readiness = 300, .interrupted = 100, .out_of_order_events = 500}}},
};

/// Whom this executable tests: the list above, unless tests/porting/ brings another.
std::span<const PollerSubject> tested_pollers();

class PollerTest : public testing::TestWithParam<PollerSubject> {
protected:
    void SetUp() override {
        const Result<Poller*> opened = GetParam().open(world);
        ASSERT_TRUE(opened) << describe(opened.error()).c_str();
        poller = *opened;
    }
    void TearDown() override {
        if (poller != nullptr) poller->close();
        world.expect_nothing_left();
    }

    Token add(Handle handle, std::uint32_t generation = 1) { return add_to(*poller, {handle, generation}); }
    Token add_to(Poller& which, Token token) {
        const Result<void> added = which.add(token);
        EXPECT_TRUE(added) << describe(added.error()).c_str();
        return token;
    }
    void arm(Token token, Direction direction) {
        const Result<void> armed = poller->arm(token, direction);
        EXPECT_TRUE(armed) << describe(armed.error()).c_str();
    }
    void remove(Token token) {
        const Result<void> removed = poller->remove(token);
        EXPECT_TRUE(removed) << describe(removed.error()).c_str();
        told_.erase(token.handle);
    }

    /// One wait; what it tells is remembered for `told`. Gives the number of events.
    std::size_t wait(std::int64_t timeout_ns, std::size_t capacity = 16) {
        return wait_on(*poller, timeout_ns, capacity);
    }
    std::size_t wait_on(Poller& which, std::int64_t timeout_ns, std::size_t capacity = 16) {
        if (broken_) return 0;
        std::vector<PollerEvent> events(capacity);
        const Result<std::size_t> count = which.wait(events, timeout_ns);
        EXPECT_TRUE(count) << describe(count.error()).c_str();
        broken_ = !count;
        if (broken_) return 0;
        EXPECT_LE(*count, capacity);
        for (std::size_t index = 0; index < *count; ++index) {
            const PollerEvent& event = events[index];
            tokens_.push_back(event.token);
            EventBits& told = told_[event.token.handle];
            told = told | event.what;
        }
        return *count;
    }
    /// Waits until one of these bits has been told of the handle. False: patience is at its end, and that it is at
    /// once in a test that has failed already.
    bool told(Token token, EventBits any_of) {
        const std::int64_t deadline_ns = world.now_ns() + patience_ns;
        while (!was_told(token, any_of)) {
            const std::int64_t left_ns = deadline_ns - world.now_ns();
            if (left_ns <= 0 || HasFailure()) return false;
            wait(left_ns);
        }
        return true;
    }
    bool was_told(Token token, EventBits any_of) const {
        const auto found = told_.find(token.handle);
        return found != told_.end() && any(found->second, any_of);
    }
    bool was_told_anything(Token token) const { return told_.contains(token.handle); }
    /// What tells of an end, or of an error, to whoever waits for `otherwise`.
    EventBits the_end(EventBits otherwise = EventBits::readable) const {
        using enum EventBits;
        return GetParam().tells_the_end ? hang_up : otherwise;
    }
    EventBits a_failure(EventBits otherwise = EventBits::readable) const {
        return EventBits::error | the_end(otherwise);
    }
    /// From now on only what is told from now on counts.
    void forget() {
        told_.clear();
        tokens_.clear();
    }
    /// Takes what is to be told now.
    void drain() {
        for (int looks = 0; looks < 10; ++looks) wait(0);
        forget();
    }
    /// Waits for so long without looking at what comes.
    void let_pass(std::int64_t duration_ns) {
        const std::int64_t deadline_ns = world.now_ns() + duration_ns;
        while (world.now_ns() < deadline_ns && !HasFailure()) wait(deadline_ns - world.now_ns());
    }

    World world{GetParam().world};
    Poller* poller = nullptr;
    /// As they came back, since the last `forget`.
    std::vector<Token> tokens_;

private:
    std::map<Handle, EventBits> told_;
    /// A wait has failed: whoever waits again would only hear the same.
    bool broken_ = false;
};

inline std::string subject_name(const testing::TestParamInfo<PollerSubject>& info) { return info.param.name; }

}  // namespace pollard::conformance
