// Files on the loop: awaited by hand-written frames and with co_await, on every kernel of this build that has files; and
// how such operations are told. (What an operation on a file does is asked in tests/conformance/files_test.cc.)
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/io/file.h"
#include "core/trace/narration.h"
#include "platform/describe_call.h"
#include "platform/interposed_kernel.h"
#include "platform/kernel.h"
#include "platform/system_sockets.h"
#include "tests/kernels.h"
#include "tests/system.h"

namespace pollard {

namespace {

std::vector<const char*> kernels_with_files() {
    std::vector<const char*> names = kernels_here();
    std::erase_if(names, is_simulated);
    return names;
}

class Files : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        std::ofstream(path, std::ios::binary) << "0123456789";
        LoopOptions options = {.kernel = GetParam()};
        options.port.in_front = &observed;
        ASSERT_TRUE(loop.open(options));
    }
    void TearDown() override {
        EXPECT_TRUE(loop.close());
        std::remove(path.c_str());
    }
    static std::int64_t now_ns() { return system_kernel().clock(system_kernel()); }
    File open() {
        Result<File> opened = open_file(loop, path.c_str(), {.access = FileAccess::read_write});
        EXPECT_TRUE(opened) << describe(opened.error()).c_str();
        return *std::move(opened);
    }
    std::string content() {
        std::ifstream stream(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(stream), {}};
    }

    std::string path = testing::TempDir() + "file_test_" + GetParam() + "_" + std::to_string(now_ns());
    ObservedKernel observed;
    EventLoop loop;
};

/// Swaps the two halves of a file of ten bytes.
struct SwapHalves : Coroutine<SwapHalves, std::size_t, Awaits<ReadAt, WriteAt, Close>> {
    File file;
    std::array<char, 10> bytes;
    Result<std::size_t> count;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(count, file.read_at(bytes, 0));
        if (!count || *count != bytes.size()) CO_RETURN(count);
        CO_AWAIT(count, file.write_at(std::span(bytes).last(5), 0));
        if (!count || *count != 5) CO_RETURN(count);
        CO_AWAIT(count, file.write_at(std::span(bytes).first(5), 5));
        CO_TRY(file.close());
        CO_RETURN(count);
        CO_END;
    }
};

Co<std::size_t> swap_halves(File file) {
    std::array<char, 10> bytes;
    Result<std::size_t> count = co_await file.read_at(bytes, 0);
    if (!count || *count != bytes.size()) co_return count;
    count = co_await file.write_at(std::span(bytes).last(5), 0);
    if (!count || *count != 5) co_return count;
    count = co_await file.write_at(std::span(bytes).first(5), 5);
    const Result<void> closed = co_await file.close();
    if (!closed) co_return closed.error();
    co_return count;
}

TEST_P(Files, AreReadAndWrittenByHandWrittenFrames) {
    const Result<std::size_t> count = loop.run_until_complete(SwapHalves{.file = open()});
    ASSERT_TRUE(count) << describe(count.error()).c_str();
    EXPECT_EQ(*count, 5u);
    EXPECT_EQ(content(), "5678901234");
}

TEST_P(Files, AreReadAndWrittenWithCoAwait) {
    const Result<std::size_t> count = loop.run_until_complete(swap_halves(open()));
    ASSERT_TRUE(count) << describe(count.error()).c_str();
    EXPECT_EQ(*count, 5u);
    EXPECT_EQ(content(), "5678901234");
}

TEST_P(Files, AFileThatGoesOutOfScopeIsClosed) {
    Kernel& kernel = system_kernel();
    char byte = 0;
    Handle handle = no_handle;
    {
        File file = open();
        const File other = std::move(file);
        EXPECT_FALSE(file);
        handle = other.handle();
        EXPECT_EQ(kernel.pread(kernel, handle, &byte, 1, 0), 1) << "it is closed too early";
    }
    EXPECT_EQ(kernel.pread(kernel, handle, &byte, 1, 0), -EBADF);
}

TEST_P(Files, WhatCannotBeOpenedIsAnErrorThatNamesThePath) {
    const Result<File> opened = open_file(loop, "no/such/file");
    EXPECT_EQ(opened.error().kind, ErrorKind::not_found);
    EXPECT_STREQ(describe(opened.error()).c_str(), "open no/such/file: not found (ENOENT)");
}

TEST_P(Files, TheNarrationNamesThePlaceAndTheBytes) {
    test_system::MemoryStream stream;
    {
        Narration narration(stream.file());
        current_observer = &narration;
        EXPECT_TRUE(loop.run_until_complete(SwapHalves{.file = open()}));
        current_observer = nullptr;
        std::fflush(stream.file());
    }
    const std::string told = stream.flushed();
    for (const char* line :
         {"up to 10 bytes from 0 on", "completed: 10 bytes", "5 bytes from 5 on", "completed: 5 bytes"})
        EXPECT_NE(told.find(line), std::string::npos) << line << " is missing in\n" << told;
}

std::string name_of(const testing::TestParamInfo<const char*>& subject) { return subject.param; }
INSTANTIATE_TEST_SUITE_P(, Files, testing::ValuesIn(kernels_with_files()), name_of);

TEST(FilesOnNoKernel, ASimulatedKernelSaysThatItHasNone) {
    EventLoop loop;
    ASSERT_TRUE(loop.open({.kernel = "simulated"}));
    const Result<File> opened = open_file(loop, "numbers");
    EXPECT_EQ(opened.error().kind, ErrorKind::not_supported);
    EXPECT_STREQ(describe(opened.error()).c_str(), "open numbers: not supported (ENOSYS)");
    EXPECT_TRUE(loop.close());
}

TEST(FilesOnNoKernel, TheirCallsAreWrittenInWords) {
    const auto words = [](const KernelCall& call) { return std::string(describe_kernel_call(call).c_str()); };
    KernelCall call = {};
    call.call = Call::pread;
    call.handle = 7;
    call.bytes = "abc";
    call.size = 10;
    call.argument[0] = 4096;
    call.result = 3;
    EXPECT_EQ(words(call), "pread(7, .., 10, 4096) = 3");
    EXPECT_STREQ(describe_kernel_news(call).c_str(), "\"abc\"");
    call.call = Call::open_file;
    call.handle = no_handle;
    call.bytes = "numbers";
    call.argument[0] = O_RDWR | O_CREAT | O_EXCL | O_TRUNC;
    EXPECT_EQ(words(call), "open(numbers, RDWR|CREAT|EXCL|TRUNC) = 3");
    call.argument[0] = O_RDONLY;
    EXPECT_EQ(words(call), "open(numbers, RDONLY) = 3");
    call.call = Call::pwrite;
    call.handle = 7;
    call.argument[0] = 4096;
    call.result = -ENOSPC;
    EXPECT_EQ(words(call), "pwrite(7, .., 10, 4096) = ENOSPC");
    EXPECT_STREQ(describe(error_of(Call::pwrite, -ENOSPC).on_descriptor(7)).c_str(),
                 "pwrite fd 7: no space left (ENOSPC)");
}

}  // namespace
}  // namespace pollard
