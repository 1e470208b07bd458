// Telling several observers: each hears the same, in the order in which they were added.
//
// Read next: tests/trace/timeline_test.cc.
#include "core/trace/fan_out.h"

#include <gtest/gtest.h>

#include <string>

#include "core/event_loop.h"
#include "core/trace/narration.h"
#include "platform/interposed_kernel.h"
#include "tests/trace/programs.h"
#include "tests/trace/story.h"

namespace pollard::trace_test {
namespace {

TEST_F(Narrations, TwoNarrationsToldByOneFanOutTellTheSame) {
    Page pages[2];
    Narration first(pages[0].stream());
    Narration second(pages[1].stream());
    FanOut both;
    both.add(first);
    both.add(second);
    const Watching watching(both);
    ObservedKernel door;
    EventLoop loop;
    open(loop, door, "simulated");
    EXPECT_EQ(*run_echo(loop), 14u);
    auto nap = *loop.create_task(Nap());
    const auto cancel = loop.call_later([nap] { nap.cancel(); }, millisecond_ns);
    EXPECT_FALSE(loop.run_until_complete(nap));
    EXPECT_TRUE(loop.close());
    report_problem("a problem", Error(ErrorKind::other, Call::none));
    EXPECT_EQ(pages[0].text(), pages[1].text());
    EXPECT_TRUE(in_order(pages[0].text(), R"(
socket(
is a new task
begins
operation
poller
loop
completed
resumes
is done
  timer            a callback
a callback runs
is asked to end
  cancel
problem
)"));
}

/// Writes its letter at each thing that it is told of tasks.
struct Letter : Observer {
    Letter(char which, std::string& to) : letter(which), written(to) {
        wait_returned = [](Observer& self) {
            static_cast<Letter&>(self).written += static_cast<Letter&>(self).letter;
        };
    }
    char letter;
    std::string& written;
};

TEST(FanOuts, TellInTheOrderOfAdding) {
    std::string written;
    Letter a('a', written);
    Letter b('b', written);
    Letter c('c', written);
    FanOut fan_out;
    fan_out.wait_returned(fan_out);
    EXPECT_EQ(written, "");
    for (Letter* letter : {&b, &a, &c}) fan_out.add(*letter);
    fan_out.wait_returned(fan_out);
    EXPECT_EQ(written, "bac");
}

TEST(FanOuts, AFifthObserverIsAMistakeWithASentence) {
    Observer one;
    FanOut fan_out;
    for (int i = 0; i < 4; ++i) fan_out.add(one);
    EXPECT_DEATH(fan_out.add(one), "at most four observers");
}

}  // namespace
}  // namespace pollard::trace_test
