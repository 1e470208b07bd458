// A kernel probe: one small program that makes one thing happen to a descriptor, and prints what this kernel says of it.
//
//      Watch watch(probe, ends.ours);      registered with every call that this kernel has for it
//      send_text(ends.peer, "hello");      something happens
//      watch.look("five bytes");           a row: what each call says now, beside what the table says
//
//      five bytes         epoll IN|OUT     poll IN|OUT       | kqueue: READ 5, WRITE
//                         this machine, each as it is          the other kernels, from table.txt
//
// Nothing of Pollard is in it: these are the raw events on which its backends rest, and the table is what the authors of
// a backend believe. A probe whose kernel says something else than its column ends with 1.
//
// "?" in the table: nobody has measured it. A system that is no column there (macOS, say) is printed and not compared.
//
// Read next: table.txt; peer_resets.cc; platform/README.md, "Where kernels differ".
#pragma once

#include <string>
#include <string_view>
#include <vector>

/// What a scenario is: one of them is linked with probe.cc, whose main calls it.
class Probe;
void scenario(Probe& probe);

enum class Trigger { level, edge };

class Probe {
public:
    /// Reads the rows of this scenario.
    Probe(const char* table_file, std::string_view scenario_name);

    /// Of one row, by its step. Ends the program when there is none.
    struct Row {
        std::string step;
        std::vector<std::string> cells;
        bool seen;
    };
    const Row& row(std::string_view step);
    /// Ends the program if a row stands in the table for nothing.
    void expect_every_row_seen() const;

    std::vector<std::string> columns;
    bool differs = false;

private:
    std::vector<Row> rows_;
};

class Watch {
public:
    /// Registers the descriptor for everything, in both directions.
    Watch(Probe& probe, int descriptor, Trigger trigger = Trigger::level);
    Watch(const Watch&) = delete;
    ~Watch();

    /// What every call says of it now. (Where the table says something else it is asked again for a while: news travels,
    /// even on one machine.)
    void look(const char* step);
    /// What taking it out again answers.
    void forget(const char* step);

private:
    std::string ask(std::string_view column);
    std::string take_out(std::string_view column);
    void print_row(const char* step, std::string (Watch::*question)(std::string_view));

    Probe& probe_;
    int descriptor_;
    int queue_ = -1;       // the epoll set, or the kqueue
    std::string refusal_;  // what registering answered, if it failed
};

// --- what happens; each ends the program when it fails, since there is nothing to probe then ---

struct Ends {
    int ours;
    int peer;
};

int made(int result, const char* call);
int tcp_socket();
int listener();
/// A socket that has been told to connect there; it may be still on its way.
int connecting_to(int listening);
Ends connected_pair();
void send_text(int descriptor, std::string_view text);
void receive(int descriptor, std::size_t size);
void close_now(int descriptor);
void close_with_reset(int descriptor);
