// The timeline, from the bytes up: the writer of its JSON, the table of spans that have begun, and what it then shows of
// runs. All of it is read back by a strict parser.
//
// Read next: tests/json.h, then tests/trace/kernel_calls_test.cc.
#include "core/trace/chrome_trace.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/event_loop.h"
#include "core/trace/json_writer.h"
#include "core/trace/narration.h"
#include "core/trace/open_spans.h"
#include "platform/interposed_kernel.h"
#include "platform/memory.h"
#include "tests/json.h"
#include "tests/trace/programs.h"

namespace pollard::trace_test {
namespace {

// --- reading JSON back ---

TEST(TheJsonParserOfTheseTests, RefusesWhatIsNoJson) {
    for (const char* good :
         {"{}", "[1,2.5,-3e2]", R"({"a":[{"b":"\u0041\n\u00fc"}],"c":true})", "\"\xc3\xbc\""}) {
        Json json;
        EXPECT_TRUE(JsonParser(good).parse(json)) << good;
    }
    for (const char* bad :
         {"", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "[01]", "\"\n\"", "\"\\x\"", "{} {}",
          "{\"a\":1,\"a\":2}", "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "'a'", "[1 2]", "nul"}) {
        Json json;
        EXPECT_FALSE(JsonParser(bad).parse(json)) << bad;
    }
}

/// A path that is gone afterwards.
struct TemporaryFile {
    TemporaryFile() {
        const int descriptor = mkstemp(path.data());
        EXPECT_GE(descriptor, 0);
        ::close(descriptor);
    }
    TemporaryFile(const TemporaryFile&) = delete;
    ~TemporaryFile() { ::unlink(path.c_str()); }
    std::string content() const {
        std::ifstream stream(path);
        std::stringstream text;
        text << stream.rdbuf();
        return text.str();
    }
    std::string path = ::testing::TempDir() + "timeline_test_XXXXXX";
};

Json parsed(const TemporaryFile& file) {
    const std::string text = file.content();
    JsonParser parser(text);
    Json json;
    if (!parser.parse(json))
        ADD_FAILURE() << "no JSON from here: " << text.substr(text.size() - parser.left(), 80) << "\nin\n"
                      << text;
    return json;
}

// --- the JSON writer ---

TEST(JsonWriters, WriteWhatAParserReadsBack) {
    const TemporaryFile file;
    JsonWriter writer;
    ASSERT_TRUE(writer.open(file.path.c_str()));
    writer.begin_object();
    writer.text("plain", "recv");
    writer.text("quoted \"key\"", "a\"b\\c/d");
    writer.text("control", std::string_view("\0\x01\n\r\t\x1f\x7f", 7));
    writer.text("utf8",
                "Gr\xc3\xbc\xc3\x9f"
                "e \xe2\x82\xac \xf0\x9f\x8c\xb3");
    writer.number("least", INT64_MIN);
    writer.microseconds("time", 1'234'056);
    writer.begin_array("list");
    writer.end();
    writer.begin_array("numbers");
    writer.number({}, 1);
    writer.next_line();
    writer.number({}, 2);
    writer.end();
    writer.begin_object("inner");
    writer.end();
    writer.end();
    ASSERT_TRUE(writer.close());
    const Json json = parsed(file);
    EXPECT_EQ(json["plain"].text, "recv");
    EXPECT_EQ(json["quoted \"key\""].text, "a\"b\\c/d");
    EXPECT_EQ(json["control"].text, std::string("\0\x01\n\r\t\x1f\x7f", 7));
    EXPECT_EQ(json["utf8"].text,
              "Gr\xc3\xbc\xc3\x9f"
              "e \xe2\x82\xac \xf0\x9f\x8c\xb3");
    EXPECT_EQ(json["least"].number, static_cast<double>(INT64_MIN));
    EXPECT_DOUBLE_EQ(json["time"].number, 1234.056);
    EXPECT_EQ(json["numbers"].elements.size(), 2u);
    EXPECT_TRUE(json.has("inner"));
}

TEST(JsonWriters, BytesThatAreNoUtf8BecomeTheReplacementCharacter) {
    const std::string_view bad[] = {
        "\xff",        "\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf0\x9f\x8c"};
    for (const std::string_view bytes : bad) {
        const TemporaryFile file;
        JsonWriter writer;
        ASSERT_TRUE(writer.open(file.path.c_str()));
        writer.begin_object();
        writer.text("text", std::string("a") + std::string(bytes) + "z");
        ASSERT_TRUE(writer.close());
        std::string replaced = "a";
        for (std::size_t i = 0; i < bytes.size(); ++i) replaced += "\xef\xbf\xbd";
        EXPECT_EQ(parsed(file)["text"].text, replaced + "z");
    }
}

TEST(JsonWriters, ClosingEndsWhatIsNotEnded) {
    const TemporaryFile file;
    JsonWriter writer;
    ASSERT_TRUE(writer.open(file.path.c_str()));
    writer.begin_object();
    writer.begin_array("a");
    writer.begin_object();
    ASSERT_TRUE(writer.close());
    EXPECT_EQ(parsed(file)["a"].elements.size(), 1u);
    EXPECT_FALSE(writer.is_open());
}

// --- the table of spans ---

TEST(OpenSpanTables, FindAndTakeWhatWasPutWhateverElseIsThere) {
    OpenSpans spans;
    std::map<std::uintptr_t, std::int64_t> expected;
    std::mt19937 random(1);
    std::int64_t next_id = 1;
    for (int i = 0; i < 20'000; ++i) {
        const std::uintptr_t address = 16 * (1 + random() % 500);
        const void* key = reinterpret_cast<const void*>(address);
        const auto known = expected.find(address);
        ASSERT_EQ(spans.find(key) != nullptr, known != expected.end());
        if (known == expected.end()) {
            ASSERT_TRUE(spans.put({.key = key, .id = next_id}));
            expected[address] = next_id++;
        } else {
            ASSERT_EQ(spans.take(key)->id, known->second);
            expected.erase(known);
        }
    }
    std::set<std::int64_t> left;
    while (const auto span = spans.take_any()) left.insert(span->id);
    EXPECT_EQ(left.size(), expected.size());
    for (const auto& [address, id] : expected) EXPECT_EQ(left.count(id), 1u);
}

TEST(OpenSpanTables, WithoutMemoryNothingIsPut) {
    OpenSpans spans;
    fail_allocations_after(0);
    EXPECT_FALSE(spans.put({.key = &spans}));
    EXPECT_EQ(spans.find(&spans), nullptr);
    EXPECT_TRUE(spans.put({.key = &spans}));
    EXPECT_NE(spans.find(&spans), nullptr);
}

// --- what every timeline is ---

std::vector<Json> events_of(const Json& trace, const std::string& phase) {
    std::vector<Json> events;
    for (const Json& event : trace["traceEvents"].elements)
        if (event["ph"].text == phase) events.push_back(event);
    return events;
}

/// What every timeline must be, whatever it shows.
void check_timeline(const Json& trace) {
    ASSERT_EQ(trace["traceEvents"].kind, Json::Kind::array);
    ASSERT_FALSE(trace["traceEvents"].elements.empty());
    std::set<std::pair<double, double>> named;
    for (const Json& event : events_of(trace, "M"))
        if (event["name"].text == "thread_name") named.insert({event["pid"].number, event["tid"].number});

    std::map<double, Json> open_spans;
    std::map<std::pair<double, double>, std::vector<std::pair<double, double>>> slices;
    for (const Json& event : trace["traceEvents"].elements) {
        const std::string phase = event["ph"].text;
        for (const char* field : {"pid", "tid", "ts"}) ASSERT_EQ(event[field].kind, Json::Kind::number);
        ASSERT_EQ(event["name"].kind, Json::Kind::text);
        ASSERT_GE(event["ts"].number, 0);
        EXPECT_EQ(named.count({event["pid"].number, event["tid"].number}), 1u) << "a track without a name";
        if (phase == "b") {
            EXPECT_TRUE(open_spans.emplace(event["id"].number, event).second) << "an id begins twice";
        } else if (phase == "e") {
            const auto begun = open_spans.find(event["id"].number);
            ASSERT_NE(begun, open_spans.end()) << "an end without a beginning: " << event["name"].text;
            for (const char* field : {"name", "cat"}) EXPECT_EQ(begun->second[field].text, event[field].text);
            for (const char* field : {"pid", "tid"})
                EXPECT_EQ(begun->second[field].number, event[field].number);
            EXPECT_LE(begun->second["ts"].number, event["ts"].number);
            open_spans.erase(begun);
        } else if (phase == "X") {
            ASSERT_GE(event["dur"].number, 0);
            slices[{event["pid"].number, event["tid"].number}].push_back(
                {event["ts"].number, event["ts"].number + event["dur"].number});
        } else {
            EXPECT_TRUE(phase == "M" || phase == "i") << phase;
        }
    }
    EXPECT_TRUE(open_spans.empty()) << "a beginning without an end: "
                                    << open_spans.begin()->second["name"].text;
    // On no track do two slices overlap: things happen one after another there.
    for (auto& [track, on_track] : slices) {
        std::sort(on_track.begin(), on_track.end());
        for (std::size_t i = 1; i < on_track.size(); ++i)
            EXPECT_LE(on_track[i - 1].second, on_track[i].first + 1e-6) << "on track " << track.second;
    }
}

/// The timeline of `program(loop)`.
template <class Program>
Json timeline_of(const char* kernel, Program program) {
    const TemporaryFile file;
    ChromeTrace trace;
    EXPECT_TRUE(trace.open(file.path.c_str()));
    {
        const Watching watching(trace);
        ObservedKernel door;
        EventLoop loop;
        open(loop, door, kernel);
        program(loop);
        EXPECT_TRUE(loop.close());
    }
    EXPECT_TRUE(trace.close());
    return parsed(file);
}

// --- what it shows ---

struct Timelines : OnSimulatedKernel {};

TEST_P(EveryKernel, TheTimelineOfAnEchoHasATrackForEachTaskAndAnEndForEachBeginning) {
    const Json trace =
        timeline_of(GetParam()->name, [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    check_timeline(trace);
    std::map<std::string, double> tracks;
    for (const Json& event : events_of(trace, "M"))
        if (event["name"].text == "thread_name") tracks[event["args"]["name"].text] = event["tid"].number;
    for (const char* name : {"loop", "kernel", "Echo#1", "Client#2", "Serve#3"})
        EXPECT_EQ(tracks.count(name), 1u) << name;

    std::set<std::string> spans;
    for (const Json& event : events_of(trace, "b"))
        spans.insert(event["cat"].text + " " + event["name"].text + " on " +
                     std::to_string(static_cast<int>(event["tid"].number)));
    const auto on = [&tracks](const char* name) {
        return " on " + std::to_string(static_cast<int>(tracks[name]));
    };
    EXPECT_EQ(spans.count("task Client" + on("Client#2")), 1u);
    EXPECT_EQ(spans.count("await Talk{.peer = &peer}" + on("Client#2")), 1u);
    EXPECT_EQ(spans.count("await peer->recv(bytes)" + on("Client#2")), 1u);
    EXPECT_EQ(spans.count("operation recv" + on("Serve#3")), 1u);
    EXPECT_EQ(spans.count("operation connect" + on("Client#2")), 1u);
    EXPECT_EQ(spans.count("await client" + on("Echo#1")), 1u);

    std::set<std::string> slices;
    for (const Json& event : events_of(trace, "X"))
        if (event["tid"].number == tracks["Client#2"])
            slices.insert(event["name"].text.substr(0, event["name"].text.find(':')));
    EXPECT_EQ(slices, (std::set<std::string>{"begins", "programs.h"}));
    for (const Json& event : events_of(trace, "e")) EXPECT_NE(event["args"]["end"].text, "not ended");
}

TEST_F(Timelines, AParkedOperationIsAMomentOnItsTasksTrack) {
    const Json trace = timeline_of("simulated", [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    bool seen = false;
    for (const Json& event : events_of(trace, "i"))
        seen |= event["name"].text == "parked" && event["args"]["operation"].text == "recv" &&
                event["tid"].number == 2 + 3;
    EXPECT_TRUE(seen);
}

TEST_F(Timelines, ARequestToEndIsAMomentOnItsTasksTrack) {
    const Json trace = timeline_of("simulated", [](EventLoop& loop) {
        EXPECT_TRUE(loop.run_until_complete(YieldsItsTurn()));
        auto nap = *loop.create_task(Nap());
        EXPECT_TRUE(nap.cancel());
        EXPECT_FALSE(loop.run_until_complete(nap));
    });
    check_timeline(trace);
    std::vector<double> tracks;
    for (const Json& event : events_of(trace, "i"))
        if (event["name"].text == "cancel requested") tracks.push_back(event["tid"].number);
    EXPECT_EQ(tracks, std::vector<double>{2 + 2});
}

TEST_F(Timelines, KernelCallsShowTheirWordsAndNews) {
    const Json trace = timeline_of("simulated", [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    bool seen = false;
    for (const Json& event : events_of(trace, "X"))
        seen |= event["name"].text == "send" && event["args"]["call"].text.ends_with("14, NOSIGNAL) = 14") &&
                event["args"]["news"].text == "\"Hello Server!\\n\"";
    EXPECT_TRUE(seen);
}

TEST_F(Timelines, ASleepTakesItsVirtualTime) {
    const Json trace =
        timeline_of("simulated", [](EventLoop& loop) { EXPECT_TRUE(loop.run_until_complete(Nap())); });
    check_timeline(trace);
    std::vector<double> waits;
    for (const Json& event : events_of(trace, "X"))
        if (event["name"].text == "wait" && event["tid"].number == 1 && event["dur"].number > 0) {
            EXPECT_EQ(event["args"]["what"].text, "at most 0.250000 s");
            waits.push_back(event["dur"].number);
        }
    EXPECT_EQ(waits, std::vector<double>{250'000});
}

TEST_F(Timelines, HowATaskEndedStandsAtTheEndOfItsSpan) {
    const Json trace = timeline_of(
        "simulated", [](EventLoop& loop) { EXPECT_FALSE(loop.run_until_complete(AwaitsChild())); });
    check_timeline(trace);
    for (const Json& event : events_of(trace, "e")) {
        if (event["cat"].text != "task") continue;
        EXPECT_EQ(event["args"]["end"].text, "connect 127.0.0.1:1: connection refused (ECONNREFUSED)");
    }
}

// --- opened, closed, and out of memory in the middle of a run ---

TEST_F(Timelines, ClosedInTheMiddleOfARunItIsCompleteAllTheSame) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    {
        const Watching watching(trace);
        ObservedKernel door;
        EventLoop loop;
        open(loop, door, "simulated");
        (void)*loop.create_task(Nap());
        (void)*loop.create_task(Serve{.listener = listener_on(loop)});
        loop.stop();
        EXPECT_TRUE(loop.run_forever());
        ASSERT_TRUE(trace.close());
    }
    const Json json = parsed(file);
    check_timeline(json);
    std::size_t not_ended = 0;
    for (const Json& event : events_of(json, "e")) not_ended += event["args"]["end"].text == "not ended";
    EXPECT_EQ(not_ended, 5u);  // two tasks, two awaits, an accept
}

TEST_F(Timelines, OpenedInTheMiddleOfARunItHasNoEndsWithoutBeginnings) {
    const TemporaryFile file;
    ChromeTrace trace;
    {
        const Watching watching(trace);
        ObservedKernel door;
        EventLoop loop;
        open(loop, door, "simulated");
        auto task = *loop.create_task(Echo{.listener = listener_on(loop)});
        loop.stop();
        EXPECT_TRUE(loop.run_forever());
        ASSERT_TRUE(trace.open(file.path.c_str()));
        EXPECT_EQ(*loop.run_until_complete(task), 14u);
        ASSERT_TRUE(trace.close());
    }
    const Json json = parsed(file);
    std::set<double> open_spans;
    for (const Json& event : json["traceEvents"].elements) {
        const double id = event["id"].number;
        if (event["ph"].text == "b") {
            EXPECT_TRUE(open_spans.insert(id).second);
        } else if (event["ph"].text == "e") {
            EXPECT_EQ(open_spans.erase(id), 1u);
        }
    }
    EXPECT_TRUE(open_spans.empty());
}

TEST_F(Timelines, TwoLoopsOneAfterAnotherAreTwoProcesses) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    {
        const Watching watching(trace);
        for (int i = 0; i < 2; ++i) {
            ObservedKernel door;
            EventLoop loop;
            open(loop, door, "simulated");
            EXPECT_TRUE(loop.run_until_complete(Nap()));
        }
    }
    ASSERT_TRUE(trace.close());
    const Json json = parsed(file);
    check_timeline(json);
    std::map<double, double> ends;
    for (const Json& event : events_of(json, "e"))
        ends[event["pid"].number] = std::max(ends[event["pid"].number], event["ts"].number);
    ASSERT_EQ(ends.size(), 2u);
    EXPECT_LT(ends[1], ends[2]);
}

TEST_F(Timelines, ASchedulerWithoutALoopHasATimelineOfItsOrder) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    {
        const Watching watching(trace);
        Scheduler scheduler;
        scheduler.pool = TaskPool::create(scheduler);
        {
            const SchedulerScope here(scheduler);
            auto task = *create_task_on(scheduler, YieldsItsTurn());
            scheduler.run_until_idle();
            EXPECT_TRUE(task.done());
        }
        scheduler.pool->orphan();
    }
    ASSERT_TRUE(trace.close());
    const Json json = parsed(file);
    check_timeline(json);
    double last = -1;
    for (const Json& event : events_of(json, "X")) {
        EXPECT_GT(event["ts"].number, last);
        EXPECT_DOUBLE_EQ(event["dur"].number, 1) << "it runs until it suspends and no longer";
        last = event["ts"].number;
    }
    EXPECT_GT(last, 0);
}

TEST_F(Timelines, WithoutMemoryForASpanBothItsEndsAreMissing) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    ObservedKernel door;
    EventLoop loop;
    open(loop, door, "simulated");
    EXPECT_TRUE(loop.run_until_complete(YieldsItsTurn()));  // afterwards the loop itself needs no memory
    {
        const Watching watching(trace);
        fail_allocations_after(0, 1'000'000);
        EXPECT_TRUE(loop.run_until_complete(YieldsItsTurn()));
        fail_allocations_after(0, 0);
    }
    ASSERT_TRUE(trace.close());
    const Json json = parsed(file);
    check_timeline(json);
    EXPECT_TRUE(events_of(json, "b").empty());
    EXPECT_FALSE(events_of(json, "X").empty());
}

// --- problems, and the file ---

TEST(ProblemsOnATimeline, AreValidJsonWhateverTheyHoldAndGoToStderrToo) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    const Watching watching(trace);
    ::testing::internal::CaptureStderr();
    report_problem("a \"quoted\"\n\xff problem", Error(ErrorKind::other, Call::close).on("a\\b"));
    const std::string told = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(told.find("problem: close a\\b: failed"), std::string::npos) << told;
    ASSERT_TRUE(trace.close());
    const std::vector<Json> moments = events_of(parsed(file), "i");
    ASSERT_EQ(moments.size(), 1u);
    EXPECT_EQ(moments[0]["name"].text, "a \"quoted\"\n\xef\xbf\xbd problem");
    EXPECT_EQ(moments[0]["args"]["error"].text, "close a\\b: failed");
}

TEST(TimelineFiles, ThatCannotBeOpenedAreAnError) {
    ChromeTrace trace;
    const Result<void> opened = trace.open("/nowhere/at/all.json");
    ASSERT_FALSE(opened);
    EXPECT_STREQ(describe(opened.error()).c_str(), "open /nowhere/at/all.json: not found (ENOENT)");
    EXPECT_TRUE(trace.close());
}

TEST(TimelineFiles, AreOpenedOnceAndClosedAnyNumberOfTimes) {
    const TemporaryFile file;
    ChromeTrace trace;
    EXPECT_TRUE(trace.close());
    ASSERT_TRUE(trace.open(file.path.c_str()));
    EXPECT_EQ(trace.open(file.path.c_str()).error().kind, ErrorKind::invalid_state);
    EXPECT_TRUE(trace.close());
    EXPECT_TRUE(trace.close());
    ASSERT_TRUE(trace.open(file.path.c_str()));
    EXPECT_TRUE(trace.close());
    check_timeline(parsed(file));
}

TEST(TimelineFiles, OnAFullDiskAreAnErrorWhenClosed) {
    if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "this machine has no /dev/full";
    ChromeTrace trace;
    ASSERT_TRUE(trace.open("/dev/full"));
    const Result<void> closed = trace.close();
    ASSERT_FALSE(closed);
    EXPECT_STREQ(describe(closed.error()).c_str(), "write /dev/full: failed (ENOSPC)");
    EXPECT_TRUE(trace.close());
}

TEST(TimelineFiles, LeftOpenOnAFullDiskAreReported) {
    if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "this machine has no /dev/full";
    Page page;
    Narration narration(page.stream());
    const Watching watching(narration);
    {
        ChromeTrace trace;
        ASSERT_TRUE(trace.open("/dev/full"));
    }
    EXPECT_EQ(page.text(),
              "problem          the timeline is not complete: write /dev/full: failed (ENOSPC)\n");
}

}  // namespace
}  // namespace pollard::trace_test
