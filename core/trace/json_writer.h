// JsonWriter: a file that is valid JSON when it is closed, whatever was written into it.
//
//      writer.begin_object();                 {
//      writer.text("name", "recv");             "name":"recv"
//      writer.begin_object("args");             ,"args":{
//      writer.number("fd", 7);                      "fd":7
//      writer.end();                            }
//      writer.end();                          }
//
// Commas and what must be escaped are its business. Text that is no UTF-8 gets U+FFFD in place of the bytes
// in question, because JSON has no other way. The first failure of a write is kept until close.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "platform/result.h"

namespace pollard {

class JsonWriter {
public:
    JsonWriter() = default;
    JsonWriter(const JsonWriter&) = delete;

    /// Creates the file, or empties it. `path` is kept only in errors. fopen(3).
    Result<void> open(const char* path);
    /// Ends what is not ended yet; gives the first error since open. Harmless when not open.
    Result<void> close();
    bool is_open() const { return file_ != nullptr; }

    // A value with a key stands in an object, one without in an array or at the top.
    void begin_object(std::string_view key = {}) { begin(key, '{', '}'); }
    void begin_array(std::string_view key = {}) { begin(key, '[', ']'); }
    /// Ends the innermost object or array.
    void end();
    void text(std::string_view key, std::string_view value);
    void number(std::string_view key, std::int64_t value);
    /// In microseconds with three decimals, as timelines want them.
    void microseconds(std::string_view key, std::int64_t value_ns);
    /// So that the file has lines.
    void next_line();

private:
    static constexpr std::size_t deepest = 8;

    void begin(std::string_view key, char opening, char closing);
    void put_key(std::string_view key);
    void put_string(std::string_view value);
    void put(std::string_view raw);
    void note_failure();

    std::FILE* file_ = nullptr;
    Error failure_;  // what a failed write will be called; its code is 0 until one has failed
    std::size_t depth_ = 0;
    char closing_[deepest] = {};
    bool needs_comma_ = false;
};

}  // namespace pollard
