// The command line of a demo: a table of options, one line each when something is wrong.
//
//      std::int64_t port = 6789;
//      const Option options[] = {number("--port", port, "N", "the port to listen on", 0, 65535)};
//      if (const int code = parse_options(argc, argv, options); code >= 0) return code;
//
// A bad command line ends with exit code 2 and one line on stderr that names the thing and says what would be
// right; everything that goes wrong later ends with 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "platform/result.h"

namespace pollard {

struct Option {
    enum class Kind : std::uint8_t { flag, text, number, numbers };
    std::string_view name;   // "--port", "-p"; without dashes: a positional argument
    const char* value_name;  // for the usage line; null for a flag
    const char* help;
    Kind kind;
    void* target;
    std::int64_t least = 0;
    std::int64_t most = 0;
    bool required = false;
};

constexpr Option flag(std::string_view name, bool& target, const char* help) {
    return {name, nullptr, help, Option::Kind::flag, &target};
}
constexpr Option text(std::string_view name, const char*& target, const char* value_name, const char* help) {
    return {name, value_name, help, Option::Kind::text, &target};
}
constexpr Option number(std::string_view name, std::int64_t& target, const char* value_name, const char* help,
                        std::int64_t least, std::int64_t most) {
    return {name, value_name, help, Option::Kind::number, &target, least, most};
}
/// Where several numbers go.
struct NumberList {
    std::span<std::int64_t> room;
    std::size_t count = 0;

    std::span<const std::int64_t> given() const { return room.first(count); }
};
/// All positional arguments from here on; none is fine.
constexpr Option numbers(std::string_view name, NumberList& target, const char* help, std::int64_t least,
                         std::int64_t most) {
    return {name, nullptr, help, Option::Kind::numbers, &target, least, most};
}
/// A positional argument that must be there.
constexpr Option required(Option option) {
    option.required = true;
    return option;
}

/// Negative: go on. Else the exit code to leave with: 2 after a mistake (said on stderr), 0 after --help.
int parse_options(int argc, char** argv, std::span<const Option> options);

/// One line on stderr, "NAME: ...", and the exit code 1. As printf(3).
[[gnu::format(POLLARD_PRINTF, 1, 2)]] int fail(const char* format, ...);
/// The same with exit code 2.
[[gnu::format(POLLARD_PRINTF, 1, 2)]] int usage_error(const char* format, ...);

}  // namespace pollard
