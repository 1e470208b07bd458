// Misfortune: the same busy afternoon under every fault the simulated kernel knows, for many seeds.
//
//      clients --connect--> [ listener ] --accept--> echoes
//         |   random pieces, random cancels            |  own buffers, or borrowed ones, too few
//         +--<--------------- the same bytes back --<--+
//
// Whatever happens: all bytes come back in order, or, where connections may break, a beginning of them; every
// operation completes exactly once; nobody waits for ever (the simulated kernel says "deadlock"); nothing is
// left. And the same seed gives the same run to the byte, so that a failure can be stepped through:
//
//      POLLARD_SEED=17 completion_port_conformance_test --gtest_filter='*/Resets_on_simulated'
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <tuple>

#include "platform/socket.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

struct Misfortune {
    const char* name;
    Faults faults;
    /// Connections may end early: reset, refused, or aborted before anybody accepted them.
    bool breaks = false;
};

inline void PrintTo(const Misfortune& misfortune, std::ostream* out) { *out << misfortune.name; }

namespace {

#ifdef __OPTIMIZE__
constexpr std::uint64_t seeds = 300;
#else
constexpr std::uint64_t seeds = 60;  // each takes five times as long
#endif
constexpr std::size_t clients = 5;

constexpr Misfortune misfortunes[] = {
    {"None", {}},
    {"SpuriousReadiness", {.spurious_readiness = 300}},
    {"ShortReads", {.short_read = 500}},
    {"ShortWrites", {.short_write = 500}},
    {"Interruptions", {.interrupted = 300}},
    {"WouldBlockAfterReady", {.would_block_after_ready = 300}},
    {"Resets", {.reset = 20}, true},
    {"Refusals", {.refused = 300}, true},
    {"DescriptorsExhausted", {.descriptors_exhausted = 300}},
    {"AbortedAccepts", {.accept_aborted = 300}, true},
    {"EventsOutOfOrder", {.out_of_order_events = 500}},
    {"InlineCompletions", {.finish_inline = 500}},
    {"LateCancels", {.late_cancel = 500}},
    {"Everything", {100, 200, 200, 100, 100, 3, 50, 100, 50, 300, 300, 300}, true},
};

bool is_break(ErrorKind kind) {
    return kind == ErrorKind::connection_reset || kind == ErrorKind::broken_pipe ||
           kind == ErrorKind::connection_refused || kind == ErrorKind::connection_aborted;
}

/// What all who take part in one run share.
struct Scene {
    SimulatedKernel& kernel;
    Driver& driver;
    const Misfortune& misfortune;
    simulated::Random chance;
    Address address = {};

    std::size_t between(std::size_t least, std::size_t most) {
        return least + chance.below(most - least + 1);
    }
    bool once_in(std::size_t times) { return chance.below(times) == 0; }
    /// An error that this misfortune explains.
    void expect_explained(const Error& error) const {
        EXPECT_TRUE(misfortune.breaks && is_break(error.kind)) << describe(error).c_str();
    }
};

/// Sends back what it receives, until the end.
class Echo {
public:
    Echo(Scene& scene, Handle handle, bool borrows) : scene_(scene), handle_(handle), borrows_(borrows) {
        receive();
    }

    bool closed() const { return closing_ != nullptr && closing_->done(); }
    /// Goes on with whatever has completed. False: nothing has.
    bool step() {
        if (closing_ != nullptr) return false;
        if (sending_ != nullptr) return sending_->done() && (sent(), true);
        if (receiving_ != nullptr) return receiving_->done() && (send_back(received()), true);
        return borrowing_->done() && (send_back(borrowed()), true);
    }

private:
    void receive() {
        receiving_.reset();
        borrowing_.reset();
        if (borrows_)
            (borrowing_ = std::make_unique<Borrowing>(scene_.driver, handle_))->start();
        else
            (receiving_ = std::make_unique<Receiving>(scene_.driver, handle_, scene_.between(1, 700)))
                ->start();
    }
    Result<std::span<const std::byte>> received() {
        const Result<std::size_t> size = receiving_->result();
        if (!size) return size.error();
        return readable_bytes(std::string_view(receiving_->buffer).substr(0, *size));
    }
    Result<std::span<const std::byte>> borrowed() {
        if (borrowing_->failed()) return borrowing_->error();
        lease_ = *borrowing_->result();
        return std::span<const std::byte>(lease_.bytes());
    }
    void send_back(const Result<std::span<const std::byte>>& bytes) {
        if (!bytes) scene_.expect_explained(bytes.error());
        if (!bytes || bytes->empty()) return close();
        (sending_ = std::make_unique<SendingAll>(scene_.driver, handle_, *bytes))->start();
    }
    void sent() {
        const Result<void> result = sending_->result();
        sending_.reset();
        lease_.give_back();
        if (result) return receive();
        scene_.expect_explained(result.error());
        close();
    }
    void close() {
        lease_.give_back();
        (closing_ = std::make_unique<Closing>(scene_.driver, handle_))->start();
    }

    Scene& scene_;
    Handle handle_;
    bool borrows_;
    Lease lease_;
    std::unique_ptr<Receiving> receiving_;
    std::unique_ptr<Borrowing> borrowing_;
    std::unique_ptr<SendingAll> sending_;
    std::unique_ptr<Closing> closing_;
};

/// Sends its bytes in pieces and wants them back; loses patience with single operations at random, and repeats them.
class Client {
public:
    Client(Scene& scene, std::uint32_t number)
        : scene_(scene), bytes_(numbered_bytes(scene.between(1, 10'000), number)) {}

    bool closed() const { return closing_ != nullptr && closing_->done(); }
    bool wants_a_descriptor() const { return handle_ == no_handle; }
    /// Goes on with whatever has completed. False: nothing has.
    bool step() {
        if (closing_ != nullptr) return false;
        if (handle_ == no_handle) return connect();
        if (connecting_ != nullptr) return connecting_->done() && (begin_to_talk(), true);
        return talk();
    }

private:
    bool connect() {
        const Result<Handle> opened = open_stream_socket(scene_.kernel, scene_.address);
        if (!opened) {
            EXPECT_EQ(kind_of(opened), ErrorKind::descriptors_exhausted);
            EXPECT_GT(scene_.misfortune.faults.descriptors_exhausted, 0u);
            return false;  // it tries again in the next turn
        }
        handle_ = *opened;
        EXPECT_TRUE(scene_.driver.port->open(handle_, HandleKind::stream));
        (connecting_ = std::make_unique<Connecting>(scene_.driver, handle_, scene_.address))->start();
        return true;
    }
    void begin_to_talk() {
        const Result<void> connected = connecting_->result();
        connecting_.reset();
        if (connected) return;
        scene_.expect_explained(connected.error());
        close();
    }
    bool talk() {
        bool progress = sent_ < bytes_.size() && send();
        progress |= !broken_ && receive();
        if (!broken_ && returned_.size() < bytes_.size()) return progress;
        close();
        return true;
    }
    bool send() {
        if (sending_ == nullptr) {
            const std::size_t piece = std::min(scene_.between(1, 1500), bytes_.size() - sent_);
            const std::string_view next = std::string_view(bytes_).substr(sent_, piece);
            (sending_ = std::make_unique<Sending>(scene_.driver, handle_, readable_bytes(next)))->start();
        }
        if (!done_or_cancelled(*sending_)) return false;
        const Result<std::size_t> sent = sending_->result();
        sending_.reset();
        sent_ += sent.value_or(0);
        if (!sent) look_at(sent.error());
        return true;
    }
    bool receive() {
        if (receiving_ == nullptr) {
            receiving_ = std::make_unique<Receiving>(scene_.driver, handle_, scene_.between(1, 700));
            receiving_->start();
        }
        if (!done_or_cancelled(*receiving_)) return false;
        const Result<std::size_t> received = receiving_->result();
        returned_ += receiving_->text();
        receiving_.reset();
        EXPECT_TRUE(bytes_.starts_with(returned_)) << "other bytes than were sent, or another order";
        EXPECT_LE(returned_.size(), sent_);
        if (!received) {
            look_at(received.error());
        } else if (*received == 0) {
            EXPECT_TRUE(scene_.misfortune.breaks) << "the end of the stream came too early";
            broken_ = true;
        }
        return true;
    }
    /// Whether it is done. If not, the client may lose its patience.
    bool done_or_cancelled(auto& operation) {
        if (!operation.done() && scene_.once_in(5)) operation.cancel();
        return operation.done();
    }
    void look_at(const Error& error) {
        if (error.kind == ErrorKind::cancelled) return;
        scene_.expect_explained(error);
        broken_ = true;
    }
    void close() { (closing_ = std::make_unique<Closing>(scene_.driver, handle_))->start(); }

    Scene& scene_;
    const std::string bytes_;
    std::string returned_;
    std::size_t sent_ = 0;
    bool broken_ = false;
    Handle handle_ = no_handle;
    // A close completes what is armed before itself, so these may stand here until the end.
    std::unique_ptr<Connecting> connecting_;
    std::unique_ptr<Sending> sending_;
    std::unique_ptr<Receiving> receiving_;
    std::unique_ptr<Closing> closing_;
};

/// Accepts until it is told to stop.
class Server {
public:
    Server(Scene& scene, Handle listening) : scene_(scene), listening_(listening) { accept(); }

    bool closed() const { return closing_ != nullptr && closing_->done() && all_closed(); }
    bool all_closed() const {
        return std::ranges::all_of(echoes_, [](const auto& echo) { return echo->closed(); });
    }
    void stop() {
        if (closing_ == nullptr) (closing_ = std::make_unique<Closing>(scene_.driver, listening_))->start();
    }
    bool step() {
        bool progress = accepting_ != nullptr && accepting_->done();
        if (progress) take(accepting_->result());
        for (const auto& echo : echoes_) progress |= echo->step();
        return progress;
    }

private:
    void accept() { (accepting_ = std::make_unique<Accepting>(scene_.driver, listening_))->start(); }
    void take(const Result<Handle>& accepted) {
        accepting_.reset();
        if (accepted) {
            echoes_.push_back(std::make_unique<Echo>(scene_, *accepted, echoes_.size() % 2 == 0));
        } else if (kind_of(accepted) == ErrorKind::descriptors_exhausted) {
            EXPECT_GT(scene_.misfortune.faults.descriptors_exhausted, 0u);
        } else {
            EXPECT_EQ(kind_of(accepted), ErrorKind::cancelled);
        }
        if (closing_ == nullptr) accept();
    }

    Scene& scene_;
    Handle listening_;
    std::vector<std::unique_ptr<Echo>> echoes_;
    std::unique_ptr<Accepting> accepting_;
    std::unique_ptr<Closing> closing_;
};

class Afternoon {
public:
    Afternoon(Scene& scene, Handle listening) : scene_(scene), server_(scene, listening) {
        for (std::uint32_t number = 0; number < clients; ++number)
            clients_.push_back(std::make_unique<Client>(scene, number));
    }
    void pass() {
        for (int turns = 0; turns < 100'000 && !testing::Test::HasFailure(); ++turns) {
            while (step()) {
            }
            if (all(&Client::closed) && server_.all_closed()) server_.stop();
            if (server_.closed()) return;
            // Who lacks a descriptor has to try again by himself; else only the kernel can have news.
            scene_.driver.turn(any_of(&Client::wants_a_descriptor) ? microsecond_ns : -1);
        }
        ADD_FAILURE() << "it did not come to its end";
    }

private:
    bool step() {
        bool progress = server_.step();
        for (const auto& client : clients_) progress |= client->step();
        return progress;
    }
    bool all(bool (Client::*is)() const) const {
        return std::ranges::all_of(clients_, [&](const auto& client) { return (*client.*is)(); });
    }
    bool any_of(bool (Client::*is)() const) const {
        return std::ranges::any_of(clients_, [&](const auto& client) { return (*client.*is)(); });
    }

    Scene& scene_;
    Server server_;
    std::vector<std::unique_ptr<Client>> clients_;
};

/// One run, from a bare kernel to nothing left. Gives its digest.
std::uint64_t run(const char* backend, const Misfortune& misfortune, std::uint64_t seed) {
    SimulatedKernel kernel(seed);
    Driver driver;
    Scene scene{kernel, driver, misfortune, {~seed}};
    kernel.latency_ns = static_cast<std::int64_t>(scene.between(0, 2)) * microsecond_ns;
    kernel.buffer_size = scene.between(100, 3000);
    driver.port = *find_backend(backend)->open({.simulated = &kernel});
    driver.port->buffers.limit = 1;
    const Handle listening = *open_listener(kernel, *parse_address("127.0.0.1", 0));
    scene.address = *local_address(kernel, listening);
    EXPECT_TRUE(driver.port->open(listening, HandleKind::stream));
    kernel.faults = misfortune.faults;
    Afternoon(scene, listening).pass();
    EXPECT_EQ(driver.port->buffers.lent(), 0u);
    driver.port->destroy();
    EXPECT_EQ(kernel.open_descriptors, 0u);
    EXPECT_EQ(kernel.bytes.in_flight, 0u);
    if (!misfortune.breaks) {
        EXPECT_EQ(kernel.bytes.sent, kernel.bytes.received);
    }
    return kernel.digest.value;
}

}  // namespace

class PortMisfortune : public testing::TestWithParam<std::tuple<const char*, Misfortune>> {};

static std::string misfortune_name(const testing::TestParamInfo<PortMisfortune::ParamType>& info) {
    return std::string(std::get<Misfortune>(info.param).name) + "_on_" + std::get<const char*>(info.param);
}

TEST_P(PortMisfortune, LosesNothingForManySeeds) {
    const auto& [backend, misfortune] = GetParam();
    const char* only = std::getenv("POLLARD_SEED");
    const std::uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : 1;
    const std::uint64_t last = only != nullptr ? first : seeds;
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        const std::uint64_t digest = run(backend, misfortune, seed);
        EXPECT_EQ(run(backend, misfortune, seed), digest) << "the same seed gave another run";
        if (HasFailure()) break;
    }
}

INSTANTIATE_TEST_SUITE_P(Every, PortMisfortune,
                         testing::Combine(testing::Values("simulated", "simulated_completion"),
                                          testing::ValuesIn(misfortunes)),
                         misfortune_name);

}  // namespace pollard::conformance
