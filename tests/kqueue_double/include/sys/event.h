// <sys/event.h> of the test double of kqueue(2), found first by what is compiled against the double.
//
// In two flavours, so that code which trusts a type or a number of one system does not compile, or fails, on the other:
//
//      default                       as FreeBSD's: filters are negative shorts, `udata` a pointer, counts int
//      KQUEUE_DOUBLE_NETBSD          as NetBSD 9's: filters are unsigned and start at 0, `udata` a number, counts size_t,
//                                    and there is no EVFILT_USER
//
// Plain C names in the global namespace, as in any system header.
#pragma once
#pragma GCC system_header

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef KQUEUE_DOUBLE_NETBSD

#define EVFILT_READ 0U
#define EVFILT_WRITE 1U
#define EVFILT_AIO 2U
#define EVFILT_VNODE 3U
#define EVFILT_PROC 4U
#define EVFILT_SIGNAL 5U
#define EVFILT_TIMER 6U

struct kevent {
    uintptr_t ident;
    uint32_t filter;
    uint32_t flags;
    uint32_t fflags;
    int64_t data;
    intptr_t udata;
};
typedef size_t kqueue_double_count;  // NOLINT(modernize-use-using)

#else

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_AIO (-3)
#define EVFILT_VNODE (-4)
#define EVFILT_PROC (-5)
#define EVFILT_SIGNAL (-6)
#define EVFILT_TIMER (-7)
#define EVFILT_USER (-11)

#define NOTE_FFNOP 0x00000000U
#define NOTE_FFAND 0x40000000U
#define NOTE_FFOR 0x80000000U
#define NOTE_FFCOPY 0xc0000000U
#define NOTE_FFCTRLMASK 0xc0000000U
#define NOTE_FFLAGSMASK 0x00ffffffU
#define NOTE_TRIGGER 0x01000000U

#define NOTE_SECONDS 0x01U
#define NOTE_MSECONDS 0x02U
#define NOTE_USECONDS 0x04U
#define NOTE_NSECONDS 0x08U
#define NOTE_ABSTIME 0x10U

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
    int64_t data;
    void* udata;
    uint64_t ext[4];
};
typedef int kqueue_double_count;  // NOLINT(modernize-use-using)

#endif

#define EV_ADD 0x0001U
#define EV_DELETE 0x0002U
#define EV_ENABLE 0x0004U
#define EV_DISABLE 0x0008U
#define EV_ONESHOT 0x0010U
#define EV_CLEAR 0x0020U
#define EV_RECEIPT 0x0040U
#define EV_DISPATCH 0x0080U
#define EV_ERROR 0x4000U
#define EV_EOF 0x8000U

#define NOTE_LOWAT 0x0001U

#define NOTE_DELETE 0x0001U
#define NOTE_WRITE 0x0002U
#define NOTE_EXTEND 0x0004U
#define NOTE_ATTRIB 0x0008U
#define NOTE_LINK 0x0010U
#define NOTE_RENAME 0x0020U

#define NOTE_EXIT 0x80000000U
#define NOTE_FORK 0x40000000U
#define NOTE_EXEC 0x20000000U

#define EV_SET(entry, id, which, what, notes, amount, user) \
    do {                                                    \
        struct kevent* entry_ = (entry);                    \
        *entry_ = {};                                       \
        entry_->ident = (id);                               \
        entry_->filter = (which);                           \
        entry_->flags = (what);                             \
        entry_->fflags = (notes);                           \
        entry_->data = (amount);                            \
        entry_->udata = (user);                             \
    } while (0)

struct timespec;

extern "C" int kqueue();
extern "C" int kevent(int queue, const struct kevent* changes, kqueue_double_count change_count,
                      struct kevent* events, kqueue_double_count capacity, const struct timespec* timeout);
