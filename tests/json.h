// Reads JSON back: strictly, so that what a lenient reader would forgive is seen.
//
// RFC 8259 and no more: no trailing commas, no doubled keys, no control characters, nothing that is not UTF-8.
#pragma once

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pollard {

struct Json {
    enum class Kind { null, boolean, number, text, array, object } kind = Kind::null;
    double number = 0;
    std::string text;
    std::vector<Json> elements;
    std::map<std::string, Json> fields;

    const Json& operator[](const std::string& key) const {
        static const Json nothing;
        const auto found = fields.find(key);
        return found == fields.end() ? nothing : found->second;
    }
    bool has(const std::string& key) const { return fields.count(key) != 0; }
};

class JsonParser {
public:
    explicit JsonParser(std::string_view text) : rest_(text) {}

    bool parse(Json& into) {
        if (!value(into)) return false;
        space();
        return rest_.empty();
    }
    std::size_t left() const { return rest_.size(); }

private:
    void space() {
        while (!rest_.empty() && std::strchr(" \t\r\n", rest_[0]) != nullptr) rest_.remove_prefix(1);
    }
    bool take(std::string_view word) {
        if (!rest_.starts_with(word)) return false;
        rest_.remove_prefix(word.size());
        return true;
    }
    bool value(Json& into) {
        space();
        if (rest_.empty()) return false;
        switch (rest_[0]) {
            case '{':
                return object(into);
            case '[':
                return array(into);
            case '"':
                into.kind = Json::Kind::text;
                return string(into.text);
            case 't':
                into.kind = Json::Kind::boolean;
                return take("true");
            case 'f':
                into.kind = Json::Kind::boolean;
                return take("false");
            case 'n':
                return take("null");
            default:
                return number(into);
        }
    }
    bool object(Json& into) {
        into.kind = Json::Kind::object;
        take("{");
        space();
        if (take("}")) return true;
        for (;;) {
            std::string key;
            space();
            if (!string(key)) return false;
            space();
            if (!take(":")) return false;
            if (into.fields.count(key) != 0) return false;
            if (!value(into.fields[key])) return false;
            space();
            if (take("}")) return true;
            if (!take(",")) return false;
        }
    }
    bool array(Json& into) {
        into.kind = Json::Kind::array;
        take("[");
        space();
        if (take("]")) return true;
        for (;;) {
            if (!value(into.elements.emplace_back())) return false;
            space();
            if (take("]")) return true;
            if (!take(",")) return false;
        }
    }
    bool digits() {
        const std::size_t before = rest_.size();
        while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') rest_.remove_prefix(1);
        return rest_.size() < before;
    }
    bool number(Json& into) {
        const std::string_view from = rest_;
        take("-");
        if (!take("0") && !digits()) return false;
        if (take(".") && !digits()) return false;
        if (take("e") || take("E")) {
            if (!take("+")) take("-");
            if (!digits()) return false;
        }
        into.kind = Json::Kind::number;
        into.number = std::strtod(std::string(from.substr(0, from.size() - rest_.size())).c_str(), nullptr);
        return true;
    }
    bool string(std::string& into) {
        if (!take("\"")) return false;
        while (!rest_.empty()) {
            if (take("\"")) return true;
            if (static_cast<unsigned char>(rest_[0]) < ' ') return false;
            if (rest_[0] == '\\' ? !escape(into) : !character(into)) return false;
        }
        return false;
    }
    bool escape(std::string& into) {
        static const std::map<char, char> simple = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'b', '\b'},
                                                    {'f', '\f'}, {'n', '\n'},  {'r', '\r'}, {'t', '\t'}};
        if (rest_.size() < 2) return false;
        if (const auto found = simple.find(rest_[1]); found != simple.end()) {
            into += found->second;
            rest_.remove_prefix(2);
            return true;
        }
        if (rest_[1] != 'u' || rest_.size() < 6) return false;
        unsigned code = 0;
        for (std::size_t i = 2; i < 6; ++i) {
            if (!std::isxdigit(static_cast<unsigned char>(rest_[i]))) return false;
            code = code * 16 + static_cast<unsigned>(std::stoi(std::string(1, rest_[i]), nullptr, 16));
        }
        rest_.remove_prefix(6);
        if (code < 0x80)
            into += static_cast<char>(code);
        else
            into += code == 0xfffd ? "\xef\xbf\xbd" : "?";
        return true;
    }
    /// A character of UTF-8 in its only form (RFC 3629).
    bool character(std::string& into) {
        const auto first = static_cast<unsigned char>(rest_[0]);
        const std::size_t length = first < 0x80   ? 1
                                   : first < 0xc0 ? 0
                                   : first < 0xe0 ? 2
                                   : first < 0xf0 ? 3
                                                  : 4;
        if (length == 0 || first > 0xf4 || rest_.size() < length) return false;
        unsigned code = length == 1 ? first : first & (0x7fu >> length);
        for (std::size_t i = 1; i < length; ++i) {
            const auto next = static_cast<unsigned char>(rest_[i]);
            if ((next & 0xc0) != 0x80) return false;
            code = code << 6 | (next & 0x3f);
        }
        constexpr unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
        into += rest_.substr(0, length);
        rest_.remove_prefix(length);
        return true;
    }

    std::string_view rest_;
};

}  // namespace pollard
