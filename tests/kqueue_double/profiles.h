// What the tests of the double share: the profiles, and what a queue tells, in words.
//
// r5 is a READ with 5 bytes, w a WRITE, e the end (with its error), nothing is "".
//
// Each test is run for every profile. Where the two systems differ, `as` picks what is right for the profile.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/event.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/harness.h"
#include "tests/kqueue_double/kqueue_double.h"

namespace pollard::conformance {

using RawEvent = struct kevent;
using Filter = decltype(RawEvent::filter);
using Flags = decltype(RawEvent::flags);

inline constexpr timespec at_once = {};
inline constexpr timespec patience = {.tv_sec = patience_ns / second_ns, .tv_nsec = 0};

struct Subject {
    const char* name;
    kqueue_double::Profile profile;
    bool is_freebsd;
};
inline constexpr Subject subjects[] = {
#ifdef EVFILT_USER
    {"freebsd", kqueue_double::freebsd, true},
#endif
    {"netbsd", kqueue_double::netbsd, false},
};

inline RawEvent entry(std::intptr_t ident, Filter filter, unsigned flags, unsigned notes = 0,
                      std::int64_t data = 0, std::uintptr_t user = 0) {
    RawEvent made = {};
    made.ident = static_cast<std::uintptr_t>(ident);
    made.filter = filter;
    made.flags = static_cast<Flags>(flags);
    made.fflags = notes;
    made.data = data;
    made.udata = (decltype(made.udata))user;
    return made;
}

inline std::string words(const RawEvent& event) {
    const bool writes = event.filter == EVFILT_WRITE;
    std::string said = event.filter == EVFILT_READ ? "r" : writes ? "w" : "?";
    if (!writes) said += std::to_string(event.data);
    if ((event.flags & EV_EOF) != 0) said += "e";
    if (event.fflags != 0) said += "(" + std::string(name_of_code(static_cast<int>(event.fflags))) + ")";
    return said;
}

class KqueueDouble : public testing::TestWithParam<Subject> {
protected:
    void SetUp() override {
        kqueue_double::reset();
        kqueue_double::profile = GetParam().profile;
        queue = world.keep(kqueue());
        ASSERT_GE(queue, 0);
    }
    void TearDown() override { world.expect_nothing_left(); }

    /// What is right for this profile.
    std::string as(const char* on_freebsd, const char* on_netbsd) {
        return GetParam().is_freebsd ? on_freebsd : on_netbsd;
    }
    /// One change, without room for an answer; gives the errno, or 0.
    int change(std::intptr_t ident, Filter filter, unsigned flags, unsigned notes = 0, std::int64_t data = 0,
               std::uintptr_t user = 0) {
        const RawEvent one = entry(ident, filter, flags, notes, data, user);
        return kevent(queue, &one, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
    }
    std::vector<RawEvent> events(const timespec& timeout = at_once, unsigned room = 16) {
        std::vector<RawEvent> taken(room);
        const int count = kevent(queue, nullptr, 0, taken.data(), static_cast<int>(room), &timeout);
        EXPECT_GE(count, 0) << errno;
        taken.resize(count > 0 ? static_cast<unsigned>(count) : 0);
        return taken;
    }
    std::string look(unsigned room = 16) { return words_of(events(at_once, room)); }
    std::string await_event() { return words_of(events(patience)); }
    static std::string words_of(const std::vector<RawEvent>& taken) {
        std::string all;
        for (const RawEvent& event : taken) all += (all.empty() ? "" : " ") + words(event);
        return all;
    }
    /// Sends to `ours`, and waits until so many bytes stand there.
    void arrive(Ends ends, std::string_view bytes, int unread) {
        world.send(ends.peer, bytes);
        int there = 0;
        for (int looks = 0; there < unread && looks < 10'000; ++looks) {
            ASSERT_TRUE(world.await(ends.ours, POLLIN));
            ASSERT_EQ(::ioctl(ends.ours, FIONREAD, &there), 0);
        }
        ASSERT_EQ(there, unread);
    }
    void await_end(Handle handle) { ASSERT_TRUE(world.await(handle, POLLRDHUP)); }
    Ends watched_pair(unsigned mode) {
        const Ends ends = world.pair();
        EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD | mode), 0);
        return ends;
    }

    World world{{}};
    int queue = -1;
};

}  // namespace pollard::conformance
