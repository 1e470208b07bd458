// The words for places and for what is waited for, shared by the narration and the timeline.
#include "core/trace/place.h"

#include <string_view>

#include "core/sleep.h"

namespace pollard {

namespace {

constexpr int longest_expression = 60;

/// A compiler's coroutine: its site knows the function and not the text of the expression.
bool made_by_compiler(const Site& site) { return site.indirect && site.borrowed; }

/// "serve" of "pollard::Co<int> {anonymous}::serve(Socket)".
std::string_view name_in(std::string_view signature) {
    // Clang writes "(anonymous namespace)", with a parenthesis that begins no parameters.
    constexpr std::string_view clang_scope = "(anonymous namespace)::";
    if (const auto scope = signature.rfind(clang_scope); scope != std::string_view::npos)
        signature.remove_prefix(scope + clang_scope.size());
    signature = part_of(signature, 0, signature.find('('));
    const auto before = signature.find_last_of(" :");
    return before == std::string_view::npos ? signature : part_of(signature, before + 1);
}

Text describe_awaited(Frame& frame) {
    // A sleep is told of before its deadline is known.
    if (frame.site->awaited == &awaited_type<Sleep>) return Text().add("sleep_ns");
    Text text;
    frame.site->awaited->describe(awaited_by(frame), text);
    return text.size != 0 ? text : text.add("%s", frame.site->awaited->name);
}

}  // namespace

Text describe_place(const Site& site) {
    const std::string_view path = site.file;
    const std::string_view file = part_of(path, path.find_last_of("/\\") + 1);
    return Text().add("%.*s:%u", static_cast<int>(file.size()), file.data(), site.line);
}

Text describe_await(Frame& frame) {
    const Site& site = *frame.site;
    if (made_by_compiler(site)) {
        const std::string_view function = name_in(site.expression);
        return Text().add("%.*s awaits %s", static_cast<int>(function.size()), function.data(),
                          describe_awaited(frame).c_str());
    }
    const std::string_view expression = site.expression;
    if (expression.size() <= longest_expression) return Text().add("awaits %s", site.expression);
    return Text().add("awaits %.*s...", longest_expression - 3, site.expression);
}

}  // namespace pollard
