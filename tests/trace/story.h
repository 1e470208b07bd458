// What the narration tells, as the tests compare it: by lines, in order, without the numbers of lines.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

#include "core/event_loop.h"
#include "core/trace/narration.h"
#include "tests/trace/programs.h"

namespace pollard::trace_test {

inline std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

/// "programs.h:LINE": on which line it stands is that file's own business.
inline std::string without_line_numbers(std::string text) {
    for (const std::string file : {"programs.h:", "narration_test.cc:"})
        for (std::size_t at = text.find(file); at != std::string::npos; at = text.find(file, at)) {
            at += file.size();
            const std::size_t end = text.find_first_not_of("0123456789", at);
            if (end != at) text.replace(at, end - at, "LINE");
        }
    return text;
}

/// Each line of `pieces` stands in a line of the story behind that of the piece before.
inline ::testing::AssertionResult in_order(const std::string& story, const std::string& pieces) {
    const std::vector<std::string> lines = lines_of(without_line_numbers(story));
    auto line = lines.begin();
    for (const std::string& piece : lines_of(pieces)) {
        if (piece.empty()) continue;
        line = std::find_if(line, lines.end(), [&piece](const std::string& candidate) {
            return candidate.find(piece) != std::string::npos;
        });
        if (line == lines.end())
            return ::testing::AssertionFailure() << '"' << piece << "\" is not where it should be in\n"
                                                 << story;
        ++line;
    }
    return ::testing::AssertionSuccess();
}

inline std::size_t count_of(const std::string& text, const std::string& piece) {
    std::size_t count = 0;
    for (std::size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) ++count;
    return count;
}

/// What the narration tells of `program(loop)`, and of opening and closing the loop.
template <class Program>
std::string story_of(const char* kernel, Program program) {
    Page page;
    Narration narration(page.stream());
    const Watching watching(narration);
    ObservedKernel door;
    EventLoop loop;
    open(loop, door, kernel);
    program(loop);
    EXPECT_TRUE(loop.close());
    return page.text();
}

struct Narrations : OnSimulatedKernel {};

}  // namespace pollard::trace_test
