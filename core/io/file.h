// File: a regular file on a loop.
//
//      Result<File> file = open_file(loop, "numbers", {.access = FileAccess::read_write});
//      CO_AWAIT(count, file->read_at(bytes, offset));      Result<std::size_t>, 0 = the file ends there
//      CO_AWAIT(count, file->write_at(bytes, offset));
//      CO_TRY(file->close());
//
// asyncio has none of this: readiness cannot say when a disk is done (a file is always "ready"), so Python hands files to
// threads. A kernel that speaks of completion can say it, and with it a read is awaited like any other operation:
//
//      io_uring, IOCP         the kernel reads; other tasks run meanwhile
//      epoll, kqueue, poll    the call is made at once, and the loop waits for the disk with it
//      simulated              there are no files
//
// One read and one write may be under way on a file at the same time, not two of either: the second is Error{busy}.
//
// Read next: platform/file.h, platform/operation.h; demos/copy_file.cc shows it in use.
#pragma once

#include "core/event_loop.h"
#include "core/io/port_handle.h"
#include "platform/file.h"

namespace pollard {

class File : public PortHandle {
public:
    using PortHandle::PortHandle;

    /// Fewer bytes than the buffer holds where the file ends, and seldom in its middle; 0 = at its end. The buffer must
    /// outlive the await.
    template <BorrowedBytes R>
    ReadAt read_at(R&& buffer, std::int64_t offset) const {
        return ReadAt(port_, handle_, writable_bytes(std::forward<R>(buffer)), offset);
    }
    /// At least one of the bytes. Behind the end of the file: what lies between is zeros. Errors: no_space, bad_handle
    /// (permission_denied on Windows) where the file was opened for reading only.
    template <BorrowedBytes R>
    WriteAt write_at(R&& bytes, std::int64_t offset) const {
        return WriteAt(port_, handle_, readable_bytes(std::forward<R>(bytes)), offset);
    }
};

/// Errors name the path; see platform/file.h.
Result<File> open_file(EventLoop& loop, const char* path, const FileOptions& options = {});

}  // namespace pollard
