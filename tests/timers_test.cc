// Timers: order, precision, cancelling, and a comparison with a model that sorts everything at once.
#include "core/timers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "platform/work.h"

namespace pollard {
namespace {

using Names = std::vector<std::string>;

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t hour_ns = 3600 * second_ns;
constexpr std::int64_t year_ns = 365 * 24 * hour_ns;

/// Writes its name down when it runs.
struct NamedTimer : Timer {
    std::string name;
    Names& record;

    NamedTimer(std::string name_of_timer, Names& where)
        : Timer(&type_of_named), name(std::move(name_of_timer)), record(where) {}

    static void run_named(Work* work) {
        auto* timer = static_cast<NamedTimer*>(work);
        timer->record.push_back(timer->name);
    }
    static constexpr WorkType type_of_named{run_named, "named timer"};
};

class TimersTest : public testing::Test {
protected:
    /// Sets a new timer, which the test owns.
    NamedTimer& set(const std::string& name, std::int64_t deadline_ns) {
        return set(name, deadline_ns, *timers_);
    }
    NamedTimer& set(const std::string& name, std::int64_t deadline_ns, Timers& wheel) {
        NamedTimer& timer = *owned_.emplace_back(std::make_unique<NamedTimer>(name, fired_));
        timer.deadline_ns = deadline_ns;
        wheel.insert(timer);
        return timer;
    }
    /// One turn of a loop: what is due at `now_ns` runs. Gives the names of what ran.
    Names turn(std::int64_t now_ns) { return turn(now_ns, *timers_); }
    Names turn(std::int64_t now_ns, Timers& wheel) {
        wheel.advance(now_ns, ready_);
        return run_ready();
    }
    Names run_ready() {
        fired_.clear();
        while (!ready_.empty()) ready_.pop_front().run();
        return fired_;
    }

    std::unique_ptr<Timers> timers_ = std::make_unique<Timers>();
    WorkList ready_;
    Names fired_;
    std::vector<std::unique_ptr<NamedTimer>> owned_;
};

TEST_F(TimersTest, ATimerTakesThirtyTwoBytesAtTheMost) { EXPECT_LE(sizeof(Timer), 32u); }

TEST_F(TimersTest, ATimerFiresAtItsDeadlineAndNotANanosecondEarlier) {
    const std::int64_t deadlines_ns[] = {1, 63, 64, 999'999, 1'048'576, 5 * second_ns, 7 * hour_ns};
    for (const std::int64_t deadline_ns : deadlines_ns) {
        Timers timers;
        set("timer", deadline_ns, timers);
        EXPECT_EQ(turn(deadline_ns - 1, timers), Names{}) << deadline_ns;
        EXPECT_EQ(turn(deadline_ns, timers), Names{"timer"}) << deadline_ns;
        EXPECT_EQ(turn(deadline_ns + 1, timers), Names{}) << deadline_ns;
    }
}

TEST_F(TimersTest, DifferentDeadlinesFireInTheirOrder) {
    set("third", 3 * second_ns);
    set("first", 1 * second_ns);
    set("fourth", 3 * second_ns + 1);
    set("second", 1 * second_ns + 1);
    EXPECT_EQ(turn(2 * second_ns), (Names{"first", "second"}));
    EXPECT_EQ(turn(4 * second_ns), (Names{"third", "fourth"}));
}

TEST_F(TimersTest, OneAdvanceOverManyDeadlinesKeepsTheirOrder) {
    set("year", year_ns);
    set("nanosecond", 1);
    set("hour", hour_ns);
    set("microsecond", 1000);
    set("century", 100 * year_ns);
    set("second", second_ns);
    EXPECT_EQ(turn(200 * year_ns), (Names{"nanosecond", "microsecond", "second", "hour", "year", "century"}));
}

TEST_F(TimersTest, EqualDeadlinesFireInTheOrderTheyWereSet) {
    for (const char* name : {"a", "b", "c", "d", "e", "f", "g"}) set(name, second_ns);
    EXPECT_EQ(turn(second_ns), (Names{"a", "b", "c", "d", "e", "f", "g"}));
}

TEST_F(TimersTest, EqualDeadlinesAmongOthersFireInTheOrderTheyWereSet) {
    set("late 1", 1010);
    set("early 1", 1005);
    set("late 2", 1010);
    set("early 2", 1005);
    set("middle", 1007);
    set("late 3", 1010);
    set("early 3", 1005);
    EXPECT_EQ(turn(hour_ns),
              (Names{"early 1", "early 2", "early 3", "middle", "late 1", "late 2", "late 3"}));
}

TEST_F(TimersTest, EqualDeadlinesSetFarAheadAndNearFireInTheOrderTheyWereSet) {
    const std::int64_t deadline_ns = 50 * year_ns + 123'456'789;
    Names expected;
    // Each time half of what is left passes: the deadline comes down through every level.
    std::int64_t left_ns = deadline_ns;
    for (int i = 0; left_ns > 0; ++i, left_ns /= 2) {
        EXPECT_EQ(turn(deadline_ns - left_ns), Names{});
        for (const char* part : {" a", " b"}) {
            expected.push_back(std::to_string(i) + part);
            set(expected.back(), deadline_ns);
        }
    }
    EXPECT_EQ(turn(deadline_ns - 1), Names{});
    EXPECT_EQ(turn(deadline_ns), expected);
}

TEST_F(TimersTest, ATimerSetIntoTheSlotInWhichTheClockStandsTakesItsPlaceInTheOrder) {
    const std::int64_t base_ns = std::int64_t{1} << 20;
    set("10 old", base_ns + 10);
    set("90 old", base_ns + 90);
    set("50 old", base_ns + 50);
    EXPECT_EQ(turn(base_ns + 10), Names{"10 old"});
    set("90 new", base_ns + 90);
    set("50 new", base_ns + 50);
    set("20 new", base_ns + 20);
    set("70 new", base_ns + 70);
    EXPECT_EQ(turn(base_ns + 90), (Names{"20 new", "50 old", "50 new", "70 new", "90 old", "90 new"}));
}

TEST_F(TimersTest, PastDeadlinesAreDueAtTheNextAdvanceEarliestFirst) {
    EXPECT_EQ(turn(100 * second_ns), Names{});
    set("now", 100 * second_ns);
    set("zero", 0);
    set("past", 50 * second_ns);
    set("far past", INT64_MIN);
    set("zero again", 0);
    set("next", 100 * second_ns + 1);
    EXPECT_EQ(timers_->earliest_ns(), INT64_MIN);
    EXPECT_EQ(turn(100 * second_ns + 1), (Names{"far past", "zero", "zero again", "past", "now", "next"}));
}

TEST_F(TimersTest, APastDeadlineIsDueAlsoWhenTheClockStandsStill) {
    EXPECT_EQ(turn(second_ns), Names{});
    set("past", second_ns - 5);
    set("now", second_ns);
    EXPECT_EQ(turn(second_ns), (Names{"past", "now"}));
}

TEST_F(TimersTest, AClockThatGoesBackCountsAsStandingStill) {
    EXPECT_EQ(turn(second_ns), Names{});
    set("past", second_ns - 5);
    set("later", second_ns + 1);
    EXPECT_EQ(turn(0), Names{"past"});
    set("past again", second_ns - 5);
    set("later again", second_ns + 1);
    EXPECT_EQ(turn(0), Names{"past again"});
    EXPECT_EQ(turn(second_ns), Names{});
    EXPECT_EQ(turn(second_ns + 1), (Names{"later", "later again"}));
}

TEST_F(TimersTest, TheLastNanosecondOfTimeIsADeadlineLikeOthers) {
    set("last", INT64_MAX);
    set("last but one", INT64_MAX - 1);
    EXPECT_EQ(timers_->earliest_ns(), INT64_MAX - 1);
    EXPECT_EQ(turn(INT64_MAX - 2), Names{});
    EXPECT_EQ(turn(INT64_MAX - 1), Names{"last but one"});
    EXPECT_FALSE(timers_->empty());
    EXPECT_EQ(turn(INT64_MAX), Names{"last"});
    set("again", INT64_MAX);
    EXPECT_EQ(turn(INT64_MAX), Names{"again"});
    EXPECT_TRUE(timers_->empty());
}

TEST_F(TimersTest, TheClockMayBeNegativeAndPassZero) {
    Timers timers(-10 * second_ns);
    set("after zero", 1, timers);
    set("before zero", -1, timers);
    set("zero", 0, timers);
    set("soon", -9 * second_ns, timers);
    EXPECT_EQ(timers.earliest_ns(), -9 * second_ns);
    EXPECT_EQ(turn(-9 * second_ns - 1, timers), Names{});
    EXPECT_EQ(turn(-9 * second_ns, timers), Names{"soon"});
    EXPECT_EQ(turn(-1, timers), Names{"before zero"});
    EXPECT_EQ(turn(0, timers), Names{"zero"});
    EXPECT_EQ(turn(1, timers), Names{"after zero"});
}

TEST_F(TimersTest, TheWholeOfTimeMayPassInOneStep) {
    Timers timers(INT64_MIN);
    set("last", INT64_MAX, timers);
    set("first", INT64_MIN, timers);
    set("middle", 0, timers);
    set("second", INT64_MIN + 1, timers);
    EXPECT_EQ(turn(INT64_MAX, timers), (Names{"first", "second", "middle", "last"}));
}

TEST_F(TimersTest, AClockThatJumpsOverNothingKeepsWhatIsSetFarBehind) {
    set("far", 200 * year_ns);
    for (std::int64_t now_ns : {second_ns, hour_ns, year_ns, 100 * year_ns, 200 * year_ns - 1}) {
        EXPECT_EQ(turn(now_ns), Names{});
        EXPECT_EQ(timers_->earliest_ns(), 200 * year_ns);
    }
    EXPECT_EQ(turn(200 * year_ns), Names{"far"});
}

TEST_F(TimersTest, ACancelledTimerNeverFires) {
    set("before", 10);
    NamedTimer& cancelled = set("cancelled", 10);
    set("after", 10);
    timers_->cancel(cancelled);
    EXPECT_EQ(turn(20), (Names{"before", "after"}));
}

TEST_F(TimersTest, ATimerThatIsReadyButHasNotRunCanStillBeCancelled) {
    set("before", 10);
    NamedTimer& cancelled = set("cancelled", 10);
    set("after", 11);
    timers_->advance(20, ready_);
    timers_->cancel(cancelled);
    EXPECT_EQ(run_ready(), (Names{"before", "after"}));
}

TEST_F(TimersTest, AnOverdueTimerCanBeCancelled) {
    timers_->advance(20, ready_);
    timers_->cancel(set("cancelled", 10));
    EXPECT_TRUE(timers_->empty());
    EXPECT_EQ(timers_->earliest_ns(), INT64_MAX);
    EXPECT_EQ(turn(20), Names{});
}

TEST_F(TimersTest, CancellingTwiceOrWithoutSettingOrAfterFiringIsHarmless) {
    NamedTimer never_set("never set", fired_);
    timers_->cancel(never_set);
    NamedTimer& cancelled = set("cancelled", 10);
    timers_->cancel(cancelled);
    timers_->cancel(cancelled);
    NamedTimer& fires = set("fires", 10);
    EXPECT_EQ(turn(10), Names{"fires"});
    timers_->cancel(fires);
    EXPECT_TRUE(timers_->empty());
}

TEST_F(TimersTest, ACancelledTimerMayBeSetAgain) {
    NamedTimer& timer = set("timer", 10);
    timers_->cancel(timer);
    timer.deadline_ns = 30;
    timers_->insert(timer);
    EXPECT_EQ(turn(29), Names{});
    EXPECT_EQ(turn(30), Names{"timer"});
}

using TimersDeathTest = TimersTest;

TEST_F(TimersDeathTest, SettingATimerTwiceIsAProgrammingError) {
    NamedTimer& timer = set("timer", 10);
    EXPECT_DEATH(timers_->insert(timer), "cancel it first");
    timers_->advance(10, ready_);
    EXPECT_DEATH(timers_->insert(timer), "cancel it first");
}

/// Sets itself again, `period_ns` later, as often as `left` says.
struct Periodic : Timer {
    Timers& timers;
    std::int64_t period_ns;
    int left;

    Periodic(Timers& wheel, std::int64_t period, int times)
        : Timer(&type_of_periodic), timers(wheel), period_ns(period), left(times) {}

    static void run_periodic(Work* work) {
        auto* timer = static_cast<Periodic*>(work);
        if (--timer->left == 0) return;
        timer->deadline_ns += timer->period_ns;
        timer->timers.insert(*timer);
    }
    static constexpr WorkType type_of_periodic{run_periodic, "periodic timer"};
};

TEST_F(TimersTest, ATimerMaySetItselfAgainWhileItRuns) {
    Periodic timer(*timers_, 10, 3);
    timer.deadline_ns = 10;
    timers_->insert(timer);
    EXPECT_EQ(turn(10), Names{});
    EXPECT_EQ(timer.left, 2);
    EXPECT_EQ(timers_->earliest_ns(), 20);
    EXPECT_EQ(turn(19), Names{});
    EXPECT_EQ(timer.left, 2);
    EXPECT_EQ(turn(20), Names{});
    EXPECT_EQ(turn(30), Names{});
    EXPECT_EQ(timer.left, 0);
    EXPECT_TRUE(timers_->empty());
}

TEST_F(TimersTest, ATimerSetForNowByARunningTimerWaitsForTheNextAdvance) {
    Periodic timer(*timers_, 0, 3);
    timer.deadline_ns = 10;
    timers_->insert(timer);
    EXPECT_EQ(turn(10), Names{});
    EXPECT_EQ(timer.left, 2);
    EXPECT_EQ(turn(10), Names{});
    EXPECT_EQ(timer.left, 1);
}

TEST_F(TimersTest, ReadyTimersComeBehindWhatIsReadyAlready) {
    NamedTimer other("other work", fired_);
    ready_.push_back(other);
    set("timer", 10);
    timers_->advance(10, ready_);
    EXPECT_EQ(run_ready(), (Names{"other work", "timer"}));
}

TEST_F(TimersTest, EmptySaysWhetherAnyTimerIsSet) {
    EXPECT_TRUE(timers_->empty());
    NamedTimer& timer = set("timer", hour_ns);
    EXPECT_FALSE(timers_->empty());
    timers_->cancel(timer);
    EXPECT_TRUE(timers_->empty());
    set("overdue", -1);
    EXPECT_FALSE(timers_->empty());
    EXPECT_EQ(turn(0), Names{"overdue"});
    EXPECT_TRUE(timers_->empty());
}

TEST_F(TimersTest, TheEarliestDeadlineIsExactAndAtTheEndOfTimeWhenThereIsNone) {
    EXPECT_EQ(timers_->earliest_ns(), INT64_MAX);
    set("hour", hour_ns);
    EXPECT_EQ(timers_->earliest_ns(), hour_ns);
    set("hour and a bit", hour_ns + 1);
    EXPECT_EQ(timers_->earliest_ns(), hour_ns);
    set("second", second_ns);
    EXPECT_EQ(timers_->earliest_ns(), second_ns);
    set("past", -3);
    EXPECT_EQ(timers_->earliest_ns(), -3);
    EXPECT_EQ(turn(0), Names{"past"});
    EXPECT_EQ(timers_->earliest_ns(), second_ns);
    EXPECT_EQ(turn(second_ns), Names{"second"});
    EXPECT_EQ(timers_->earliest_ns(), hour_ns);
    EXPECT_EQ(turn(hour_ns), Names{"hour"});
    EXPECT_EQ(timers_->earliest_ns(), hour_ns + 1);
    EXPECT_EQ(turn(hour_ns + 1), Names{"hour and a bit"});
    EXPECT_EQ(timers_->earliest_ns(), INT64_MAX);
}

TEST_F(TimersTest, CancellingALaterTimerLeavesTheEarliestDeadlineExact) {
    set("first", 70 * second_ns);
    NamedTimer& second = set("second", 71 * second_ns);
    timers_->cancel(second);
    EXPECT_EQ(timers_->earliest_ns(), 70 * second_ns);
}

TEST_F(TimersTest, ACancelledEarliestTimerWakesTheLoopInVainOnceAtTheMost) {
    // The same slot of a high level for all three.
    NamedTimer& cancelled = set("cancelled", 70 * second_ns);
    set("next", 90 * second_ns);
    set("last", 100 * second_ns);
    timers_->cancel(cancelled);
    EXPECT_EQ(timers_->earliest_ns(), 70 * second_ns);
    EXPECT_EQ(turn(70 * second_ns), Names{});
    EXPECT_EQ(timers_->earliest_ns(), 90 * second_ns);
    EXPECT_EQ(turn(90 * second_ns), Names{"next"});
    EXPECT_EQ(timers_->earliest_ns(), 100 * second_ns);
}

TEST_F(TimersTest, ATimerSetAloneIntoASlotWhoseTimersWereCancelledIsTheEarliestExactly) {
    timers_->cancel(set("cancelled", 70 * second_ns));
    set("timer", 90 * second_ns);
    EXPECT_EQ(timers_->earliest_ns(), 90 * second_ns);
}

TEST_F(TimersTest, TimeLimitsThatAreAlwaysCancelledInTimeSeldomWakeTheLoop) {
    constexpr std::int64_t limit_ns = 60 * second_ns;
    constexpr std::int64_t turn_ns = 1'000'000;
    std::vector<NamedTimer*> requests;
    for (int i = 0; i < 1000; ++i) requests.push_back(&set("limit", limit_ns));
    std::int64_t now_ns = 0;
    int wakes = 0;
    for (std::size_t i = 0; now_ns < hour_ns / 6; ++i) {
        now_ns += turn_ns;
        if (timers_->earliest_ns() <= now_ns) ++wakes;
        EXPECT_EQ(turn(now_ns), Names{});
        NamedTimer& answered = *requests[i % requests.size()];
        timers_->cancel(answered);
        answered.deadline_ns = now_ns + limit_ns;
        timers_->insert(answered);
    }
    EXPECT_LT(wakes, 100);
}

// --------------------------------------------------------------------------------------------------
// The comparison with a model.

/// Knows its number, and does nothing.
struct NumberedTimer : Timer {
    std::size_t number = 0;
    NumberedTimer() : Timer(&type_of_numbered) {}
    static constexpr WorkType type_of_numbered{[](Work*) {}, "numbered timer"};
};

/// The same random life for Timers and for a std::multimap, in which equal deadlines stand in the order of
/// their insertion by definition.
class Comparison {
public:
    explicit Comparison(std::uint64_t seed)
        : random_(seed),
          now_ns_(random_start()),
          timers_(std::make_unique<Timers>(now_ns_)),
          pool_(1 + below(200)),
          in_model_(pool_.size()) {
        for (std::size_t i = 0; i < pool_.size(); ++i) pool_[i].number = i;
        // Small scales give many equal deadlines, large ones use all levels.
        largest_scale_ = static_cast<int>(1 + below(63));
    }

    void live(int steps) {
        for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
            const std::uint64_t dice = below(10);
            if (dice < 5)
                insert();
            else if (dice < 7)
                cancel();
            else
                advance();
            if (below(3) != 0) run_some();
            check_earliest();
        }
        now_ns_ = INT64_MAX;
        move_both();
        while (!ready_.empty()) run_one();
        EXPECT_TRUE(model_ready_.empty());
        EXPECT_TRUE(timers_->empty());
    }

private:
    using Model = std::multimap<std::int64_t, std::size_t>;
    enum class State { nowhere, waiting, ready };
    struct InModel {
        State state = State::nowhere;
        Model::iterator place;
    };

    std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
    std::int64_t random_start() {
        switch (below(5)) {
            case 0:
                return 0;
            case 1:
                return INT64_MIN;
            case 2:
                return -static_cast<std::int64_t>(below(hour_ns));
            case 3:
                return INT64_MAX - static_cast<std::int64_t>(below(hour_ns));
            default:
                return static_cast<std::int64_t>(random_());
        }
    }
    /// Of any magnitude up to the largest scale.
    std::int64_t random_distance() {
        return static_cast<std::int64_t>(
            below(std::uint64_t{1} << below(1 + static_cast<unsigned>(largest_scale_))));
    }
    std::int64_t later(std::int64_t distance_ns) const {
        return now_ns_ > INT64_MAX - distance_ns ? INT64_MAX : now_ns_ + distance_ns;
    }
    std::int64_t earlier(std::int64_t distance_ns) const {
        return now_ns_ < INT64_MIN + distance_ns ? INT64_MIN : now_ns_ - distance_ns;
    }

    std::int64_t random_deadline() {
        const std::uint64_t dice = below(10);
        if (dice == 0) return earlier(random_distance());
        if (dice == 1) return now_ns_;
        if (dice == 2 && !model_.empty())
            return std::next(model_.begin(), static_cast<std::ptrdiff_t>(below(model_.size())))->first;
        return later(random_distance());
    }

    void insert() {
        const std::size_t i = below(pool_.size());
        if (in_model_[i].state != State::nowhere) return;
        pool_[i].deadline_ns = random_deadline();
        timers_->insert(pool_[i]);
        in_model_[i] = {State::waiting, model_.emplace(pool_[i].deadline_ns, i)};
    }

    void cancel() {
        const std::size_t i = below(pool_.size());
        timers_->cancel(pool_[i]);
        if (in_model_[i].state == State::waiting) {
            cancelled_ns_.insert(pool_[i].deadline_ns);
            model_.erase(in_model_[i].place);
        } else if (in_model_[i].state == State::ready) {
            std::erase(model_ready_, i);
        }
        in_model_[i].state = State::nowhere;
    }

    void advance() {
        const std::uint64_t dice = below(10);
        if (dice == 0 && !model_.empty())
            now_ns_ = std::max(now_ns_, model_.begin()->first);
        else if (dice == 1 && !model_.empty() && model_.begin()->first > now_ns_)
            now_ns_ = model_.begin()->first - 1;
        else if (dice == 2)
            now_ns_ = std::max(now_ns_, std::min(timers_->earliest_ns(), later(random_distance())));
        else
            now_ns_ = later(random_distance());
        move_both();
    }

    void move_both() {
        timers_->advance(now_ns_, ready_);
        while (!model_.empty() && model_.begin()->first <= now_ns_) {
            const std::size_t i = model_.begin()->second;
            model_.erase(model_.begin());
            in_model_[i].state = State::ready;
            model_ready_.push_back(i);
        }
        cancelled_ns_.erase(cancelled_ns_.begin(), cancelled_ns_.upper_bound(now_ns_));
        const Work* work = ready_.first();
        for (const std::size_t i : model_ready_) {
            ASSERT_EQ(work, &pool_[i]);
            work = ready_.next(*work);
        }
        ASSERT_EQ(work, nullptr);
    }

    void run_some() {
        for (std::uint64_t count = below(20); count > 0 && !ready_.empty(); --count) run_one();
    }
    void run_one() {
        const auto& timer = static_cast<NumberedTimer&>(ready_.pop_front());
        ASSERT_FALSE(model_ready_.empty());
        ASSERT_EQ(timer.number, model_ready_.front());
        model_ready_.pop_front();
        in_model_[timer.number].state = State::nowhere;
    }

    /// Exact, or else the deadline of a timer cancelled since the clock last passed it.
    void check_earliest() {
        const std::int64_t exact_ns = model_.empty() ? INT64_MAX : model_.begin()->first;
        const std::int64_t earliest_ns = timers_->earliest_ns();
        ASSERT_EQ(timers_->empty(), model_.empty());
        ASSERT_LE(earliest_ns, exact_ns);
        if (earliest_ns != exact_ns) {
            ASSERT_TRUE(cancelled_ns_.contains(earliest_ns));
        }
    }

    std::mt19937_64 random_;
    std::int64_t now_ns_;
    std::unique_ptr<Timers> timers_;
    std::vector<NumberedTimer> pool_;
    std::vector<InModel> in_model_;
    int largest_scale_;
    WorkList ready_;
    Model model_;
    std::deque<std::size_t> model_ready_;
    std::set<std::int64_t> cancelled_ns_;
};

TEST_F(TimersTest, BehaveAsAModelThatSortsEverythingAtOnce) {
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Comparison(seed).live(400);
        if (testing::Test::HasFailure()) return;
    }
}

TEST_F(TimersTest, AMillionFireInOrder) {
    constexpr std::size_t count = 1'000'000;
    std::mt19937_64 random(1);
    auto timers = std::make_unique<Timers>();
    std::vector<NumberedTimer> pool(count);
    std::vector<const NumberedTimer*> expected;
    for (std::size_t i = 0; i < count; ++i) {
        pool[i].number = i;
        pool[i].deadline_ns = static_cast<std::int64_t>(random() % (10 * second_ns)) / 1000 * 1000;
        timers->insert(pool[i]);
    }
    for (NumberedTimer& timer : pool) {
        if (random() % 2 == 0)
            timers->cancel(timer);
        else
            expected.push_back(&timer);
    }
    std::ranges::sort(expected, {}, [](const NumberedTimer* timer) {
        return std::pair(timer->deadline_ns, timer->number);
    });
    WorkList ready;
    std::size_t fired = 0;
    std::int64_t now_ns = 0;
    while (now_ns < 10 * second_ns) {
        now_ns += static_cast<std::int64_t>(random() % 20'000'000);
        timers->advance(now_ns, ready);
        while (!ready.empty()) ASSERT_EQ(&ready.pop_front(), expected[fired++]);
        if (fired < expected.size()) {
            ASSERT_GT(expected[fired]->deadline_ns, now_ns);
        }
    }
    EXPECT_EQ(fired, expected.size());
    EXPECT_TRUE(timers->empty());
}

TEST_F(TimersTest, AHundredThousandOfOneDeadlineFireInTheOrderTheyWereSet) {
    auto timers = std::make_unique<Timers>();
    std::vector<NumberedTimer> pool(100'000);
    for (NumberedTimer& timer : pool) {
        timer.deadline_ns = 5 * second_ns + 1;
        timers->insert(timer);
    }
    WorkList ready;
    for (std::int64_t now_ns = 0; now_ns <= 5 * second_ns; now_ns += second_ns / 1000)
        timers->advance(now_ns, ready);
    ASSERT_TRUE(ready.empty());
    timers->advance(5 * second_ns + 1, ready);
    for (const NumberedTimer& timer : pool) ASSERT_EQ(&ready.pop_front(), &timer);
    EXPECT_TRUE(ready.empty());
}

}  // namespace
}  // namespace pollard
