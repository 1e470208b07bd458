// RFC 8259 in so far as a writer needs it.
#include "core/trace/json_writer.h"

#include <cerrno>

#include "platform/kernel.h"

namespace pollard {

namespace {

bool continues(unsigned char byte) { return (byte & 0xc0) == 0x80; }

/// Bytes of the UTF-8 character that `text` begins with; 0 when it begins with none. Overlong forms, the
/// halves of surrogate pairs and what lies above U+10FFFF are none (RFC 3629).
std::size_t length_of_character(std::string_view text) {
    const auto byte = [text](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(0);
    };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return continues(byte(1)) ? 2 : 0;
    const bool three = continues(byte(1)) && continues(byte(2));
    if (first >= 0xe0 && first <= 0xef) {
        const bool overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool surrogate = first == 0xed && byte(1) > 0x9f;
        return three && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool overlong = first == 0xf0 && byte(1) < 0x90;
        const bool too_high = first == 0xf4 && byte(1) > 0x8f;
        return three && continues(byte(3)) && !overlong && !too_high ? 4 : 0;
    }
    return 0;
}

}  // namespace

Result<void> JsonWriter::open(const char* path) {
    if (is_open()) return Error(ErrorKind::invalid_state, Call::open).on(path);
    file_ = std::fopen(path, "w");
    if (file_ == nullptr) return Error(kind_of_code(errno), Call::open, errno).on(path);
    failure_ = Error(ErrorKind::other, Call::write).on(path);
    depth_ = 0;
    needs_comma_ = false;
    return {};
}

Result<void> JsonWriter::close() {
    if (!is_open()) return {};
    while (depth_ > 0) end();
    put("\n");
    // What stands in the stream's buffer is written only now, and a full disk may show only now.
    if (std::fclose(file_) != 0) note_failure();
    file_ = nullptr;
    if (failure_.code == 0) return {};
    return failure_;
}

void JsonWriter::begin(std::string_view key, char opening, char closing) {
    POLLARD_REQUIRE(depth_ < deepest, "JSON nested deeper than JsonWriter::deepest: raise it");
    put_key(key);
    put({&opening, 1});
    closing_[depth_++] = closing;
    needs_comma_ = false;
}

void JsonWriter::end() {
    POLLARD_REQUIRE(depth_ > 0, "end() without a begin");
    put({&closing_[--depth_], 1});
    needs_comma_ = true;
}

void JsonWriter::text(std::string_view key, std::string_view value) {
    put_key(key);
    put_string(value);
    needs_comma_ = true;
}

void JsonWriter::number(std::string_view key, std::int64_t value) {
    put_key(key);
    put(Text().add("%lld", static_cast<long long>(value)).view());
    needs_comma_ = true;
}

void JsonWriter::microseconds(std::string_view key, std::int64_t value_ns) {
    POLLARD_REQUIRE(value_ns >= 0, "a timeline has no times before its beginning");
    put_key(key);
    put(Text()
            .add("%lld.%03lld", static_cast<long long>(value_ns / 1000),
                 static_cast<long long>(value_ns % 1000))
            .view());
    needs_comma_ = true;
}

void JsonWriter::next_line() {
    put(needs_comma_ ? ",\n" : "\n");
    needs_comma_ = false;
}

void JsonWriter::put_key(std::string_view key) {
    if (needs_comma_) put(",");
    if (key.empty()) return;
    put_string(key);
    put(":");
}

void JsonWriter::put_string(std::string_view value) {
    put("\"");
    while (!value.empty()) {
        const auto first = static_cast<unsigned char>(value[0]);
        const std::size_t length = length_of_character(value);
        if (length == 0)
            put("\\ufffd");
        else if (first == '"' || first == '\\')
            put(Text().add("\\%c", first).view());
        else if (first < ' ')
            put(Text().add("\\u%04x", first).view());
        else
            put(part_of(value, 0, length));
        value.remove_prefix(length == 0 ? 1 : length);
    }
    put("\"");
}

void JsonWriter::put(std::string_view raw) {
    if (std::fwrite(raw.data(), 1, raw.size(), file_) != raw.size()) note_failure();
}

void JsonWriter::note_failure() {
    if (failure_.code == 0) failure_.code = errno != 0 ? errno : EIO;
}

}  // namespace pollard
