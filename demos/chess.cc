// chess: Judit Polgar plays against twenty-four: 12 h one game after another, 1 h from board to board.
//
//      tools/demo chess
//      tools/demo chess --opponents 8                   too few: she has to wait at the boards
//      tools/demo chess --opponents 2 --moves 2 --explain
//      tools/demo chess --kernel epoll --opponents 3 --her-seconds 1 --their-seconds 3 --moves 2   real time
//
// A move of hers takes 5 s, an answer 55 s, and each game is 30 such pairs. Both ways to play are run here,
// as programs of coroutines, in virtual time: the default kernel of this demo is `simulated`, whose clock
// jumps to the next moment at which anything happens. The times are read from that clock, and the charts show
// what the coroutines noted while they ran.
//
// What to look at: HerMove and Answer are the same in both ways. What differs is who waits for the answer:
//
//      one game after another    CO_TRY(Answer{...})              Judit herself, at the board
//      from board to board       create_task(Answer{...})         a task; she waits for it when she comes
//                                ... CO_TRY(answers[board])       round again, and by then it is done
//
// With 24 boards she is away for 23 * 5 = 115 s, longer than any answer takes, so she never waits. With 8 she
// does: then the opponents are what takes the time. The last opponent answers 55 s after she has left.
//
// Judit is one thread: she is never at two boards at once. What differs is what she does while they think.
//
// Read next: core/task.h (what create_task makes), demos/three_forms.cc.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "core/coroutine.h"
#include "core/sleep.h"
#include "core/task.h"
#include "demos/demo_loop.h"

using namespace pollard;

namespace {

constexpr int most_opponents = 100;

struct Rules {
    std::int64_t opponents = 24;
    std::int64_t her_seconds = 5;
    std::int64_t their_seconds = 55;
    std::int64_t moves = 30;

    std::int64_t her_move_ns() const { return her_seconds * second_ns; }
    std::int64_t answer_ns() const { return their_seconds * second_ns; }
};

// --- what is noted during a run ---

/// The first minutes as seen from above: one lane for Judit, one for each of the first few opponents.
struct Chart {
    static constexpr int columns = 72;
    static constexpr int lanes = 6;
    static constexpr int judit = 0;
    static constexpr int lane_of(int board) { return board + 1; }
    static constexpr char her_move = '#', thinking = '~', waiting = '.', nothing = ' ';

    std::int64_t began_ns;
    std::int64_t column_ns;
    char cells[lanes][columns];

    Chart(std::int64_t start_ns, std::int64_t ns_per_column) : began_ns(start_ns), column_ns(ns_per_column) {
        std::memset(cells, nothing, sizeof cells);
    }

    /// A column shows what was going on in its middle.
    void note(int lane, char what, std::int64_t from_ns, std::int64_t to_ns) {
        if (lane >= lanes) return;
        for (int column = 0; column < columns; ++column) {
            const std::int64_t middle_ns = began_ns + column * column_ns + column_ns / 2;
            if (from_ns <= middle_ns && middle_ns < to_ns) cells[lane][column] = what;
        }
    }
};

struct Game {
    std::int64_t first_move_ns = -1;
    std::int64_t last_answer_ns = 0;
    /// Since then the opponent sits and waits for her.
    std::int64_t waits_since_ns = 0;
};

/// One run: the rules, and everything its coroutines noted.
struct Exhibition {
    const Rules& rules;
    EventLoop& loop;
    Chart chart;
    std::array<Game, most_opponents> games;
    std::int64_t began_ns;
    std::int64_t she_waited_ns = 0;
    std::int64_t she_left_ns = 0;

    Exhibition(const Rules& with, EventLoop& on)
        : rules(with), loop(on), chart(on.time_ns(), with.her_move_ns()), began_ns(on.time_ns()) {
        for (Game& game : games) game.waits_since_ns = began_ns;
    }

    void note_her_move(int board, std::int64_t from_ns) {
        Game& game = games[static_cast<std::size_t>(board)];
        if (game.first_move_ns < 0) game.first_move_ns = from_ns;
        chart.note(Chart::lane_of(board), Chart::waiting, game.waits_since_ns, from_ns);
        chart.note(Chart::lane_of(board), Chart::her_move, from_ns, loop.time_ns());
        chart.note(Chart::judit, Chart::her_move, from_ns, loop.time_ns());
    }
    void note_answer(int board, std::int64_t from_ns) {
        Game& game = games[static_cast<std::size_t>(board)];
        game.last_answer_ns = game.waits_since_ns = loop.time_ns();
        chart.note(Chart::lane_of(board), Chart::thinking, from_ns, game.last_answer_ns);
    }
    void note_she_waited(std::int64_t since_ns) {
        she_waited_ns += loop.time_ns() - since_ns;
        chart.note(Chart::judit, Chart::waiting, since_ns, loop.time_ns());
    }
    void note_she_leaves() { she_left_ns = loop.time_ns(); }
};

// --- the coroutines ---

struct HerMove : Coroutine<HerMove, void, Awaits<Sleep>> {
    Exhibition* exhibition;
    int board;
    std::int64_t from_ns;

    Progress body() {
        CO_BEGIN;
        from_ns = exhibition->loop.time_ns();
        CO_TRY(sleep_ns(exhibition->rules.her_move_ns()));
        exhibition->note_her_move(board, from_ns);
        CO_END;
    }
};

struct Answer : Coroutine<Answer, void, Awaits<Sleep>> {
    Exhibition* exhibition;
    int board;
    std::int64_t from_ns;

    Progress body() {
        CO_BEGIN;
        from_ns = exhibition->loop.time_ns();
        CO_TRY(sleep_ns(exhibition->rules.answer_ns()));
        exhibition->note_answer(board, from_ns);
        CO_END;
    }
};

/// She stays at a board until its game is over.
struct OneAfterAnother : Coroutine<OneAfterAnother, void, Awaits<HerMove, Answer>> {
    Exhibition* exhibition;
    int board = 0;
    int move = 0;
    std::int64_t waits_since_ns = 0;

    Progress body() {
        CO_BEGIN;
        for (board = 0; board < exhibition->rules.opponents; ++board) {
            for (move = 0; move < exhibition->rules.moves; ++move) {
                CO_TRY(HerMove{.exhibition = exhibition, .board = board});
                waits_since_ns = exhibition->loop.time_ns();
                CO_TRY(Answer{.exhibition = exhibition, .board = board});
                exhibition->note_she_waited(waits_since_ns);
            }
        }
        exhibition->note_she_leaves();
        CO_END;
    }
};

/// She makes one move and goes on to the next board, round and round.
struct BoardToBoard : Coroutine<BoardToBoard, void, Awaits<HerMove, TaskRef<void>&>> {
    Exhibition* exhibition;
    std::array<TaskRef<void>, most_opponents> answers;
    int board = 0;
    int move = 0;
    std::int64_t waits_since_ns = 0;

    Progress body() {
        CO_BEGIN;
        for (move = 0; move < exhibition->rules.moves; ++move) {
            for (board = 0; board < exhibition->rules.opponents; ++board) {
                if (move != 0) {
                    waits_since_ns = exhibition->loop.time_ns();
                    CO_TRY(answer());  // to her last move here; it does not even suspend if that is done
                    exhibition->note_she_waited(waits_since_ns);
                }
                CO_TRY(HerMove{.exhibition = exhibition, .board = board});
                if (const Result<void> thinks = let_opponent_think(); !thinks) CO_RETURN(thinks);
            }
        }
        exhibition->note_she_leaves();
        // The answers to her last moves are still to come.
        for (board = 0; board < exhibition->rules.opponents; ++board) CO_TRY(answer());
        CO_END;
    }

    TaskRef<void>& answer() { return answers[static_cast<std::size_t>(board)]; }

    Result<void> let_opponent_think() {
        Result<TaskRef<void>> made =
            exhibition->loop.create_task(Answer{.exhibition = exhibition, .board = board});
        if (!made) return made.error();
        answer() = *std::move(made);
        return {};
    }
};

// --- what is printed ---

/// "12 h 0 min 0 s", "30 min 0 s", "55 s"
Text duration(std::int64_t duration_ns) {
    const long long seconds = (duration_ns + second_ns / 2) / second_ns;
    Text text;
    if (seconds >= 3600) text.add("%lld h ", seconds / 3600);
    if (seconds >= 60) text.add("%lld min ", seconds / 60 % 60);
    return text.add("%lld s", seconds % 60);
}

std::int64_t longest_game_ns(const Exhibition& exhibition) {
    std::int64_t longest_ns = 0;
    for (int board = 0; board < exhibition.rules.opponents; ++board) {
        const Game& game = exhibition.games[static_cast<std::size_t>(board)];
        longest_ns = std::max(longest_ns, game.last_answer_ns - game.first_move_ns);
    }
    return longest_ns;
}

std::int64_t last_answer_ns(const Exhibition& exhibition) {
    std::int64_t last_ns = 0;
    for (const Game& game : exhibition.games) last_ns = std::max(last_ns, game.last_answer_ns);
    return last_ns;
}

void print_chart(const Chart& chart, const Rules& rules) {
    std::printf("\n  the first %s, one character for %s:\n\n",
                duration(Chart::columns * chart.column_ns).c_str(), duration(chart.column_ns).c_str());
    const auto opponents = std::min<int>(Chart::lanes - 1, static_cast<int>(rules.opponents));
    for (int lane = 0; lane <= opponents; ++lane) {
        Text name;
        if (lane == Chart::judit)
            name.add("Judit");
        else
            name.add("opponent %d", lane);
        std::printf("    %-10s  |%.*s|\n", name.c_str(), Chart::columns, chart.cells[lane]);
    }
    std::printf("    %-10s   %c her move   %c thinking   %c waiting\n\n", "", Chart::her_move,
                Chart::thinking, Chart::waiting);
}

void print_report(const char* title, const Exhibition& exhibition) {
    std::printf("%s\n\n", title);
    std::printf("  Judit has done her part after  %s\n",
                duration(exhibition.she_left_ns - exhibition.began_ns).c_str());
    std::printf("  the last answer came after     %s\n",
                duration(last_answer_ns(exhibition) - exhibition.began_ns).c_str());
    std::printf("  she waited at the boards       %s\n", duration(exhibition.she_waited_ns).c_str());
    std::printf("  the longest game took          %s\n", duration(longest_game_ns(exhibition)).c_str());
    print_chart(exhibition.chart, exhibition.rules);
}

/// Plays the whole exhibition in one of the two ways.
template <class Way>
Result<void> play(const char* title, const Rules& rules, EventLoop& loop) {
    Exhibition exhibition(rules, loop);
    const Result<void> played = loop.run_until_complete(Way{.exhibition = &exhibition});
    if (played) print_report(title, exhibition);
    return played;
}

/// In real time one should know beforehand how long it will take.
void warn_of_real_time(const Rules& rules, const char* kernel) {
    const std::int64_t pair_ns = rules.her_move_ns() + rules.answer_ns();
    const std::int64_t round_ns = std::max(rules.opponents * rules.her_move_ns(), pair_ns);
    const std::int64_t expected_ns = rules.moves * (rules.opponents * pair_ns + round_ns);
    if (expected_ns <= 60 * second_ns) return;
    std::fprintf(stderr, "chess: the kernel %s has real time only: this will take about %s\n", kernel,
                 duration(expected_ns).c_str());
}

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    demo.kernel = "simulated";  // whatever POLLARD_KERNEL says: only --kernel asks for real hours
    Rules rules;
    const Option options[] = {
        number("--opponents", rules.opponents, "N", "how many play against her (24)", 1, most_opponents),
        number("--her-seconds", rules.her_seconds, "S", "what a move of hers takes (5)", 1, 3600),
        number("--their-seconds", rules.their_seconds, "S", "what an answer takes (55)", 1, 3600),
        number("--moves", rules.moves, "N", "pairs of moves in a game (30)", 1, 1000),
        demo.kernel_option(),
        demo.explain_option(),
        demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;
    if (!demo.simulated()) warn_of_real_time(rules, demo.kernel);

    Result<void> played = play<OneAfterAnother>("One game after another", rules, demo.loop);
    if (played) played = play<BoardToBoard>("From board to board", rules, demo.loop);
    return demo.finish(played.error());
}
