/* Preloaded behind our library: counts how often something is waited for, and raises SIGALRM
 * before the one that it is told to. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

static atomic_int waits, alarm_at;

int waits_so_far(void) { return waits; }

void raise_at_wait(int number) { alarm_at = number; }

static void note_wait(void)
{
    if (++waits == alarm_at)
        raise(SIGALRM);
}

#define COUNTED(name, types, arguments)                  \
    int name types                                       \
    {                                                    \
        int(*next) types = dlsym(RTLD_NEXT, #name);      \
        note_wait();                                     \
        return next arguments;                           \
    }

COUNTED(poll, (struct pollfd * entries, nfds_t count, int limit), (entries, count, limit))
COUNTED(ppoll,
        (struct pollfd * entries, nfds_t count, const struct timespec *limit, const sigset_t *mask),
        (entries, count, limit, mask))
COUNTED(select, (int count, fd_set *in, fd_set *out, fd_set *bad, struct timeval *limit),
        (count, in, out, bad, limit))
COUNTED(pselect,
        (int count, fd_set *in, fd_set *out, fd_set *bad, const struct timespec *limit,
         const sigset_t *mask),
        (count, in, out, bad, limit, mask))
COUNTED(epoll_wait, (int set, struct epoll_event *events, int most, int limit),
        (set, events, most, limit))
COUNTED(epoll_pwait,
        (int set, struct epoll_event *events, int most, int limit, const sigset_t *mask),
        (set, events, most, limit, mask))

/* Around a wait that is a system call of the library's own. */
int pthread_setcanceltype(int type, int *old)
{
    int (*next)(int, int *) = dlsym(RTLD_NEXT, "pthread_setcanceltype");
    if (type == PTHREAD_CANCEL_ASYNCHRONOUS)
        note_wait();
    return next(type, old);
}
