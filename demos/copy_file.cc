// copy_file: copies a file; while one block is written, the next one is read.
//
//      tools/demo copy_file README.md copy
//      tools/demo copy_file README.md copy --kernel io_uring --explain
//      tools/demo copy_file README.md copy --kernel epoll --explain      the same, and what differs
//
// asyncio cannot await a file. Its kernels speak of readiness, a file is always "ready", and the call waits for the disk
// all the same. A kernel that speaks of completion can do better: it takes the read and the write, and tells of each when
// it is done. Two blocks go round:
//
//      file --read_at--> [ next ]            [ current ] --write_at--> copy
//                             both at the same time, then they change places
//
// What to look at: on io_uring both operations stand in the kernel when the loop goes to sleep, and one call has handed
// over both. On epoll each is one call, made at once: nothing is parked, nothing is awaited, and the loop waits with it.
//
// Read next: core/io/file.h, core/combinators/gather.h.
#include <array>
#include <cstdio>
#include <span>
#include <utility>

#include "core/combinators/gather.h"
#include "core/coroutine.h"
#include "core/io/file.h"
#include "demos/demo_loop.h"

using namespace pollard;

namespace {

using Block = std::array<std::byte, 64 * 1024>;

struct ReadBlock : Coroutine<ReadBlock, std::size_t, Awaits<ReadAt>> {
    const File* file;
    std::span<std::byte> block;
    std::int64_t offset;
    Result<std::size_t> count;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(count, file->read_at(block, offset));
        CO_RETURN(count);
        CO_END;
    }
};

/// A write takes at least one byte, seldom fewer than all.
struct WriteBlock : Coroutine<WriteBlock, void, Awaits<WriteAt>> {
    const File* file;
    std::span<const std::byte> left;
    std::int64_t offset;
    Result<std::size_t> count;

    Progress body() {
        CO_BEGIN;
        while (!left.empty()) {
            CO_AWAIT(count, file->write_at(left, offset));
            if (!count) CO_RETURN(count.error());
            left = left.subspan(*count);
            offset += static_cast<std::int64_t>(*count);
        }
        CO_END;
    }
};

/// Of the two halves each is waited for, also when the other one fails: both have the files in their hands.
struct Copy : Coroutine<Copy, void, Awaits<ReadBlock, GatherResults<std::size_t, void>, Close>> {
    File from;
    File to;
    Block* current;
    Block* next;
    std::int64_t copied = 0;
    Result<std::size_t> size;
    Result<GatherResults<std::size_t, void>::Values> both;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(size, ReadBlock{.file = &from, .block = *current, .offset = 0});
        if (!size) CO_RETURN(size.error());
        while (*size > 0) {
            CO_AWAIT(both,
                     gather_results(ReadBlock{.file = &from, .block = *next, .offset = behind_current()},
                                    WriteBlock{.file = &to, .left = part(), .offset = copied}));
            if (!both) CO_RETURN(both.error());
            copied = behind_current();
            size = std::get<0>(*both);
            if (const Result<void>& written = std::get<1>(*both); !written) CO_RETURN(written);
            if (!size) CO_RETURN(size.error());
            std::swap(current, next);
        }
        CO_TRY(to.close());
        std::printf("copied %lld bytes\n", static_cast<long long>(copied));
        CO_END;
    }
    std::int64_t behind_current() const { return copied + static_cast<std::int64_t>(*size); }
    std::span<const std::byte> part() const { return std::span(*current).first(*size); }
};

/// Here and not in a frame: a frame is copied into its task.
constinit Block blocks[2] = {};

Result<void> copy(EventLoop& loop, const char* from_path, const char* to_path) {
    Result<File> from = open_file(loop, from_path);
    if (!from) return from.error();
    Result<File> to =
        open_file(loop, to_path, {.access = FileAccess::write, .create = true, .must_be_new = true});
    if (!to) return to.error();
    return loop.run_until_complete(
        Copy{.from = *std::move(from), .to = *std::move(to), .current = &blocks[0], .next = &blocks[1]});
}

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    const char* from = nullptr;
    const char* to = nullptr;
    const Option options[] = {
        required(text("FROM", from, nullptr, "the file to copy")),
        required(text("TO", to, nullptr, "where to; there must be no such file yet")),
        demo.kernel_option(),
        demo.explain_option(),
        demo.trace_option(),
    };
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;
    demo.stop_on_interrupt();
    return demo.finish(copy(demo.loop, from, to).error());
}
