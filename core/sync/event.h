// Event: something has happened, and everybody who waits for it may go on.
//
//      Event started;
//      CO_TRY(started.wait());      at once if it is set
//      started.set();               wakes all who wait, in the order in which they came
//
// Whoever was woken goes on, even if the event is cleared before its turn comes; so a waiter should look again
// where that matters. An event may be destroyed as soon as it is set: those who were woken need it no more. It
// may not be destroyed while somebody still waits.
//
// Thread rule: the loop's thread only. Read next: core/sync/condition.h.
#pragma once

#include "core/sync/waiter_line.h"
#include "core/task.h"

namespace pollard {

class Event {
public:
    class Wait;

    /// Waits until it is set: Result<void>. (asyncio's gives True; here a Result that holds no error says so.)
    Wait wait();
    void set() {
        set_ = true;
        line_.wake_all();
    }
    /// From now on `wait` waits.
    void clear() { set_ = false; }
    bool is_set() const { return set_; }

    /// "event, not set, 3 in line"
    void describe(Text& text) const {
        text.add("event, %s", set_ ? "set" : "not set");
        if (const unsigned waiting = line_.length(); waiting != 0) text.add(", %u in line", waiting);
    }

private:
    WaiterLine line_;
    bool set_ = false;
};

class [[nodiscard]] Event::Wait : public WaitsInLine<Event::Wait> {
public:
    explicit Wait(Event& event) : event_(&event) {}

    bool start(Frame& waiter) {
        tell_await(waiter);
        return event_->set_ ? finish_at_once() : wait_in(event_->line_, waiter);
    }
    bool failed() const { return cancelled; }
    Result<void> result() const {
        if (failed()) return cancelled_error("event");
        return {};
    }
    void describe(Text& text) const {
        if (place == Place::woken)
            text.add("event, over");  // it was set, and may exist no more
        else
            event_->describe(text);
    }

    bool take_turn(bool) { return true; }
    void give_up(bool) {}

private:
    Event* event_;
};

inline Event::Wait Event::wait() { return Wait(*this); }

}  // namespace pollard
