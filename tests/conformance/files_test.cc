// Files: bytes at their place, the end of a file, and what is no file. On a kernel of readiness such an operation is an
// answer at once, on one of completion it may be under way like any other; no test here can tell.

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include "platform/file.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

using WritingAt = Tracked<WriteAtOperation>;

/// A read with a buffer of its own.
struct ReadingAt : ReceiveBuffer, Tracked<ReadAtOperation> {
    ReadingAt(Driver& driver, Handle file, std::size_t capacity, std::int64_t where)
        : ReceiveBuffer{std::string(capacity, '\0')}, Tracked(driver, file, writable_bytes(buffer), where) {}
    std::string text() { return buffer.substr(0, result().value_or(0)); }
};

/// The simulated kernel has sockets only.
std::vector<PortSubject> ports_with_files() {
    std::vector<PortSubject> subjects;
    std::ranges::copy_if(tested_ports(), std::back_inserter(subjects),
                         [](const PortSubject& subject) { return !subject.world.simulated; });
    return subjects;
}

class PortFiles : public PortTest {
protected:
    void TearDown() override {
        PortTest::TearDown();
        for (const std::string& path : paths_) std::remove(path.c_str());
    }

    /// The path of a new file that holds this.
    const std::string& path_of(std::string_view content) {
        const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
        std::string name = std::string(test.name()) + "_" + std::to_string(world.now_ns());
        for (char& character : name) character = character == '/' ? '_' : character;
        paths_.push_back(testing::TempDir() + name);
        std::ofstream(paths_.back(), std::ios::binary) << content;
        return paths_.back();
    }
    Handle open(const std::string& path, FileAccess access = FileAccess::read_write) {
        const Result<Handle> opened = open_file(world.kernel(), path.c_str(), {.access = access});
        EXPECT_TRUE(opened) << describe(opened.error()).c_str();
        return open_on_port(world.keep(*opened), HandleKind::file);
    }
    Handle file(std::string_view content) { return open(path_of(content)); }
    std::string content() {
        std::ifstream stream(paths_.back(), std::ios::binary);
        return {std::istreambuf_iterator<char>(stream), {}};
    }

    std::string read_at(Handle handle, std::size_t size, std::int64_t where) {
        ReadingAt reading(driver, handle, size, where);
        EXPECT_TRUE(reading.finish());
        EXPECT_TRUE(reading.result()) << describe(reading.result().error()).c_str();
        return reading.text();
    }
    void write_at(Handle handle, std::string_view bytes, std::int64_t where) {
        WritingAt writing(driver, handle, readable_bytes(bytes), where);
        ASSERT_TRUE(writing.finish());
        EXPECT_EQ(writing.result().value_or(0), bytes.size()) << describe(writing.result().error()).c_str();
    }

private:
    std::vector<std::string> paths_;
};

// --- bytes ---

TEST_P(PortFiles, AReadGivesTheBytesAtItsPlace) {
    const Handle handle = file("0123456789");
    EXPECT_EQ(read_at(handle, 3, 4), "456");
    EXPECT_EQ(read_at(handle, 2, 0), "01") << "a read has moved something";
    EXPECT_EQ(read_at(handle, 10, 0), "0123456789");
}

TEST_P(PortFiles, WhereTheFileEndsAReadIsShortAndBehindItZero) {
    const Handle handle = file("0123456789");
    EXPECT_EQ(read_at(handle, 100, 7), "789");
    EXPECT_EQ(read_at(handle, 100, 10), "");
    EXPECT_EQ(read_at(handle, 100, 1'000'000), "");
    EXPECT_EQ(read_at(handle, 0, 2), "");
}

TEST_P(PortFiles, ALongFileIsReadPartByPart) {
    const std::string bytes = numbered_bytes(3'000'000);
    const Handle handle = file(bytes);
    std::string all;
    for (;;) {
        const std::string part = read_at(handle, 64 * 1024, static_cast<std::int64_t>(all.size()));
        if (part.empty()) break;
        all += part;
    }
    EXPECT_TRUE(all == bytes);
}

TEST_P(PortFiles, AWriteChangesItsPlaceAndNothingElse) {
    const Handle handle = file("0123456789");
    write_at(handle, "abc", 4);
    EXPECT_EQ(content(), "0123abc789");
    write_at(handle, "END", 10);
    EXPECT_EQ(content(), "0123abc789END");
    EXPECT_EQ(read_at(handle, 100, 0), "0123abc789END");
}

TEST_P(PortFiles, AWriteBehindTheEndLeavesZerosBetween) {
    const Handle handle = file("ab");
    write_at(handle, "cd", 4);
    EXPECT_EQ(content(), std::string("ab\0\0cd", 6));
}

TEST_P(PortFiles, APlaceMayBeBeyondFourGigabytes) {
    const Handle handle = file("");
    constexpr std::int64_t far_away = (std::int64_t{1} << 32) + 123;
    WritingAt writing(driver, handle, readable_bytes(std::string_view("far")), far_away);
    ASSERT_TRUE(writing.finish());
    if (kind_of(writing.result()) == ErrorKind::no_space) GTEST_SKIP() << "files cannot be so long here";
    ASSERT_TRUE(writing.result()) << describe(writing.error()).c_str();
    EXPECT_EQ(read_at(handle, 10, far_away), "far");
    EXPECT_EQ(read_at(handle, 3, 123), std::string(3, '\0')) << "the upper half of the place is lost";
}

TEST_P(PortFiles, WhatWouldReachBeyondTheLastPlaceIsAnInvalidArgument) {
    const Handle handle = file("0123456789");
    ReadingAt reading(driver, handle, 10, INT64_MAX - 9);
    ASSERT_TRUE(reading.finish());
    EXPECT_EQ(kind_of(reading.result()), ErrorKind::invalid_argument);
}

// --- under way ---

TEST_P(PortFiles, AReadAndAWriteMayBeUnderWayAtTheSameTime) {
    const Handle handle = file("0123456789");
    ReadingAt reading(driver, handle, 4, 0);
    WritingAt writing(driver, handle, readable_bytes(std::string_view("abc")), 6);
    reading.start();
    writing.start();
    ASSERT_TRUE(all_done(driver, reading, writing));
    EXPECT_EQ(reading.text(), "0123");
    EXPECT_EQ(writing.result().value_or(0), 3u);
    EXPECT_EQ(content(), "012345abc9");
}

TEST_P(PortFiles, ASecondReadIsBusyWhileTheFirstIsNotDone) {
    const Handle handle = file("0123456789");
    ReadingAt first(driver, handle, 4, 0);
    ReadingAt second(driver, handle, 4, 5);
    const bool at_once = first.start().was_inline();
    ASSERT_TRUE(second.start().finish());
    ASSERT_TRUE(first.finish());
    EXPECT_EQ(first.text(), "0123");
    if (at_once)
        EXPECT_EQ(second.text(), "5678");
    else
        EXPECT_EQ(kind_of(second.result()), ErrorKind::busy);
    EXPECT_EQ(read_at(handle, 4, 5), "5678");
}

TEST_P(PortFiles, ManyFilesAreReadAtTheSameTime) {
    std::vector<std::unique_ptr<ReadingAt>> readings;
    for (int number = 0; number < 50; ++number) {
        const Handle handle = file("file " + std::to_string(number));
        readings.push_back(std::make_unique<ReadingAt>(driver, handle, 100, 0));
    }
    for (const auto& reading : readings) reading->start();
    for (std::size_t number = 0; number < readings.size(); ++number) {
        ASSERT_TRUE(readings[number]->finish());
        EXPECT_EQ(readings[number]->text(), "file " + std::to_string(number));
    }
}

TEST_P(PortFiles, ACancelledReadHasItsBytesOrIsCancelled) {
    const Handle handle = file("0123456789");
    for (int round = 0; round < 20; ++round) {
        ReadingAt reading(driver, handle, 100, 0);
        reading.start();
        if (!reading.done()) reading.cancel();
        ASSERT_TRUE(reading.finish());
        if (reading.result())
            EXPECT_EQ(reading.text(), "0123456789");
        else
            EXPECT_EQ(kind_of(reading.result()), ErrorKind::cancelled);
        driver.settle();
    }
    EXPECT_EQ(read_at(handle, 100, 0), "0123456789");
}

TEST_P(PortFiles, AReadThatIsUnderWayIsToldBeforeItsFileIsClosed) {
    const Handle handle = file(numbered_bytes(1'000'000));
    ReadingAt reading(driver, handle, 1'000'000, 0);
    bool was_told_first = reading.start().was_inline();
    Closing closing(driver, handle);
    reading.then = [&] { was_told_first = !closing.done(); };
    closing.start();
    ASSERT_TRUE(all_done(driver, reading, closing));
    EXPECT_TRUE(was_told_first);
    EXPECT_TRUE(closing.result());
    world.closed(handle);
    ReadingAt late(driver, handle, 10, 0);
    ASSERT_TRUE(late.start().finish());
    EXPECT_EQ(kind_of(late.result()), ErrorKind::bad_handle);
}

TEST_P(PortFiles, ACancelledWriteHasBeenMadeOrHasNot) {
    const Handle handle = file("0123456789");
    WritingAt writing(driver, handle, readable_bytes(std::string_view("abc")), 0);
    writing.start();
    if (!writing.done()) writing.cancel();
    ASSERT_TRUE(writing.finish());
    if (writing.result())
        EXPECT_EQ(content(), "abc3456789");
    else
        EXPECT_EQ(kind_of(writing.result()), ErrorKind::cancelled);
    write_at(handle, "xyz", 0);
    EXPECT_EQ(content(), "xyz3456789") << "the cancelled one has come later";
}

TEST_P(PortFiles, ADiscardedFileIsClosedWhenItsReadIsDone) {
    const Handle handle = file(numbered_bytes(1'000'000));
    ReadingAt reading(driver, handle, 1'000'000, 0);
    reading.start();
    driver.discard(handle);
    ASSERT_TRUE(reading.finish());
    driver.settle();
    char byte;
    EXPECT_EQ(world.kernel().pread(world.kernel(), handle, &byte, 1, 0), -EBADF);
    world.closed(handle);
}

// --- what cannot be ---

TEST_P(PortFiles, AFileIsNoSocket) {
    const Handle handle = file("0123456789");
    Receiving receiving(driver, handle);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::bad_handle);
    Sending sending(driver, handle, readable_bytes(std::string_view("text")));
    ASSERT_TRUE(sending.finish());
    EXPECT_EQ(kind_of(sending.result()), ErrorKind::bad_handle);
    EXPECT_EQ(content(), "0123456789");
}

TEST_P(PortFiles, APlaceBeforeTheBeginningIsAnInvalidArgument) {
    const Handle handle = file("0123456789");
    for (const std::int64_t where : {std::int64_t{-1}, std::int64_t{-2}, INT64_MIN}) {
        ReadingAt reading(driver, handle, 4, where);
        ASSERT_TRUE(reading.finish());
        EXPECT_EQ(kind_of(reading.result()), ErrorKind::invalid_argument);
        WritingAt writing(driver, handle, readable_bytes(std::string_view("text")), where);
        ASSERT_TRUE(writing.finish());
        EXPECT_EQ(kind_of(writing.result()), ErrorKind::invalid_argument);
    }
    EXPECT_EQ(content(), "0123456789");
}

TEST_P(PortFiles, WhatWasOpenedForReadingIsNotWritten) {
    const Handle handle = open(path_of("0123456789"), FileAccess::read);
    WritingAt writing(driver, handle, readable_bytes(std::string_view("text")), 0);
    ASSERT_TRUE(writing.finish());
#ifdef _WIN32
    EXPECT_EQ(kind_of(writing.result()), ErrorKind::permission_denied);
#else
    EXPECT_EQ(kind_of(writing.result()), ErrorKind::bad_handle);
#endif
    EXPECT_EQ(writing.error().call, Call::pwrite);
    EXPECT_EQ(writing.error().descriptor, handle);
    EXPECT_EQ(read_at(handle, 100, 0), "0123456789");
}

#ifdef __linux__
TEST_P(PortFiles, AFullDeviceSaysSo) {
    const Handle handle = open("/dev/full", FileAccess::write);
    WritingAt writing(driver, handle, readable_bytes(std::string_view("text")), 0);
    ASSERT_TRUE(writing.finish());
    EXPECT_EQ(kind_of(writing.result()), ErrorKind::no_space);
}
#endif

TEST_P(PortFiles, FailuresOfTheCallsAreErrorsAndInterruptionsAreNot) {
    if (!GetParam().passes_the_door) GTEST_SKIP() << "it makes no such calls";
    const Handle handle = file("0123456789");
    world.failing.fail(Call::pread, EIO);
    ReadingAt reading(driver, handle, 4, 0);
    ASSERT_TRUE(reading.finish());
    EXPECT_EQ(reading.error().code, EIO);
    world.failing.fail(Call::pwrite, ENOSPC);
    WritingAt writing(driver, handle, readable_bytes(std::string_view("text")), 0);
    ASSERT_TRUE(writing.finish());
    EXPECT_EQ(kind_of(writing.result()), ErrorKind::no_space);
    world.failing.fail(Call::pread, EINTR, 0, 3);
    EXPECT_EQ(read_at(handle, 4, 0), "0123");
    world.failing.fail(Call::pwrite, EINTR, 0, 3);
    write_at(handle, "text", 0);
    EXPECT_EQ(content(), "text456789");
}

// --- opening ---

TEST_P(PortFiles, WhatIsNotThereIsNotFoundAndNamed) {
    const Result<Handle> opened = open_file(world.kernel(), "no/such/file");
    EXPECT_EQ(kind_of(opened), ErrorKind::not_found);
    EXPECT_NE(std::string(describe(opened.error()).c_str()).find("open no/such/file"), std::string::npos);
}

TEST_P(PortFiles, AFileIsCreatedAndTruncatedWhereThatIsAskedFor) {
    const std::string path = path_of("old");
    std::remove(path.c_str());
    const Result<Handle> created =
        open_file(world.kernel(), path.c_str(), {.access = FileAccess::write, .create = true});
    ASSERT_TRUE(created) << describe(created.error()).c_str();
    write_at(open_on_port(world.keep(*created), HandleKind::file), "long text", 0);
    const Result<Handle> again =
        open_file(world.kernel(), path.c_str(), {.access = FileAccess::write, .create = true});
    ASSERT_TRUE(again);
    write_at(open_on_port(world.keep(*again), HandleKind::file), "LONG", 0);
    EXPECT_EQ(content(), "LONG text");
    EXPECT_EQ(kind_of(open_file(world.kernel(), path.c_str(),
                                {.access = FileAccess::write, .create = true, .must_be_new = true})),
              ErrorKind::invalid_argument);
    EXPECT_EQ(
        kind_of(open_file(world.kernel(), path.c_str(), {.access = FileAccess::read, .truncate = true})),
        ErrorKind::invalid_argument);
    EXPECT_EQ(content(), "LONG text");
    const Result<Handle> emptied =
        open_file(world.kernel(), path.c_str(), {.access = FileAccess::write, .truncate = true});
    ASSERT_TRUE(emptied);
    world.keep(*emptied);
    EXPECT_EQ(content(), "");
}

TEST_P(PortFiles, WithoutADescriptorLeftNothingIsOpened) {
    if (!DescriptorShortage::is_possible(world)) GTEST_SKIP() << "this system has no limit to reach";
    const std::string path = path_of("text");
    {
        const DescriptorShortage shortage(world, 0);
        EXPECT_EQ(kind_of(open_file(world.kernel(), path.c_str())), ErrorKind::descriptors_exhausted);
    }
    EXPECT_EQ(read_at(open(path), 10, 0), "text");
}

INSTANTIATE_TEST_SUITE_P(Every, PortFiles, testing::ValuesIn(ports_with_files()), port_subject_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PortFiles);

// --- a kernel with sockets only has an answer too ---

class PortNoFiles : public PortTest {};

TEST_P(PortNoFiles, ASocketIsNoFile) {
    const Ends ends = pair();
    world.send(ends.peer, "text");
    ReadingAt reading(driver, ends.ours, 10, 0);
    ASSERT_TRUE(reading.finish());
    EXPECT_EQ(kind_of(reading.result()), ErrorKind::bad_handle);
    WritingAt writing(driver, ends.ours, readable_bytes(std::string_view("text")), 0);
    ASSERT_TRUE(writing.finish());
    EXPECT_EQ(kind_of(writing.result()), ErrorKind::bad_handle);
    EXPECT_EQ(recv(ends.ours), "text") << "a read that was refused has taken something";
    expect_nothing_more(ends);
}

TEST_P(PortNoFiles, WhatIsNotOpenIsABadHandle) {
    ReadingAt reading(driver, world.pair().ours, 10, 0);
    ASSERT_TRUE(reading.finish());
    EXPECT_EQ(kind_of(reading.result()), ErrorKind::bad_handle);
}

INSTANTIATE_TEST_SUITE_P(Every, PortNoFiles, testing::ValuesIn(tested_ports()), port_subject_name);

}  // namespace pollard::conformance
