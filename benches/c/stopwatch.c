/* Preloaded before a library: the longest processor time that the program spent inside one call of
 * those that a library may stand in front of. Writes the call and its nanoseconds to the file that
 * STOPWATCH names when the program ends. Processor time, as a call may wait or be preempted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static _Atomic long longest;
static const char *_Atomic slowest = "nothing";

static long used(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void note(const char *call, long took)
{
    long before = atomic_load(&longest);
    while (took > before)
        if (atomic_compare_exchange_weak(&longest, &before, took)) {
            atomic_store(&slowest, call);
            break;
        }
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("STOPWATCH");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%s %ld\n", atomic_load(&slowest), atomic_load(&longest));
        fclose(file);
    }
}

#define TIMED(result, name, types, arguments)                                    \
    result name types                                                            \
    {                                                                            \
        static _Atomic(void *) next;                                             \
        if (!next)                                                               \
            next = dlsym(RTLD_NEXT, #name);                                      \
        result(*call) types = (__typeof__(call))next;                            \
        long start = used();                                                     \
        result answer = call arguments;                                          \
        note(#name, used() - start);                                             \
        return answer;                                                           \
    }

TIMED(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
TIMED(int, poll, (struct pollfd * entries, nfds_t count, int limit), (entries, count, limit))
TIMED(int, ppoll,
      (struct pollfd * entries, nfds_t count, const struct timespec *limit, const sigset_t *mask),
      (entries, count, limit, mask))
TIMED(int, select, (int count, fd_set *in, fd_set *out, fd_set *bad, struct timeval *limit),
      (count, in, out, bad, limit))
TIMED(int, epoll_wait, (int set, struct epoll_event *events, int most, int limit),
      (set, events, most, limit))
TIMED(int, epoll_pwait,
      (int set, struct epoll_event *events, int most, int limit, const sigset_t *mask),
      (set, events, most, limit, mask))
TIMED(int, epoll_ctl, (int set, int operation, int fd, struct epoll_event *event),
      (set, operation, fd, event))
TIMED(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length),
      (fd, level, name, value, length))
TIMED(int, getpeername, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))
TIMED(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
TIMED(int, shutdown, (int fd, int how), (fd, how))
TIMED(int, close, (int fd), (fd))
TIMED(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
TIMED(ssize_t, readv, (int fd, const struct iovec *pieces, int count), (fd, pieces, count))
TIMED(ssize_t, recv, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))
TIMED(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
TIMED(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
TIMED(ssize_t, writev, (int fd, const struct iovec *pieces, int count), (fd, pieces, count))
TIMED(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
TIMED(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
