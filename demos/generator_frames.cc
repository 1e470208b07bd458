// generator_frames: the life of a generator's frame: made, resumed, stopped, resumed, finished.
//
//      tools/demo generator_frames
//
// What to look at: a function that can stop in the middle is an object that one can print. After each request
// this demo shows the generator's state, the line at which its body goes on, the site (the text of the macro
// it stands at), and its fields. In Python the same is seen with
//
//      g = greeting(); next(g); g.gi_frame.f_lineno; g.gi_frame.f_locals
//
// Compare the lines that are printed with the bodies below. Nothing of a body runs when the object is made.
// Each request runs it from one stop to the next, like a call of a function. What it has to remember is in
// the fields; what it forgets, in ordinary locals. And all of it is in one object of known size, made here on
// the stack: no heap, no scheduler, no kernel.
//
// To step through it, break at Greeting::body: next() calls it three times, and it returns three times.
//
// Read next: core/generator.h (what the requests do), core/co_macros.h (what the macros write), then
// demos/tiny_event_loop.cc, where generators take turns.
#include <cstdio>
#include <string_view>

#include "core/generator.h"
#include "demos/options.h"

using namespace pollard;

namespace {

// --- the generators ---

struct Greeting : Generator<Greeting, const char*> {
    int words_said = 0;

    Progress body() {
        CO_BEGIN;
        std::puts("    (the body begins)");
        ++words_said;
        CO_YIELD("Hello");
        std::puts("    (the body goes on behind Hello)");
        ++words_said;
        CO_YIELD("World");
        std::puts("    (the body goes on behind World, and comes to its end)");
        CO_END;
    }
};

/// The mean of all that was sent so far. At a timeout it gives the last one again; 0 asks for the count.
struct Mean : Generator<Mean, double, double, int> {
    Result<double> number;
    double sum = 0;
    int count = 0;
    int timeouts = 0;

    double mean() const { return count == 0 ? 0 : sum / count; }

    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(number, yield(mean()));
            if (!number && number.error().kind == ErrorKind::timed_out) {
                ++timeouts;
                continue;
            }
            if (!number) CO_RETURN(number.error());
            if (*number == 0) CO_RETURN(count);
            sum += *number;
            ++count;
        }
        CO_END;
    }
};

/// Has something to clean up, however it ends.
struct Lender : Generator<Lender, const char*> {
    bool book_is_lent = false;
    Result<Nothing> returned_book;

    Progress body() {
        CO_BEGIN;
        book_is_lent = true;
        CO_AWAIT(returned_book, yield("a book"));
        std::printf("    (the body takes the book back: %s)\n", describe(returned_book.error().kind));
        book_is_lent = false;
        if (!returned_book) CO_RETURN(returned_book.error());
        CO_END;
    }
};

/// Says 1000, then lets a Mean speak in its place, then says how many numbers that had.
struct Host : Generator<Host, double, double> {
    Mean guest;
    Result<int> guest_count;

    Progress body() {
        CO_BEGIN;
        CO_YIELD(1000);
        CO_AWAIT(guest_count, delegate(guest));
        if (!guest_count) CO_RETURN(guest_count.error());
        CO_YIELD(*guest_count);
        CO_END;
    }
};

// --- showing them ---

Text fields_of(const Greeting& greeting) { return Text().add("words_said = %d", greeting.words_said); }
Text fields_of(const Mean& mean) {
    return Text().add("sum = %g, count = %d, timeouts = %d", mean.sum, mean.count, mean.timeouts);
}
Text fields_of(const Lender& lender) {
    return Text().add("book_is_lent = %s", lender.book_is_lent ? "true" : "false");
}
Text fields_of(const Host& host) {
    return Text().add("guest_count = %d, and the guest: see below", host.guest_count.value_or(-1));
}

Text in_words(const char* value) { return Text().add("%s", value); }
Text in_words(double value) { return Text().add("%g", value); }
template <class T>
Text in_words(const Result<T>& result) {
    if (result) return in_words(*result);
    if (result.error().kind == ErrorKind::stopped) return Text().add("stopped");
    return Text().add("error: %s", describe(result.error()).c_str());
}
Text in_words(const Result<void>& result) {
    return Text().add("%s", result ? "no error" : describe(result.error()).c_str());
}

/// "generator_frames.cc:42": of the path only the end, which is the same wherever this was compiled.
Text place_of(const Site& site) {
    return Text().add("%s:%u", site.file + (std::string_view(site.file).rfind('/') + 1), site.line);
}

template <class G>
void show_frame(const G& generator, const char* indent = "    ") {
    const GeneratorState state = generator.state();
    const auto line = static_cast<unsigned>(generator.resume_point);
    std::printf("%sstate       %s\n", indent, describe(state));
    if (state == GeneratorState::created)
        std::printf("%sgoes on at  its beginning\n", indent);
    else if (state == GeneratorState::finished)
        std::printf("%sgoes on at  nowhere\n", indent);
    else
        std::printf("%sgoes on at  line %u\n", indent, line);
    if (const Site* site = generator.site; site != nullptr)
        std::printf("%ssite        %s  %s\n", indent, place_of(*site).c_str(), site->expression);
    else
        std::printf("%ssite        none\n", indent);
    std::printf("%sfields      %s\n", indent, fields_of(generator).c_str());
}

/// A consumer that says each request before it is made, and shows the frame as it is afterwards.
template <class G>
struct Shown {
    const char* name;
    G& generator;

    Shown(const char* called, G& shown) : name(called), generator(shown) {}

    void next() {
        std::printf("%s.next()\n", name);
        show_answer(generator.next());
    }
    void send(double value) {
        std::printf("%s.send(%g)\n", name, value);
        show_answer(generator.send(value));
    }
    void fail(ErrorKind kind) {
        std::printf("%s.fail(%s)\n", name, describe(kind));
        show_answer(generator.fail(Error(kind, Call::none)));
    }
    void close() {
        std::printf("%s.close()\n", name);
        show_answer(generator.close());
    }

private:
    template <class T>
    void show_answer(const Result<T>& answer) {
        std::printf("    gives       %s\n", in_words(answer).c_str());
        show_frame(generator);
        if constexpr (requires { generator.guest; }) {
            std::printf("    the guest in it\n");
            show_frame(generator.guest, "        ");
        }
        std::printf("\n");
    }
};

// --- the story ---

void heading(const char* text) { std::printf("\n=== %s ===\n\n", text); }

void life_of_a_frame() {
    heading("The life of a frame: made, Hello, World, stopped");
    Greeting greeting;
    std::printf("Greeting greeting;\n");
    std::printf("    address     %p\n", static_cast<void*>(&greeting));
    std::printf("    size        %zu bytes: %zu of any Frame, the rest the generator's and its fields\n",
                sizeof greeting, sizeof(Frame));
    show_frame(greeting);
    std::printf("\n");

    Shown shown("greeting", greeting);
    shown.next();
    shown.next();
    shown.next();
    shown.next();
}

void sending() {
    heading("send: a value for the yield at which it stands");
    Mean mean;
    Shown shown("mean", mean);
    shown.send(10);  // there is no such yield yet
    shown.next();
    shown.send(10);
    shown.send(20);
    shown.send(0);
    std::printf("mean.returned()\n    gives       %d, what stood behind CO_RETURN\n", *mean.returned());
}

void failing() {
    heading("fail: an error arrives at the yield");
    Mean mean;
    Shown shown("mean", mean);
    shown.next();
    shown.send(10);
    std::printf("Caught: the body looks for timeouts, and goes on.\n\n");
    shown.fail(ErrorKind::timed_out);
    std::printf("Not caught: the body ends with it, and it comes out where it was put in.\n\n");
    shown.fail(ErrorKind::connection_reset);
    shown.next();
}

void closing() {
    heading("close: come to an end now");
    Lender lender;
    Shown shown("lender", lender);
    shown.next();
    shown.close();
    std::printf("Closed before the start: the body never runs, there is nothing to clean up.\n\n");
    Lender unused;
    Shown("unused", unused).close();
}

void delegating() {
    heading("delegate: another generator speaks in its place");
    std::printf(
        "    consumer                       Host                           Mean\n"
        "       |-- next, send, fail, close -->|-- the same request -------->|\n"
        "       |<-- value --------------------|<-- value -------------------|  yield(mean())\n"
        "       |                              |<-- what it returned --------|  CO_RETURN(count)\n"
        "\n"
        "Awaiting is the same with another consumer: requests go in to the innermost frame, what it\n"
        "waits for comes out, and each result goes to the frame that waits for it.\n\n");
    Host host;
    Shown shown("host", host);
    shown.next();
    shown.next();
    shown.send(30);
    shown.fail(ErrorKind::timed_out);
    shown.send(0);
    shown.next();
}

}  // namespace

int main(int argc, char** argv) {
    if (const int code = parse_options(argc, argv, {}); code >= 0) return code;
    life_of_a_frame();
    sending();
    failing();
    closing();
    delegating();
    return 0;
}
