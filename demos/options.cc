// Parsing a command line against its table; each mistake is one line on stderr.
#include "demos/options.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "platform/result.h"

namespace pollard {

namespace {
const char* program_name = "demo";

int complain(int code, const char* format, va_list arguments) {
    std::fprintf(stderr, "%s: ", program_name);
    std::vfprintf(stderr, format, arguments);
    std::fputc('\n', stderr);
    return code;
}

/// An option begins with dashes, anything else is a positional argument; so is a negative number.
bool begins_like_an_option(std::string_view text) {
    return text.size() > 1 && text[0] == '-' && (text[1] < '0' || text[1] > '9');
}

void print_help(std::span<const Option> options) {
    std::printf("usage: %s", program_name);
    for (const Option& option : options) {
        const char* open = option.required ? "" : "[";
        const char* close = option.required ? "" : "]";
        const bool positional = !begins_like_an_option(option.name);
        std::printf(" %s%.*s%s%s%s%s", open, static_cast<int>(option.name.size()), option.name.data(),
                    option.value_name != nullptr && !positional ? " " : "",
                    option.value_name != nullptr && !positional ? option.value_name : "",
                    option.kind == Option::Kind::numbers ? "..." : "", close);
    }
    std::printf("\n");
    for (const Option& option : options)
        std::printf("  %-18.*s %s\n", static_cast<int>(option.name.size()), option.name.data(), option.help);
}

int set_number(const Option& option, const char* value, std::int64_t& target) {
    char* end = nullptr;
    errno = 0;
    const long long parsed = std::strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || parsed < option.least || parsed > option.most)
        return usage_error("%.*s %s: not a number from %lld to %lld", static_cast<int>(option.name.size()),
                           option.name.data(), value, static_cast<long long>(option.least),
                           static_cast<long long>(option.most));
    target = parsed;
    return -1;
}

int add_number(const Option& option, const char* value) {
    auto& list = *static_cast<NumberList*>(option.target);
    if (list.count == list.room.size())
        return usage_error("%s: one number too many; %zu is the limit", value, list.room.size());
    return set_number(option, value, list.room[list.count++]);
}

int set_value(const Option& option, const char* value) {
    if (option.kind == Option::Kind::number)
        return set_number(option, value, *static_cast<std::int64_t*>(option.target));
    if (option.kind == Option::Kind::numbers) return add_number(option, value);
    *static_cast<const char**>(option.target) = value;
    return -1;
}

const Option* find_named(std::span<const Option> options, std::string_view name) {
    for (const Option& option : options)
        if (option.name == name) return &option;
    return nullptr;
}

const Option* find_positional(std::span<const Option> options, int index) {
    for (const Option& option : options)
        if (!begins_like_an_option(option.name) && (index-- == 0 || option.kind == Option::Kind::numbers))
            return &option;
    return nullptr;
}
}  // namespace

int parse_options(int argc, char** argv, std::span<const Option> options) {
    if (argc > 0) {
        program_name = argv[0];
        for (const char* each = argv[0]; *each != '\0'; ++each)
            if (*each == '/' || *each == '\\') program_name = each + 1;
    }
    int positionals = 0;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--help" || argument == "-h") {
            print_help(options);
            return 0;
        }
        if (!begins_like_an_option(argument)) {
            const Option* option = find_positional(options, positionals++);
            if (option == nullptr)
                return usage_error("%s: one argument too many; --help shows what is right", argv[i]);
            if (const int code = set_value(*option, argv[i]); code >= 0) return code;
            continue;
        }
        const std::size_t equals = argument.find('=');
        const Option* option = find_named(options, part_of(argument, 0, equals));
        if (option == nullptr) return usage_error("unknown option %s; --help shows what is right", argv[i]);
        if (option->kind == Option::Kind::flag) {
            if (equals != argument.npos) return usage_error("%s: this option takes no value", argv[i]);
            *static_cast<bool*>(option->target) = true;
            continue;
        }
        const char* value = equals != argument.npos ? argv[i] + equals + 1
                            : i + 1 < argc          ? argv[++i]
                                                    : nullptr;
        if (value == nullptr) return usage_error("%s: a value is missing (%s)", argv[i], option->value_name);
        if (const int code = set_value(*option, value); code >= 0) return code;
    }
    for (const Option& option : options)
        if (option.required && positionals-- <= 0)
            return usage_error("%.*s is missing: %s; --help shows what is right",
                               static_cast<int>(option.name.size()), option.name.data(), option.help);
    return -1;
}

int fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int code = complain(1, format, arguments);
    va_end(arguments);
    return code;
}

int usage_error(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int code = complain(2, format, arguments);
    va_end(arguments);
    return code;
}

}  // namespace pollard
