/* Code that the scenes of a connect that does not wait share. The proxy behind them answers late, so that
   the handshake is in flight when a scene looks for the first time. */
#ifndef NONBLOCKING_H
#define NONBLOCKING_H
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

#include "scene.h"

/* Events that a socket is ready for within some milliseconds, -1 for ever. */
typedef int ready(int fd, int limit);

static const char *const HOST = "192.0.2.1";

/* The epoll set of the scene, in which the socket's data is its descriptor. */
static int set;

static inline int begun(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT(fd >= 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    return fd;
}

static inline int error_of(int fd)
{
    int error = -1;
    socklen_t length = sizeof error;
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && length == sizeof error);
    return error;
}

/* A socket that its program was told to be ready is connected, and no sooner. The first connect after one
   that did not wait may tell of the success. */
static inline void is_connected(int fd)
{
    EXPECT(peer_is(fd, HOST, 80));
    EXPECT(error_of(fd) == 0);
    EXPECT(reach(fd, HOST, 80) == 0 || errno == EISCONN);
    FAILS(reach(fd, HOST, 80), EISCONN);
    EXPECT(fcntl(fd, F_SETFL, 0) == 0);
    EXPECT(echoes(fd));
}

static inline void becomes_connected(int fd, ready *waits)
{
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    EXPECT(waits(fd, 0) == 0);
    EXPECT(waits(fd, 20) == 0);
    FAILS(getpeername(fd, (struct sockaddr *)&peer, &length), ENOTCONN);
    EXPECT(error_of(fd) == 0);
    FAILS(reach(fd, HOST, 80), EALREADY);
    int events = waits(fd, -1);
    EXPECT((events & POLLOUT) && !(events & (POLLERR | POLLHUP)));
    EXPECT(reach(fd, HOST, 80) == 0);
    FAILS(reach(fd, HOST, 80), EISCONN);
    is_connected(fd);
    EXPECT(close(fd) == 0);
}

static inline int by_poll(int fd, int limit)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN | POLLOUT, .revents = 0x55};
    int count = poll(&entry, 1, limit);
    EXPECT(count == !!entry.revents && entry.events == (POLLIN | POLLOUT) && entry.fd == fd);
    return entry.revents;
}

static inline struct timespec *spell(int limit, struct timespec *time)
{
    *time = (struct timespec){limit / 1000, limit % 1000 * 1000000};
    return limit < 0 ? NULL : time;
}

static inline int by_ppoll(int fd, int limit)
{
    struct timespec time;
    /* More entries than the library copies to its stack. */
    static struct pollfd entries[1000];
    for (int i = 0; i < 1000; i++)
        entries[i] = (struct pollfd){.fd = i == 999 ? fd : -1, .events = POLLOUT};
    int count = ppoll(entries, 1000, spell(limit, &time), NULL);
    EXPECT(count == !!entries[999].revents);
    return entries[999].revents;
}

static inline int of_sets(int count, int fd, fd_set *in, fd_set *out, fd_set *bad)
{
    int events = (FD_ISSET(fd, in) ? POLLIN : 0) | (FD_ISSET(fd, out) ? POLLOUT : 0)
        | (FD_ISSET(fd, bad) ? POLLERR : 0);
    EXPECT(count == __builtin_popcount(events));
    return events;
}

static inline int by_select(int fd, int limit)
{
    fd_set in, out, bad;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&bad);
    FD_SET(fd, &in);
    FD_SET(fd, &out);
    FD_SET(fd, &bad);
    struct timeval time = {limit / 1000, limit % 1000 * 1000};
    int count = select(fd + 1, &in, &out, &bad, limit < 0 ? NULL : &time);
    EXPECT(count > 0 || (time.tv_sec == 0 && time.tv_usec == 0));
    return of_sets(count, fd, &in, &out, &bad);
}

static inline int by_pselect(int fd, int limit)
{
    fd_set in, out, bad;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&bad);
    FD_SET(fd, &out);
    struct timespec time;
    int count = pselect(fd + 1, &in, &out, &bad, spell(limit, &time), NULL);
    return of_sets(count, fd, &in, &out, &bad);
}

static inline void add(int epoll, int fd, uint32_t events)
{
    // The whole word: a compiler need not zero what `fd` leaves of it.
    struct epoll_event event = {.events = events, .data.u64 = fd};
    EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static inline int of_events(int count, int fd, struct epoll_event *events)
{
    EXPECT(count == 0 || count == 1);
    EXPECT(count == 0 || events[0].data.u64 == (uint64_t)fd);
    return count ? (int)events[0].events : 0;
}

static inline int by_epoll(int fd, int limit)
{
    struct epoll_event events[4];
    return of_events(epoll_wait(set, events, 4, limit), fd, events);
}

static inline int by_epoll_pwait(int fd, int limit)
{
    struct epoll_event events[4];
    return of_events(epoll_pwait(set, events, 1, limit, NULL), fd, events);
}

static inline int by_epoll_pwait2(int fd, int limit)
{
    struct epoll_event events[4];
    struct timespec time;
    return of_events(epoll_pwait2(set, events, 4, spell(limit, &time), NULL), fd, events);
}

static inline long elapsed(struct timespec start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
}

static inline void ignore(int number) { (void)number; }

static inline void alarmed(int flags)
{
    struct sigaction action = {.sa_handler = ignore, .sa_flags = flags};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    alarm_in(100000);
}
#endif
