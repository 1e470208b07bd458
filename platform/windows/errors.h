// Windows' two languages of failure, translated into the door's.
#pragma once

#include <cstdint>

namespace pollard::windows {

/// What a read of a file says at its end. No errno: its answer is 0 bytes.
inline constexpr std::int32_t end_of_file = 0x10301;

/// The errno for a code of WSAGetLastError() or GetLastError(); the code itself where the table has none.
std::int32_t code_of_windows_error(std::uint32_t error);
/// Of the call that has just failed in this thread, as the door's answer.
std::intptr_t minus_last_error();
/// 0 for success and mere information; else the errno for an NTSTATUS. An unknown one keeps its lower 30 bits under
/// 0x40000000: no errno looks like that, and it stays a positive number.
std::int32_t code_of_status(std::uint32_t status);

}  // namespace pollard::windows
