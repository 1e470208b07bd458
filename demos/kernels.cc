// kernels: which kernels this machine has, what each can do, and one short story on each, their calls side by side.
//
//      tools/demo kernels
//      tools/demo kernels --kernel epoll      one of them
//      tools/demo kernels --width 200         wider columns: more of each call
//
// The story: a server waits for a connection, receives, answers, waits for more, finds the end, closes. It is told in
// operations (platform/operation.h), straight on a completion port: no loop and no coroutine is between the story and
// the calls. The client's calls are made behind the door, where no observer sees them: every call in a column is the
// server's.
//
//      server --> CompletionPort --> [ observed door ] --> kernel <-- client
//                                          |
//                                          +--> a line in this kernel's column
//
// What to look at: a kernel of readiness is asked, says EAGAIN, and is asked again after its event; a kernel of
// completion has no EAGAIN. And what is not done: epoll is told of a connection once, and nobody asks again for what is
// known to be empty. ("-": no call.)
//
// Read next: platform/README.md ("Where kernels differ"); platform/attempt/attempt_port.h.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <span>

#include "demos/options.h"
#include "platform/backend.h"
#include "platform/clock.h"
#include "platform/describe_call.h"
#include "platform/interposed_kernel.h"
#include "platform/socket.h"

using namespace pollard;

namespace {

constexpr const char* chapters[] = {
    "a completion port is opened",
    "the server waits for a connection, and nobody is there yet",
    "a client has connected",
    "the server waits for its words, and there are none yet",
    "the words have come",
    "the server answers",
    "it waits for more, and there is none",
    "the client has closed: the end",
    "the server closes",
};
constexpr std::size_t most_kernels = 8;
constexpr std::size_t most_calls = 40;  // of one story; further ones would not be shown

/// What is learnt of one kernel: its calls, each in a chapter, and what was measured.
struct Column {
    struct Line {
        int chapter;
        Text call;
    };
    const Backend* backend = nullptr;
    Line lines[most_calls];
    std::size_t line_count = 0;
    bool told_at_once = false;
    std::int64_t short_wait_ns = 0;
    double calls_an_echo = 0;
};

// --- one server, one client ---

/// An operation that knows whether it was told.
template <class Kind>
struct Told : Kind {
    template <class... Arguments>
    explicit Told(Arguments&&... arguments) : Kind(arguments...) {
        this->completed = [](Operation* operation) { static_cast<Told*>(operation)->done = true; };
    }
    bool done = false;
};

/// Notes every call of the server's in the column of its kernel.
struct Listener : Observer {
    explicit Listener(Column& which) : column(which) {
        kernel_called = [](Observer& self, const KernelCall& call) {
            static_cast<Listener&>(self).note(call);
        };
        current_observer = this;
    }
    ~Listener() { current_observer = nullptr; }

    void note(const KernelCall& call) {
        ++calls;
        if (chapter < 0 || column.line_count == most_calls) return;
        Column::Line& line = column.lines[column.line_count++];
        line.chapter = chapter;
        line.call = describe_kernel_call(call);
    }

    Column& column;
    int chapter = 0;  // negative: calls are counted only
    std::size_t calls = 0;
};

struct Stage {
    explicit Stage(Column& column) : listener(column) {}
    Stage(const Stage&) = delete;

    /// Waits for what was started. When waiting fails it is cancelled; its completion comes in any case.
    template <class Kind>
    auto outcome(Told<Kind>& operation) {
        Error failed;
        while (!operation.done) {
            WorkList ready;
            if (const Result<void> waited = port->wait(-1, ready); !waited) {
                failed = waited.error();
                port->cancel(operation);
            }
            while (!ready.empty()) ready.pop_front().run();
        }
        auto result = operation.result();
        if (!result && failed.kind != ErrorKind::none) result = failed;
        return result;
    }
    template <class Kind>
    void start(Told<Kind>& operation) {
        operation.done = port->start(operation);
    }
    template <class Kind>
    auto run(Told<Kind>& operation) {
        start(operation);
        return outcome(operation);
    }
    /// What is still open is closed; after that nothing is armed.
    ~Stage() {
        if (port == nullptr) return;
        listener.chapter = -1;
        for (const Handle handle : {served, listening}) {
            if (handle == no_handle) continue;
            Told<CloseOperation> closing(handle);
            if (const Result<void> closed = run(closing); !closed)
                report_problem("closing a handle failed", closed.error());
        }
        client.reset();
        port->destroy();
    }

    Listener listener;
    ObservedKernel observed;
    CompletionPort* port = nullptr;
    Handle listening = no_handle;
    Handle served = no_handle;
    OwnedHandle client;  // behind the door
};

Result<void> open_stage(Stage& stage, const Backend& backend) {
    const Result<CompletionPort*> opened = backend.open({.in_front = &stage.observed});
    if (!opened) return opened.error();
    stage.port = *opened;
    Kernel& behind = *stage.observed.inner;
    const Result<Handle> listening = open_listener(behind, *parse_address("127.0.0.1", 0));
    if (!listening) return listening.error();
    stage.listening = *listening;
    return stage.port->open(*listening, HandleKind::stream);
}

/// It is not waited for: a simulated kernel brings it with the next wait.
Result<void> connect_client(Stage& stage) {
    Kernel& behind = *stage.observed.inner;
    const Result<Address> address = local_address(behind, stage.listening);
    if (!address) return address.error();
    const Result<Handle> made = open_stream_socket(behind, *address, Blocking::yes);
    if (!made) return made.error();
    stage.client = OwnedHandle(behind, *made);
    const Result<void> connected = connect_blocking(behind, *made, *address);
    if (!connected && connected.error().kind != ErrorKind::in_progress) return connected.error();
    return {};
}

Result<void> client_says(Stage& stage, std::string_view words) {
    return send_all_blocking(*stage.observed.inner, stage.client.get(), words.data(), words.size());
}

Result<std::size_t> client_hears(Stage& stage, std::span<char> room) {
    return recv_blocking(*stage.observed.inner, stage.client.get(), room.data(), room.size());
}

std::span<const std::byte> first_bytes(std::span<char> buffer, std::size_t size) {
    return std::as_bytes(buffer.first(size));
}

// --- the story ---

Result<void> tell_story(Stage& stage, const Backend& backend) {
    int& chapter = stage.listener.chapter;
    if (const Result<void> opened = open_stage(stage, backend); !opened) return opened;

    chapter = 1;
    Told<AcceptOperation> accepting(stage.listening);
    stage.start(accepting);
    chapter = 2;
    if (const Result<void> connected = connect_client(stage); !connected) {
        (void)stage.outcome(accepting);
        return connected;
    }
    const Result<Handle> served = stage.outcome(accepting);
    if (!served) return served.error();
    stage.served = *served;

    chapter = 3;
    char room[64];
    Told<RecvOperation> receiving(stage.served, writable_bytes(room));
    stage.start(receiving);
    chapter = 4;
    const Result<void> said = client_says(stage, "Hello Server!");
    const Result<std::size_t> received = stage.outcome(receiving);
    if (!said) return said;
    if (!received) return received.error();

    chapter = 5;
    Told<SendAllOperation> answering(stage.served, first_bytes(room, *received));
    if (const Result<void> sent = stage.run(answering); !sent) return sent;
    if (const Result<std::size_t> heard = client_hears(stage, room); !heard) return heard.error();

    chapter = 6;
    Told<RecvOperation> receiving_more(stage.served, writable_bytes(room));
    stage.start(receiving_more);
    chapter = 7;
    stage.client.reset();
    const Result<std::size_t> end = stage.outcome(receiving_more);
    if (!end) return end.error();

    chapter = 8;
    Told<CloseOperation> closing(stage.served);
    stage.served = no_handle;
    return stage.run(closing);
}

// --- what each can do ---

/// Data is there before the receive is started: is the answer there when start returns?
Result<bool> is_told_at_once(Stage& stage) {
    if (const Result<void> said = client_says(stage, "x"); !said) return said.error();
    // Whatever the kernel has to tell of it is taken first.
    WorkList none;
    if (const Result<void> looked = stage.port->wait(0, none); !looked) return looked.error();
    char byte[1];
    Told<RecvOperation> receiving(stage.served, writable_bytes(byte));
    stage.start(receiving);
    const bool at_once = receiving.done;
    const Result<std::size_t> received = stage.outcome(receiving);
    if (!received) return received.error();
    return at_once;
}

constexpr std::int64_t short_wait_ns = 100 * microsecond_ns;

Result<std::int64_t> shortest_wait(Stage& stage) {
    std::int64_t shortest_ns = never_ns;
    for (int times = 0; times < 5; ++times) {
        WorkList none;
        const std::int64_t began_ns = stage.observed.clock(stage.observed);
        const Result<void> waited = stage.port->wait(short_wait_ns, none);
        if (!waited) return waited.error();
        shortest_ns = std::min(shortest_ns, stage.observed.clock(stage.observed) - began_ns);
    }
    return shortest_ns;
}

Result<double> calls_an_echo(Stage& stage) {
    constexpr int rounds = 100;
    char room[64];
    stage.listener.calls = 0;
    for (int round = 0; round < rounds; ++round) {
        Told<RecvOperation> receiving(stage.served, writable_bytes(room));
        stage.start(receiving);
        const Result<void> said = client_says(stage, "echo");
        const Result<std::size_t> received = stage.outcome(receiving);
        if (!said) return said.error();
        if (!received) return received.error();
        Told<SendAllOperation> answering(stage.served, first_bytes(room, *received));
        if (const Result<void> sent = stage.run(answering); !sent) return sent.error();
        if (const Result<std::size_t> heard = client_hears(stage, room); !heard) return heard.error();
    }
    return static_cast<double>(stage.listener.calls) / rounds;
}

Result<void> measure(Stage& stage, Column& column) {
    stage.listener.chapter = -1;
    if (const Result<void> opened = open_stage(stage, *column.backend); !opened) return opened;
    if (const Result<void> connected = connect_client(stage); !connected) return connected;
    Told<AcceptOperation> accepting(stage.listening);
    const Result<Handle> served = stage.run(accepting);
    if (!served) return served.error();
    stage.served = *served;
    const Result<bool> at_once = is_told_at_once(stage);
    if (!at_once) return at_once.error();
    column.told_at_once = *at_once;
    const Result<std::int64_t> shortest_ns = shortest_wait(stage);
    if (!shortest_ns) return shortest_ns.error();
    column.short_wait_ns = *shortest_ns;
    const Result<double> calls = calls_an_echo(stage);
    if (!calls) return calls.error();
    column.calls_an_echo = *calls;
    return {};
}

Result<void> learn(Column& column) {
    {
        Stage stage(column);
        if (const Result<void> told = tell_story(stage, *column.backend); !told) return told;
    }
    Stage stage(column);
    return measure(stage, column);
}

// --- printing ---

/// The whole call where it fits; else the end of its arguments is left out. (So is the result if it is an address.)
Text fitted(const Text& call, std::size_t width) {
    Text text;
    const char* full = call.c_str();
    const std::size_t room = width - 1;
    const char* result = std::strstr(full, ") = ");
    if (result == nullptr || call.size <= room) return text.add("%.*s", static_cast<int>(room), full);
    const char* shown = std::strlen(result) <= std::strlen(") = ECONNREFUSED") ? result : ") = ..";
    const auto arguments_end = static_cast<std::size_t>(result - full);
    if (arguments_end + std::strlen(shown) <= room)
        return text.add("%.*s%s", static_cast<int>(arguments_end), full, shown);
    const std::size_t kept = room - std::min(room, std::strlen("..") + std::strlen(shown));
    return text.add("%.*s..%s", static_cast<int>(kept), full, shown);
}

const Column::Line* line_of(const Column& column, int chapter, std::size_t number) {
    for (std::size_t i = 0; i < column.line_count; ++i)
        if (column.lines[i].chapter == chapter && number-- == 0) return &column.lines[i];
    return nullptr;
}

/// One row: `cell(column)` for each. False, and nothing is printed, when all are empty.
bool print_row(std::span<const Column> block, std::size_t width, const char* label, auto cell) {
    Text row;
    row.add("%s", label);
    bool any = false;
    for (const Column& column : block) {
        const Text text = cell(column);
        any = any || text.size > 0;
        row.add("%-*s", static_cast<int>(width), text.c_str());
    }
    while (row.size > 0 && row.chars[row.size - 1] == ' ') row.chars[--row.size] = '\0';
    if (any) std::puts(row.c_str());
    return any;
}

Text name_of(const Column& column) { return Text().add("%s", column.backend->name); }

void print_abilities(std::span<const Column> block, std::size_t width) {
    print_row(block, width, "                           ", name_of);
    print_row(block, width, "contract                   ",
              [](const Column& column) { return Text().add("%s", column.backend->native_contract); });
    print_row(block, width, "an answer that is there    ", [](const Column& column) {
        return Text().add("%s", column.told_at_once ? "told at once" : "by the next wait");
    });
    print_row(block, width, "a wait of 0.100 ms takes   ", [](const Column& column) {
        return Text().add("%.3f ms", static_cast<double>(column.short_wait_ns) / millisecond_ns);
    });
    print_row(block, width, "system calls an echo       ",
              [](const Column& column) { return Text().add("%.2f", column.calls_an_echo); });
    std::puts("");
}

void print_story(std::span<const Column> block, std::size_t width) {
    print_row(block, width, "  ", name_of);
    for (int chapter = 0; chapter < static_cast<int>(std::size(chapters)); ++chapter) {
        std::printf("%s\n", chapters[chapter]);
        for (std::size_t number = 0;; ++number) {
            const bool any = print_row(block, width, "  ", [&](const Column& column) {
                const Column::Line* line = line_of(column, chapter, number);
                if (line == nullptr && number == 0) return Text().add("-");
                return line != nullptr ? fitted(line->call, width) : Text();
            });
            if (!any) break;
        }
    }
    std::puts("");
}

/// Side by side as many as fit, the others below them.
void print_in_blocks(std::span<const Column> all, std::size_t width, std::size_t label_width,
                     std::size_t narrowest, void (*print)(std::span<const Column>, std::size_t)) {
    const std::size_t room = width > label_width + narrowest ? width - label_width : narrowest;
    while (!all.empty()) {
        const std::size_t count = std::min(all.size(), room / narrowest);
        print(all.first(count), std::min<std::size_t>(room / count, 60));
        all = all.subspan(count);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const char* only = nullptr;
    std::int64_t width = 140;
    const Option options[] = {text("--kernel", only, "NAME", "this one only"),
                              number("--width", width, "N", "columns of the screen", 60, 230)};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (only != nullptr && find_backend(only) == nullptr)
        return usage_error("unknown kernel %s; without --kernel, all that there are", only);

    Column columns[most_kernels];
    std::size_t count = 0;
    for (const Backend* backend : all_backends()) {
        if (only != nullptr && std::string_view(backend->name) != only) continue;
        const char* why = backend->why_unavailable();
        std::printf("%-22s %-12s %s\n", backend->name, backend->native_contract,
                    why != nullptr ? why
                    : backend == &default_backend()
                        ? "is here, and is what a loop takes if nothing is asked for"
                        : "is here");
        if (why != nullptr || count == most_kernels) continue;
        Column& column = columns[count++];
        column.backend = backend;
        if (const Result<void> learnt = learn(column); !learnt)
            return fail("%s: %s", backend->name, describe(learnt.error()).c_str());
    }
    std::puts("");
    const std::span<const Column> all(columns, count);
    print_in_blocks(all, static_cast<std::size_t>(width), 27, 21, print_abilities);
    print_in_blocks(all, static_cast<std::size_t>(width), 2, 26, print_story);
    return 0;
}
