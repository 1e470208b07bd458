// tiny_event_loop: a whole event loop in under a hundred lines: generators and a queue of messages.
//
//      tools/demo tiny_event_loop
//      tools/demo tiny_event_loop --forget      one word is not said, and somebody waits for ever
//
// An event loop is a program that takes one message out of a queue, gives it to whom it is for, and begins
// again. What makes it pleasant is that whom it is for can be a function that has stopped in the middle. Here
// such a function is a generator: what it yields is a request to the loop, and what it is resumed with is the
// message that it asked for.
//
//              takes the oldest            resumes it with the message
//      queue -------------------> loop ---------------------------------> generator
//        ^                        |  ^                                        |
//        +------------------------+  +----------------------------------------+
//              a new message           yields a request: let_others_run, wake_at,
//                                      tell, listen
//
// What to look at: each line is one round of the loop: the message that was taken, what the generator asked
// for then, and the queue afterwards. New messages join at the right, the oldest is taken at the left, so
// everybody gets a turn. (A loop that takes the newest serves the one who talks most.) What somebody is told
// while he does not listen stays in the queue, and its turn comes when he does. When no message can be taken,
// nothing can happen before the next tick that somebody has asked for, and the clock goes there; a real loop
// sleeps in the kernel instead. When there is no such tick either, nothing can ever happen any more.
//
// The real loop grew from this. A message became "this frame is ready", a node in the frame itself, so that
// the queue needs no memory and cannot be full (platform/work.h); ticks became timers (core/timers.h); and
// where this one moves its clock the real one asks the kernel for news.
//
// Read next: core/scheduler.h, then EventLoop::turn in core/event_loop.cc, which is TinyLoop::run.
#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <span>
#include <string_view>

#include "core/generator.h"
#include "demos/options.h"

using namespace pollard;

namespace {

// --- what goes to and fro ---

enum class Name : std::uint8_t { loop, cook, waitress, guest };
constexpr const char* in_words(Name name) {
    constexpr const char* words[] = {"loop", "cook", "waitress", "guest"};
    return words[static_cast<int>(name)];
}

struct Message {
    Name from;
    Name to;
    std::string_view text;
};

/// What a generator yields.
struct Request {
    enum class Kind : std::uint8_t { let_others_run, wake_at, tell, listen };
    Kind kind;
    int tick = 0;           // of wake_at
    Name to = Name::loop;   // of tell
    std::string_view text;  // of tell
};
/// Go on with me after all those who wait for their turn now.
Request let_others_run() { return {.kind = Request::Kind::let_others_run}; }
/// Go on with me at this tick.
Request wake_at(int tick) { return {.kind = Request::Kind::wake_at, .tick = tick}; }
/// Give this message to somebody, and let others run.
Request tell(Name to, std::string_view text) { return {.kind = Request::Kind::tell, .to = to, .text = text}; }
/// Go on with me when somebody tells me something.
Request listen() { return {.kind = Request::Kind::listen}; }

/// A ring of places: `count_` of them, from `first_` on, are taken.
class Queue {
public:
    std::size_t size() const { return count_; }
    /// The i-th oldest.
    Message& operator[](std::size_t i) { return ring_[(first_ + i) % ring_.size()]; }

    void push(const Message& message) {
        POLLARD_REQUIRE(count_ < ring_.size(), "too many messages at once: give the queue a larger ring");
        ++count_;
        (*this)[count_ - 1] = message;
    }
    /// Usually the oldest. Otherwise those that are older still move up by one place.
    Message take(std::size_t i) {
        const Message taken = (*this)[i];
        for (; i > 0; --i) (*this)[i] = (*this)[i - 1];
        first_ = (first_ + 1) % ring_.size();
        --count_;
        return taken;
    }

private:
    std::array<Message, 16> ring_;
    std::size_t first_ = 0;
    std::size_t count_ = 0;
};

/// A generator of whatever type, as the loop sees it.
struct Task {
    Name name;
    void* generator;
    Result<Request> (*resume)(void* generator, const Message& message);
    int wakes_at = -1;
    bool listens = false;
    bool ended = false;
};

template <class G>
Task task_of(Name name, G& generator) {
    return {.name = name, .generator = &generator, .resume = [](void* any, const Message& message) {
                G& body = *static_cast<G*>(any);
                // The first message says only that it may begin.
                return body.state() == GeneratorState::created ? body.next() : body.send(message);
            }};
}

void print_round(int tick, const Message& message, const Text& outcome, Queue& queue);
Text in_words(const Request& request);

// --- the loop ---

class TinyLoop {
public:
    explicit TinyLoop(std::span<Task> tasks) : tasks_(tasks) {
        for (const Task& task : tasks_) queue_.push({Name::loop, task.name, "begin"});
    }

    /// Until nothing can happen any more. True: all have ended.
    bool run() {
        for (;;) {
            if (const std::optional<Message> message = take_next())
                handle(*message);
            else if (Task* sleeper = next_sleeper(); sleeper != nullptr)
                wake(*sleeper);
            else
                return std::ranges::all_of(tasks_, &Task::ended);
        }
    }

private:
    /// One message, one step of one generator: from where it stopped to where it stops again.
    void handle(const Message& message) {
        Task& task = named(message.to);
        Text outcome;
        if (task.ended) {
            outcome.add("has left: nobody hears it");
        } else {
            task.listens = false;
            const Result<Request> request = task.resume(task.generator, message);
            if (request) {
                serve(task, *request);
                outcome = in_words(*request);
            } else {
                task.ended = true;
                outcome.add("ends");
                // Its own error, if it had one; there is nobody above the loop who could handle it.
                if (request.error().kind != ErrorKind::stopped)
                    outcome.add(": %s", describe(request.error()).c_str());
            }
        }
        print_round(tick_, message, outcome, queue_);
    }

    void serve(Task& task, const Request& request) {
        switch (request.kind) {
            case Request::Kind::let_others_run:
                queue_.push({Name::loop, task.name, "go on"});
                break;
            case Request::Kind::tell:
                queue_.push({task.name, request.to, request.text});
                queue_.push({Name::loop, task.name, "go on"});
                break;
            case Request::Kind::wake_at:
                task.wakes_at = request.tick;
                break;
            case Request::Kind::listen:
                task.listens = true;
                break;
        }
    }

    /// The oldest message whose receiver waits for it; what the loop itself says is always waited for.
    std::optional<Message> take_next() {
        for (std::size_t i = 0; i < queue_.size(); ++i) {
            const Task& receiver = named(queue_[i].to);
            if (queue_[i].from == Name::loop || receiver.listens || receiver.ended) return queue_.take(i);
        }
        return std::nullopt;
    }

    Task* next_sleeper() {
        Task* next = nullptr;
        for (Task& task : tasks_)
            if (task.wakes_at >= 0 && (next == nullptr || task.wakes_at < next->wakes_at)) next = &task;
        return next;
    }

    void wake(Task& task) {
        if (task.wakes_at > tick_) std::printf("%4d  (nothing to do until tick %d)\n", tick_, task.wakes_at);
        tick_ = std::max(tick_, task.wakes_at);
        task.wakes_at = -1;
        queue_.push({Name::loop, task.name, "wake up"});
    }

    Task& named(Name name) { return *std::ranges::find(tasks_, name, &Task::name); }

    std::span<Task> tasks_;
    Queue queue_;
    int tick_ = 0;
};

// --- who runs on it ---

struct Cook : Generator<Cook, Request, Message> {
    bool forgetful;
    int potatoes;

    Progress body() {
        CO_BEGIN;
        // A long piece of work is cut into short ones, so that the others need not wait for all of it.
        for (potatoes = 0; potatoes < 3; ++potatoes) CO_YIELD(let_others_run());
        CO_YIELD(listen());  // whatever is ordered: there is soup
        CO_YIELD(wake_at(10));
        CO_YIELD(tell(Name::waitress, "soup"));
        CO_YIELD(wake_at(15));
        if (!forgetful) CO_YIELD(tell(Name::waitress, "we close"));
        CO_END;
    }
};

struct Waitress : Generator<Waitress, Request, Message> {
    Result<Message> heard;

    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(heard, yield(listen()));
            if (!heard) CO_RETURN(heard.error());
            if (heard->text == "we close") CO_RETURN();
            CO_YIELD(tell(heard->from == Name::guest ? Name::cook : Name::guest, heard->text));
        }
        CO_END;
    }
};

struct Guest : Generator<Guest, Request, Message> {
    Progress body() {
        CO_BEGIN;
        CO_YIELD(tell(Name::waitress, "soup, please"));
        CO_YIELD(listen());
        CO_YIELD(wake_at(20));
        CO_YIELD(tell(Name::waitress, "thank you"));
        CO_END;
    }
};

// --- what is printed ---

Text in_words(const Message& message) {
    Text text;
    if (message.from != Name::loop) text.add("%s -> ", in_words(message.from));
    return text.add("%s: %.*s", in_words(message.to), static_cast<int>(message.text.size()),
                    message.text.data());
}

Text in_words(const Request& request) {
    switch (request.kind) {
        case Request::Kind::let_others_run:
            return Text().add("lets others run");
        case Request::Kind::wake_at:
            return Text().add("sleeps until tick %d", request.tick);
        case Request::Kind::tell:
            return Text().add("tells %s: %.*s", in_words(request.to), static_cast<int>(request.text.size()),
                              request.text.data());
        case Request::Kind::listen:
            return Text().add("listens");
    }
    return Text();
}

void print_heading() {
    std::printf("tick  %-32s %-29s %s\n", "the message that is taken", "what its receiver does then",
                "the queue afterwards");
}

void print_round(int tick, const Message& message, const Text& outcome, Queue& queue) {
    std::printf("%4d  %-32s %-29s", tick, in_words(message).c_str(), outcome.c_str());
    for (std::size_t i = 0; i < queue.size(); ++i) std::printf(" [%s]", in_words(queue[i]).c_str());
    std::printf(queue.size() == 0 ? " -\n" : "\n");
}

}  // namespace

int main(int argc, char** argv) {
    bool forgetful = false;
    const Option options[] = {flag("--forget", forgetful, "the cook forgets to say that the kitchen closes")};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;

    Cook cook{.forgetful = forgetful};
    Waitress waitress;
    Guest guest;
    Task tasks[] = {task_of(Name::cook, cook), task_of(Name::waitress, waitress),
                    task_of(Name::guest, guest)};
    TinyLoop loop(tasks);
    print_heading();
    const bool all_ended = loop.run();
    if (all_ended) {
        std::printf("      all have ended, nothing is left to do\n");
        return 0;
    }
    for (const Task& task : tasks)
        if (!task.ended) std::printf("      the %s still waits for a message\n", in_words(task.name));
    return fail("nothing can ever happen any more, and somebody still waits");
}
